"""A plain bundle, run as an app: its attempts to get out of the worker. One invocation is one attempt, by its name.

It answers `got out: …` when the attempt succeeded, else with the error that held it back. `payload` says where the prizes are.
The suite runs on machines that people use: an attempt that gets out may touch the prizes and this worker, and nothing else.
"""

# mypy: ignore-errors
# an attacker writes no types, and passes what no type allows

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"


def syscall(x86, arm, *args):
    result = libc.syscall(ctypes.c_long(x86 if X86 else arm), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def libc_call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return name


def in_child(work):
    """Whether *work* succeeds in a forked child: a new process is behind the same walls."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise PermissionError("refused in the child")
    return "a child did it"


def in_thread(work):
    got = []

    def run():
        try:
            got.append(work())
        except OSError as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(got[0], OSError):
        raise got[0]
    return got[0]


def read(path):
    """How much was there: what it says is told to nobody."""
    with open(path, "rb") as file:
        return f"{len(file.read(40))} bytes"


def link_to(path, mark):
    link = f"/dev/shm/{mark}-link"
    os.symlink(path, link)
    return read(link)


def unix(path, kind=socket.SOCK_STREAM):
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.connect(path)
    return "connected"


def datagram_pair(path):
    """A socket that needs no socket(): one end of a pair, pointed elsewhere."""
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(b"x", path)
    return "sent"


def redirected_pair(path):
    one, _ = socket.socketpair()
    one.connect(path)
    return "connected"


def broker_socket(path):
    """The worker's own socket, pointed elsewhere."""
    own = socket.socket(fileno=os.dup(3))
    own.connect(path)
    return "connected"


def writes_past(size):
    with open("grown", "wb") as file:
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
    return "wrote"


def hidden_memory():
    """Shared memory that RLIMIT_DATA does not count."""
    kept = [mmap.mmap(-1, 64 * 2**20) for _ in range(8)]
    for part in kept:
        for at in range(0, len(part), 4096):
            part[at] = 1
    return f"{len(kept) * 64} MB"


def many_files():
    kept = [open("main.py") for _ in range(500)]  # noqa: SIM115  # kept open: that is the attempt
    return len(kept)


def clone_namespace():
    return syscall(56, 220, ctypes.c_ulong(0x10000000 | signal.SIGCHLD), 0, 0, 0, 0)


def x32_socket():
    if not X86:
        raise OSError("no such interface here")
    return syscall(0x40000000 + 41, 0, 2, 1, 0)


def set_clock():
    """To what it says already."""
    now = ctypes.create_string_buffer(16)
    libc.clock_gettime(0, now)
    return libc_call("clock_settime", 0, now)


def shared_segment():
    """Memory that outlives its process, unless it is removed."""
    segment = syscall(29, 194, 0, 2**20, 0o600 | 0o1000)
    syscall(31, 195, segment, 0, None)
    return "made a segment"


def become_root():
    """In a user namespace the answer is EINVAL: no such user is mapped there."""
    try:
        os.setuid(0)
    except OSError as error:
        raise PermissionError(str(error)) from None
    return "root"


def raise_limit(what):
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (soft * 2, hard * 2))
    return "raised"


def inherited():
    """Descriptors beyond the four that the protocol names, and those that our own loop made: anything on a file or device."""
    found = []
    for number in range(4, 64):
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        if mode & 0o170000 in (0o100000, 0o040000, 0o060000):
            found.append(number)
    if not found:
        raise OSError("none")
    return found


def environment():
    odd = set(os.environ) - {"LANG", "PATH", "HOME", "LC_CTYPE"}
    if not odd:
        raise OSError("nothing there")
    return odd


def host_objects():
    """What the host's modules hold, had they come along."""
    for name in ("redis", "aiohttp", "showground.host", "showground.redis.client"):
        if name in sys.modules:
            return name
    raise OSError("nothing of the host is here")


