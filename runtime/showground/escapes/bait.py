"""What an attacker would want, with permissions that hold nobody back: the walls must."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

SECRET = '{"token": "secret"}'  # noqa: S105 - bait
SLEEP = "import time; time.sleep(300)"


@dataclass(frozen=True, slots=True)
class Bait:
    """Where the prizes are. Each is made for the suite, and gone after it."""

    folder: str
    secret: str
    """A file like host.json."""
    other: str
    """A file of another bundle."""
    tcp: int
    """Port on 127.0.0.1."""
    unix: str
    datagram: str
    abstract: str
    victim: int
    """Id of a process of the host's user."""
    mark: str
    """Name of whatever an attempt leaves outside."""

    @property
    def payload(self) -> bytes:
        return msgspec.json.encode(self)

    @property
    def untouched(self) -> bool:
        try:
            return Path(self.secret).read_text() == SECRET
        except FileNotFoundError:
            return False


@contextmanager
def laid_out(top: Path) -> Iterator[Bait]:
    """Below the folder *top*: `bait`, which everybody may write into, and `app`, for the attacker's own bundle."""
    mark = f"showground-escape-{secrets.token_hex(6)}"
    top.chmod(0o755)
    place = top / "bait"
    place.mkdir()
    place.chmod(0o777)
    (top / "app").mkdir()
    for name in ("host.json", "bundle.py"):
        (place / name).write_text(SECRET)
        (place / name).chmod(0o666)
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stream = stack.enter_context(socket.socket(socket.AF_UNIX))
        stream.bind(str(place / "redis.sock"))
        stream.listen()
        datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagram.bind(str(place / "log.sock"))
        for name in ("redis.sock", "log.sock"):
            (place / name).chmod(0o777)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{mark}")
        abstract.listen()
        # attempts that succeed without walls stop it, or limit it to nothing
        command = [sys.executable, "-I", "-S", "-c", SLEEP]
        victim = stack.enter_context(subprocess.Popen(command, env={"TOKEN": "secret"}))
        stack.callback(victim.kill)
        for left in (f"/tmp/{mark}", f"/dev/shm/{mark}", f"/dev/shm/{mark}-link"):  # noqa: S108 - named at random
            stack.callback(Path(left).unlink, missing_ok=True)
        stack.callback(_unmount, place)
        yield Bait(
            folder=str(place),
            secret=str(place / "host.json"),
            other=str(place / "bundle.py"),
            tcp=tcp.getsockname()[1],
            unix=str(place / "redis.sock"),
            datagram=str(place / "log.sock"),
            abstract=mark,
            victim=victim.pid,
            mark=mark,
        )


def _unmount(place: Path) -> None:
    """Undo the attempt that mounts something over the bait, if it got that far."""
    if os.path.ismount(place):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=10)
