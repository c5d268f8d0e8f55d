"""A loader whose bundle tries to get out, and says which walls held: the self-test of the level `confined`.

It takes the place of the app in a worker that is confined as any other.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from showground.model import AppVersion, Invocation, Registration
from showground.worker.loader import Call
from showground.worker.syscalls import libc

CLONE_NEWUSER = 0x10000000


def write_outside() -> None:
    with tempfile.TemporaryFile(dir="/tmp"):  # the attempt is the test
        pass


def unshare() -> None:
    if libc().unshare(CLONE_NEWUSER) != 0:
        raise PermissionError


def run_program() -> None:
    if os.fork() == 0:
        try:
            os.execv("/bin/true", ["true"])  # noqa: S606  # the attempt is the test
        finally:
            os._exit(1)
    _, status = os.wait()
    if os.waitstatus_to_exitcode(status) != 0:
        raise PermissionError


ATTEMPTS: Final[Mapping[str, Callable[[], object]]] = {
    "files of the machine": lambda: Path("/etc/passwd").read_bytes(),
    "writing files": write_outside,
    "network": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    "sockets of other services": lambda: socket.socket(socket.AF_UNIX),
    "other processes": lambda: os.kill(os.getppid(), 0),
    "other programs": run_program,
    "namespaces": unshare,
}


def holds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False


class Walls:
    registration = Registration()

    async def run(self, invocation: Invocation, payload: bytes, call: Call) -> bytes:
        """JSON `{"network": true, …}`: whether each wall held."""
        return msgspec.json.encode({name: holds(attempt) for name, attempt in ATTEMPTS.items()})


def load_bundle(folder: Path, app: AppVersion) -> Walls:
    return Walls()