ATTEMPTS = {
    "files": {
        "read a file of the host": lambda p: read(p["secret"]),
        "read it in a child": lambda p: in_child(lambda: read(p["secret"])),
        "read it in a thread": lambda p: in_thread(lambda: read(p["secret"])),
        "read it by a relative path": lambda p: read(os.path.relpath(p["secret"])),
        "read it through /proc/self/root": lambda p: read(f"/proc/self/root{p['secret']}"),
        "read it through a link": lambda p: link_to(p["secret"], p["mark"]),
        "list its folder": lambda p: os.listdir(os.path.dirname(p["secret"])),
        "truncate it": lambda p: os.truncate(p["secret"], 0),
        "write beside it": lambda p: Path(p["secret"] + ".new").write_text("x"),
        "remove it": lambda p: os.unlink(p["secret"]),
        "rename it": lambda p: os.rename(p["secret"], p["secret"] + ".old"),
        "hard-link it": lambda p: os.link(p["secret"], "stolen"),
        "read the other bundle": lambda p: read(p["other"]),
        "read /etc/passwd": lambda p: read("/etc/passwd"),
        "read /etc/shadow": lambda p: read("/etc/shadow"),
        "read the host's environment": lambda p: read(f"/proc/{p['victim']}/environ"),
        "read the host's memory": lambda p: os.open(f"/proc/{p['victim']}/mem", os.O_RDONLY),
        "read kernel messages": lambda p: os.open("/dev/kmsg", os.O_RDONLY),
        "write into /tmp": lambda p: Path("/tmp", p["mark"]).write_text("x"),
        "write into /dev/shm": lambda p: Path("/dev/shm", p["mark"]).write_text("x"),
        "change the bundle": lambda p: Path("main.py").write_text("x"),
        "add a file to the bundle": lambda p: writes_past(2**20),
        "open by handle": lambda p: syscall(304, 265, -100, 0, 0),
        "chroot": lambda p: os.chroot("."),
        "mount": lambda p: libc_call("mount", b"none", os.fsencode(p["folder"]), b"tmpfs", 0, None),
    },
    "network": {
        "TCP to the host": lambda p: socket.create_connection(("127.0.0.1", p["tcp"]), 1) and "connected",
        "UDP to the host": lambda p: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
        "IPv6": lambda p: socket.socket(socket.AF_INET6),
        "raw packets": lambda p: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "netlink": lambda p: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "vsock": lambda p: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
        "kernel crypto": lambda p: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
        "listen": lambda p: socket.create_server(("127.0.0.1", 0)) and "listening",
        "Unix socket of a service": lambda p: unix(p["unix"]),
        "Unix datagram of a service": lambda p: unix(p["datagram"], socket.SOCK_DGRAM),
        "abstract socket": lambda p: unix("\0" + p["abstract"]),
        "datagram pair redirected": lambda p: datagram_pair(p["datagram"]),
        "stream pair redirected": lambda p: redirected_pair(p["unix"]),
        "own socket redirected": lambda p: broker_socket(p["unix"]),
        "io_uring": lambda p: syscall(425, 425, 8, ctypes.byref(ctypes.create_string_buffer(120))),
        "socket by the x32 interface": lambda p: x32_socket(),
    },
    "processes": {
        "signal the host": lambda p: os.kill(p["victim"], 0),
        "signal everybody": lambda p: os.kill(-1, 0),
        "signal the zygote": lambda p: os.kill(os.getppid(), 0),
        "signal by pidfd": lambda p: os.pidfd_open(p["victim"]),
        "queue a signal": lambda p: syscall(129, 138, p["victim"], 0, ctypes.create_string_buffer(128)),
        "ptrace": lambda p: libc_call("ptrace", 16, p["victim"], 0, 0),
        "read another's memory": lambda p: syscall(310, 270, p["victim"], 0, 0, 0, 0, 0),
        "limit another": lambda p: resource.prlimit(p["victim"], resource.RLIMIT_NOFILE, (1, 1)),
        "slow another down": lambda p: os.setpriority(os.PRIO_PROCESS, p["victim"], 19),
        "run a program": lambda p: subprocess.run(["/bin/true"], check=True) and "ran",
        "run a program from memory": lambda p: os.memfd_create("x"),
        "leave the process group": lambda p: in_child(os.setsid),
        "survive the host": lambda p: libc_call("prctl", 1, 0, 0, 0, 0),
        "become traceable": lambda p: libc_call("prctl", 4, 1, 0, 0, 0),
    },
    "kernel": {
        "user namespace": lambda p: libc_call("unshare", 0x10000000),
        "user namespace by clone": lambda p: clone_namespace(),
        "another's namespace": lambda p: libc_call("setns", 0, 0),
        "bpf": lambda p: syscall(321, 280, 0, ctypes.create_string_buffer(128), 128),
        "perf events": lambda p: syscall(298, 241, ctypes.create_string_buffer(128), 0, -1, -1, 0),
        "userfaultfd": lambda p: syscall(323, 282, 1),
        "keyring": lambda p: syscall(250, 219, 0, -3, 1),
        "a call of the future": lambda p: syscall(500, 500),
        "set the clock": lambda p: set_clock(),
        "become root": lambda p: become_root(),
        "load a module": lambda p: syscall(313, 273, 0, b"", 0),
        "type into the terminal": lambda p: fcntl.ioctl(1, 0x5412, b"x"),
    },
    "limits": {
        "more memory than allowed": lambda p: hidden_memory(),
        "System V shared memory": lambda p: shared_segment(),
        "raise the memory limit": lambda p: raise_limit(resource.RLIMIT_DATA),
        "raise the process limit": lambda p: raise_limit(resource.RLIMIT_NPROC),
        "more files than allowed": lambda p: many_files(),
    },
    "what came along": {
        "descriptors": lambda p: inherited(),
        "environment": lambda p: environment(),
        "environment at start": lambda p: read("/proc/self/environ"),
        "modules of the host": lambda p: host_objects(),
    },
}


async def run(invocation, payload, call):
    if invocation.name == "ready":
        return b"ready"
    prizes = json.loads(payload)
    group, _, name = invocation.name.partition("/")
    try:
        return f"got out: {ATTEMPTS[group][name](prizes)!r}"[:200].encode()
    except (OSError, ValueError, MemoryError, subprocess.SubprocessError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EFAULT, errno.ESRCH, errno.EINVAL, errno.EBADF):
            # the kernel looked at the arguments: the call itself was let through
            return f"got out: {error}".encode()
        return f"held: {error}".encode()
