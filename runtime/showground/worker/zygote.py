"""The zygote: one warm, single-threaded Python from which every worker is forked. Run by the host as
`python -I -m showground.worker.zygote <descriptor> <host's pid> <loader>`.

It has the SDK imported and frozen out of the collector, so a worker starts in about 3 ms (measured 24 Nov 2026; a fresh
interpreter with the same imports takes 65 ms) and shares its pages. It opens nothing, starts no thread and runs nothing of
an app. It dies with the host, and its workers die with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
from collections.abc import Iterable

from showground.worker import process, spawning
from showground.worker.confinement import die_with_parent
from showground.worker.loader import Load, find_loader, rehearse
from showground.worker.syscalls import libc

PR_SET_CHILD_SUBREAPER = 36
YOUNG_OBJECTS = 3_000
"""New objects in a worker between two runs of the garbage collector; Python's 700 are less than 64 calls under way hold."""
WARM = (
    "uvloop",
    "showground.worker.serving",
    "showground.author",
    "showground.blocks",
    "showground.context",
    "showground.ui",
)
"""Imported before the first fork, packages with all their modules: what is imported here, no worker imports again."""


class Zygote:
    """Serves one control socket until its other end closes."""

    def __init__(self, control: socket.socket, wake: socket.socket, load: Load) -> None:
        self._control = control
        self._wake = wake
        self._load = load
        self._numbers: dict[int, int] = {}
        self._pids: dict[int, int] = {}

    def serve(self) -> None:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        self._report(spawning.Hello(pid=os.getpid()))
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._wake.fileno() in ready:
                self._wake.recv(4096)
                self._reap()
            if self._control.fileno() in ready and not self._order():
                break
        for pid in list(self._numbers):
            end_group(pid)
            os.waitpid(pid, 0)
        self._numbers.clear()
        self._end_strays()

    def _order(self) -> bool:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._control, spawning.PACKET_BYTES, 2)
        except ConnectionError:  # the host was killed with reports of ours unread
            return False
        if not packet:
            return False
        order = spawning.decode_order(packet)
        if isinstance(order, spawning.Kill):
            pid = self._pids.get(order.number)
            if pid is not None:
                end_group(pid)
            return True
        try:
            pid = os.fork()
        except OSError as error:
            self._report(spawning.Refused(number=order.number, reason=f"fork: {error.strerror}"))
        else:
            if pid == 0:
                process.become_worker(order, descriptors[0], descriptors[1], self._load)
            self._numbers[pid] = order.number
            self._pids[order.number] = pid
            self._report(spawning.Spawned(number=order.number, pid=pid))
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._numbers.pop(pid, None)
            if number is None:
                continue  # a stray: reported with its worker
            del self._pids[number]
            end_group(pid)
            strays = self._end_strays()
            code = os.waitstatus_to_exitcode(status)
            self._report(
                spawning.Exited(
                    number=number,
                    code=code if code >= 0 else None,
                    signal=-code if code < 0 else None,
                    max_rss_kb=usage.ru_maxrss,
                    cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
                    strays=strays,
                )
            )

    def _end_strays(self) -> int:
        """Kill what workers left behind in sessions of their own; as their subreaper we have become its parent.

        Each kill may bring up further orphans, so it goes on until none is left, at most 100 rounds.
        """
        ended = 0
        for _ in range(100):
            try:
                with open("/proc/thread-self/children") as children:
                    strays = [int(pid) for pid in children.read().split() if int(pid) not in self._numbers]
            except OSError:
                return ended
            if not strays:
                return ended
            for pid in strays:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                ended += 1
        return ended

    def _report(self, report: spawning.Report) -> None:
        with contextlib.suppress(ConnectionError):  # the host has gone: the next look at its orders ends us
            self._control.send(spawning.encode(report))


def end_group(pid: int) -> None:
    """SIGKILL to the process group that *pid* leads, and to *pid*, in case it has not become a leader yet."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def warm(names: Iterable[str]) -> None:
    """Import *names*. What does not import is passed over: it fails, with its reason, where it is used."""
    for name in names:
        with contextlib.suppress(ImportError):
            module = importlib.import_module(name)
            if name.startswith("showground.") and hasattr(module, "__path__"):
                warm(f"{name}.{found.name}" for found in pkgutil.iter_modules(module.__path__))


def main(descriptor: int, host: int, loader: str) -> None:
    die_with_parent(host)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the host, which then ends us
    control = socket.socket(fileno=descriptor)
    wake, waker = socket.socketpair()
    wake.setblocking(False)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    libc().prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    zygote = Zygote(control, wake, find_loader(loader))
    warm(WARM)
    rehearse(loader)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    zygote.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
