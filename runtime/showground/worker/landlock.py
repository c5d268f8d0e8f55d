"""Landlock by ctypes: which files a process and its children may open, whoever they are (kernel docs: userspace-api/landlock)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from showground.worker.syscalls import call, libc

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture."""
VERSION = 1 << 0
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = (1 << bit for bit in range(4))
FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many file rights each version of the interface knows."""
FS_BITS_NEWEST = 16
TCP = 0b11
"""Bind and connect; version 4."""
SCOPES = 0b11
"""Abstract Unix sockets and signals, to processes outside; version 6."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The version of the kernel's interface; 0 when there is none."""
    return max(0, int(libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION))))


def restrict(read: Iterable[str], write: Iterable[str] = ()) -> None:
    """From now on only what lies at or below *read* can be read, *write* also written, and nothing executed, made or removed.

    Where the kernel knows how, TCP, and signals and abstract sockets to processes outside, are refused as well. Paths that do
    not exist are passed over. Raises `OSError`.
    """
    known = version()
    if known == 0:
        raise OSError("this kernel has no Landlock")
    handled = (1 << FS_BITS.get(known, FS_BITS_NEWEST)) - 1
    ruleset = _Ruleset(handled, TCP if known >= 4 else 0, SCOPES if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    descriptor = call(CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path in read:
            _allow(descriptor, path, READ_FILE | READ_DIR)
        for path in write:
            _allow(descriptor, path, READ_FILE | WRITE_FILE)
        call(RESTRICT_SELF, ctypes.c_int(descriptor), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _allow(descriptor: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not os.path.isdir(path):
            rights &= ~READ_DIR
        rule = _PathBeneath(rights, place)
        call(ADD_RULE, ctypes.c_int(descriptor), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(place)
