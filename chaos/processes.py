"""What runs under a host, as Linux tells it: process trees, and which of them outlived it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is told from a later one of the same id by its start time."""

    pid: int
    started: str

    def alive(self) -> bool:
        fields = _stat(self.pid)
        return fields is not None and fields[0] not in "ZX" and fields[19] == self.started

    def kill(self) -> bool:
        """SIGKILL; False when it was gone already."""
        if not self.alive():
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        return True

    def open_files(self) -> int:
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return 0


def process(pid: int) -> Process | None:
    fields = _stat(pid)
    return None if fields is None else Process(pid, fields[19])


def children(pid: int) -> list[Process]:
    found: list[Process] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            found += filter(None, map(process, map(int, (task / "children").read_text().split())))
    return found


def descendants(pid: int) -> list[Process]:
    """All below *pid*, parents before children."""
    found = children(pid)
    for child in tuple(found):
        found += descendants(child.pid)
    return found


def cpu_s(pid: int) -> float:
    """User and system time that the process has had so far; 0 when it is gone."""
    fields = _stat(pid)
    return 0.0 if fields is None else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory_mb(pid: int) -> int:
    """The most resident memory it ever had; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
