"""Users and capabilities of a worker whose host runs as root."""

from __future__ import annotations

import ctypes
import os
import sys

from showground.worker.syscalls import libc

PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522

FIRST_USER = 0x7000_0000
"""User ids from here on belong to nobody: systemd's containers end right below (systemd.io/UIDS-GIDS)."""


def become_nobody_else(folder: str) -> bool:
    """Give this process a user and group of its own, if it is root. Returns whether it has one now.

    The user id is made from the process id, so no two live workers on a machine share one: they can't signal or trace each
    other, and RLIMIT_NPROC, from which root is exempt, counts each alone. All capabilities go. Only where the bundle or
    Python itself lies in a folder that others may not enter, the right to read and search stays; at the level `confined`
    Landlock still bounds it.
    """
    if os.geteuid() != 0:
        return False
    user = FIRST_USER + os.getpid()
    try:
        libc().prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError:
        return False  # a container that maps few users; the resource limits remain
    # still permitted, no longer in effect: what can be read now can be read by anybody
    _capset(0, 1 << CAP_DAC_READ_SEARCH)
    if all(readable(path) for path in (folder, *sys.path) if path):
        give_up_capabilities()
    else:
        _capset(1 << CAP_DAC_READ_SEARCH, 1 << CAP_DAC_READ_SEARCH)
    return True


def give_up_capabilities() -> None:
    """Be as any other user. Raises `OSError`."""
    libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _capset(0, 0)


def _capset(effective: int, permitted: int) -> None:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(effective, permitted, 0, 0, 0, 0)
    if libc().capset(header, data) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def readable(path: str) -> bool:
    try:
        if os.path.isdir(path):
            with os.scandir(path):
                return True
        os.stat(path)
    except FileNotFoundError:
        return True  # such as python311.zip on sys.path
    except OSError:
        return False
    return True
