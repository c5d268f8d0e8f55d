"""The walls around a worker, by level. Built in the child right after the fork, before anything of the app is read."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator

from showground.errors import ShowgroundError
from showground.model import Limits
from showground.worker import landlock, seccomp
from showground.worker.privileges import become_nobody_else, give_up_capabilities
from showground.worker.spawning import Level
from showground.worker.syscalls import libc

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWNET, CLONE_NEWUSER, CLONE_NEWIPC, CLONE_NEWUTS = 0x40000000, 0x10000000, 0x08000000, 0x04000000
FILE_BYTES = 16 * 1024 * 1024
"""The largest file that a worker may write, where it may write at all."""
MB = 1024 * 1024

READABLE = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/zero",
    "/dev/urandom",
)
"""Shared libraries and time zones. Besides these: Python's own files, the SDK's, and the bundle."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when *parent* ends; end it now if that has happened already.

    The kernel forgets this when a process changes its user, so it comes after that.
    """
    libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def confine(level: Level, limits: Limits, folder: str, parent: int) -> None:
    """Put this process behind the walls of *level*, for good.

    `process`: resource limits, and a user of its own if the host is root. `confined`: also network, IPC and host name of its own
    and empty; Landlock; seccomp. Raises `misconfigured` when a wall cannot be built: then nothing of the app may run.
    """
    libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.umask(0o077)
    if level != "confined":
        limit_resources(limits, own_user=become_nobody_else(folder))
        die_with_parent(parent)
        return
    step = "namespaces"
    try:
        own_user = enter_namespaces()
        step = "a user of its own"
        own_user = become_nobody_else(folder) or own_user
        if not own_user:
            raise OSError("there is neither root nor a user namespace to make one with")
        step = "resource limits"
        limit_resources(limits, own_user)
        die_with_parent(parent)
        step = "Landlock"
        landlock.restrict([*READABLE, *python_files(), folder], ["/dev/null"])
        step = "seccomp"
        seccomp.install()
    except OSError as error:
        raise ShowgroundError(
            "misconfigured",
            f"a worker cannot be confined here: {step}: {error}",
            "isolation",
            "`showground doctor` says which walls hold; the level `process` does without.",
        ) from error


def enter_namespaces() -> bool:
    """Network, IPC and host name of its own. Without root that needs a user namespace; returns whether one was made."""
    empty = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
    if os.geteuid() == 0:
        unshare(empty)
        return False
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | empty)
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)
    give_up_capabilities()
    return True


def unshare(flags: int) -> None:
    if libc().unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def python_files() -> Iterator[str]:
    """Where Python, the SDK and installed packages lie."""
    for base in (sys.base_prefix, sys.base_exec_prefix):
        yield os.path.join(base, "lib")
    for path in sys.path:
        if path and os.path.isabs(path):
            yield path


def limit_resources(limits: Limits, own_user: bool) -> None:
    """Soft and hard limits at once, so the app cannot raise them again.

    Memory counts from what the process has at its start. RLIMIT_DATA is what holds: it counts private writable memory. The
    address space gets twice that, since it also counts what is merely reserved (64 MB for each thread's arena).
    """
    size, data = memory_now()
    memory = limits.memory_mb * MB
    for what, amount in (
        (resource.RLIMIT_DATA, data + memory),
        (resource.RLIMIT_AS, size + 2 * memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, limits.processes + (0 if own_user else processes_now() - 1)),
    ):
        _, ceiling = resource.getrlimit(what)
        if ceiling != resource.RLIM_INFINITY:
            amount = min(amount, ceiling)
        resource.setrlimit(what, (amount, amount))


def memory_now() -> tuple[int, int]:
    """(address space, private writable memory) of this process, in bytes."""
    found = {}
    with open("/proc/self/status") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmSize", "VmData"):
                found[name] = int(value.split()[0]) * 1024
    return found["VmSize"], found["VmData"]


def processes_now() -> int:
    """How many processes this user has; RLIMIT_NPROC counts them all together."""
    user = os.getuid()
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                count += os.stat(f"/proc/{name}").st_uid == user
            except OSError:
                continue
    return count
