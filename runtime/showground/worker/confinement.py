"""The walls around a worker, by level. Called in the child right after the fork, before anything of the app is read."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from showground.errors import ShowgroundError
from showground.model import Limits
from showground.worker.privileges import become_nobody_else
from showground.worker.spawning import Level

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
FILE_BYTES = 16 * 1024 * 1024
"""The largest file that a worker may write, where it may write at all."""
MB = 1024 * 1024


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when *parent* ends; end it now if that has happened already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def confine(level: Level, limits: Limits, folder: str, number: int) -> None:
    """Put this process behind the walls of *level*; raises `misconfigured` when one of them cannot be built."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.umask(0o077)
    if level == "confined":
        raise ShowgroundError("misconfigured", "the level confined is not available on this host")
    limit_resources(limits, own_user=become_nobody_else(folder))


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
        (resource.RLIMIT_NPROC, limits.processes + (0 if own_user else processes_now())),
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
