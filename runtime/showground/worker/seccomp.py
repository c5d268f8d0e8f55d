"""A seccomp filter, assembled here: the system calls that no app needs, and that attacks are made of, are refused.

It is a list of what is refused, and a ceiling: calls newer than the list answer ENOSYS. Each group says what it guards.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

from showground.worker.syscalls import architecture, libc, number

PR_SET_SECCOMP = 22
MODE_FILTER = 2
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000
ALLOW = 0x7FFF0000
X32 = 0x40000000
"""Calls of the x32 interface have this bit; their numbers would slip past the list."""
NEWEST = 462
"""mseal, Linux 6.10."""
NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_PTRACER = 1, 4, 0x59616D61

LOAD, AND, EQUAL, GREATER, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x25, 0x35, 0x45, 0x06

REFUSED = (
    # the network, and sockets of other services in the file system, which Landlock does not guard
    *("socket", "connect", "bind", "listen", "accept", "accept4"),
    # a queue into the kernel that goes around this filter
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    # other programs
    *("execve", "execveat", "uselib"),
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp"),
    *("pidfd_open", "pidfd_getfd", "pidfd_send_signal", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("setpriority", "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity", "ioprio_set"),
    *("migrate_pages", "move_pages", "mbind", "set_mempolicy"),
    # out of the process group that is killed with the worker
    *("setsid", "setpgid"),
    # namespaces and mounts
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick"),
    # files by handle, past every path
    *("name_to_handle_at", "open_by_handle_at", "fanotify_init"),
    # memory that no limit counts
    *("memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "msgget", "semget", "mq_open"),
    # parts of the kernel that many attacks began with
    *("bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "modify_ldt", "personality"),
    # the machine
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff"),
    *("syslog", "acct", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname"),
    *("iopl", "ioperm", "quotactl", "quotactl_fd", "vhangup", "lookup_dcookie", "sysfs", "ustat"),
)

Instruction = tuple[int, int, int, int]
"""(operation, jump if true, jump if false, operand), as in `struct sock_filter`."""


def give(verdict: int) -> Instruction:
    return (RETURN, 0, 0, verdict)


def refuse(code: int = errno.EPERM) -> Instruction:
    return give(ERRNO | code)


def argument(index: int) -> Instruction:
    """Load the low half of an argument; on the little-endian machines we know it comes first."""
    return (LOAD, 0, 0, 16 + 8 * index)


def only_if_equal(index: int, *values: int, mask: int = 0xFFFFFFFF) -> list[Instruction]:
    """Allow the call if the argument, under *mask*, is one of *values*."""
    test = [(EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [argument(index), (AND, 0, 0, mask), *test, refuse(), give(ALLOW)]


def unless_equal(index: int, *values: int) -> list[Instruction]:
    """Refuse the call if the argument is one of *values*."""
    test = [(EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [argument(index), *test, give(ALLOW), refuse()]


def program(pid: int) -> list[Instruction]:
    """The filter of the process *pid*: it may signal itself, and the group it leads, and nobody else."""
    _, audit = architecture()
    special: dict[str, list[Instruction]] = {
        # glibc falls back from clone3, whose flags no filter can see, to clone
        "clone3": [refuse(errno.ENOSYS)],
        "clone": [argument(0), (ANY_BIT, 0, 1, NEW_NAMESPACES), refuse(), give(ALLOW)],
        # a datagram pair can be pointed at any socket in the file system, a stream pair can't
        "socketpair": only_if_equal(1, socket.SOCK_STREAM, mask=0xF),
        "kill": only_if_equal(0, pid, 0),
        "tgkill": only_if_equal(0, pid),
        "prlimit64": only_if_equal(0, pid, 0),
        "prctl": unless_equal(0, PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_PTRACER),
        "ioctl": unless_equal(1, TIOCSTI, TIOCLINUX),
    }
    blocks = {**{name: [refuse()] for name in REFUSED}, **special}
    code: list[Instruction] = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, audit),
        give(KILL_PROCESS),
        (LOAD, 0, 0, 0),
        (AT_LEAST, 1, 0, X32),
        (GREATER, 0, 1, NEWEST),
        refuse(errno.ENOSYS),
    ]
    for name, block in blocks.items():
        where = number(name)
        if where is not None:
            code += [(EQUAL, 0, len(block), where), *block]
    return [*code, give(ALLOW)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install() -> None:
    """Put this process, and all it will fork, under the filter for good. Needs `no_new_privs`. Raises `OSError`."""
    code = program(os.getpid())
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    filtered = _Program(len(code), packed)
    if libc().prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(filtered), 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
