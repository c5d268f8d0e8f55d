"""The host's handle on its zygote: starts it, asks it for workers, hears how they ended, replaces it when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from showground.errors import ShowgroundError
from showground.model import Limits
from showground.supervisor.policy import Policy
from showground.worker import spawning

log = logging.getLogger("showground.supervisor")

OnExit = Callable[[spawning.Exited | None], None]
"""Called once when the worker has ended and was reaped; with None when the zygote died and took it along."""


class Zygote:
    """Starts at the first spawn. One at a time; when it dies all of its workers die with it and the next spawn starts another.

    One that does not answer may only have been kept waiting by the machine, and all workers of all apps would end with it. So
    a spawn without an answer fails alone; the zygote is replaced when one that was asked for after that gets none either, with
    nothing heard of it in between.
    """

    def __init__(self, loader: str, policy: Policy) -> None:
        self._loader = loader
        self._policy = policy
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._hello: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        """Done when this zygote has ended, which its socket tells when it closes."""
        self._spawning: dict[int, asyncio.Future[int]] = {}
        self._exits: dict[int, OnExit] = {}
        self._last = 0
        self._doubted: int | None = None
        """The last spawn that had been asked for when one got no answer; None once anything is heard."""
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def spawn(
        self,
        level: spawning.Level,
        folder: str,
        limits: Limits,
        sock: socket.socket,
        output: int,
        on_exit: OnExit,
    ) -> tuple[int, int]:
        """Fork a worker that inherits *sock* and *output* (the caller closes its own). Returns (number, process id).

        Raises `not_ready` when there is no zygote or it can't fork, or `OSError` when none can be started; then nobody
        needs *on_exit*, which may come all the same.
        """
        if self._closed:
            raise ShowgroundError("not_ready", "the supervisor is closed")
        if self._control is None:
            self._start()
        hello = self._hello
        assert hello is not None
        if not await self._answered(hello):
            self._lost("it did not start in time")  # it has no workers yet
        await hello  # for its error
        self._last = number = self._last + 1
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._spawning[number] = waiting
        self._exits[number] = on_exit
        order = spawning.Spawn(number=number, level=level, folder=folder, limits=limits)
        self._send(spawning.encode(order), [sock.fileno(), output])
        try:
            if await self._answered(waiting):
                return number, await waiting
        finally:
            self._spawning.pop(number, None)  # so that a worker which comes all the same is ended
        if self._doubted is None:
            self._doubted = self._last
        elif number > self._doubted:
            self._lost("it answers no more")
        text = f"the zygote did not fork a worker within {self._policy.spawn_s:g} s"
        raise ShowgroundError("not_ready", text, retry_after=1.0)

    async def _answered(self, answer: asyncio.Future[Any]) -> bool:
        """Whether *answer* comes in time. A host that stood still finds the time over before it has read what came meanwhile, so
        that is read before the verdict."""
        await asyncio.wait([answer], timeout=self._policy.spawn_s)
        while not answer.done() and self._readable():
            pass
        return answer.done()

    def kill(self, number: int) -> None:
        """End the worker *number* and all of its processes; *on_exit* tells when that is done. Harmless when it has ended."""
        if number in self._exits:
            self._send(spawning.encode(spawning.Kill(number=number)), [])

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            name, end, host = "showground.worker.zygote", theirs.fileno(), os.getpid()
            try:
                # nothing of the host's environment: apps can read it in /proc/self/environ
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-m", name, str(end), str(host), self._loader],
                    pass_fds=(end,),
                    stdin=subprocess.DEVNULL,
                    env={"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        self._control = ours
        loop = asyncio.get_running_loop()
        self._hello = loop.create_future()
        self._gone = loop.create_future()
        loop.add_reader(ours, self._readable)

    def _send(self, packet: bytes, descriptors: list[int]) -> None:
        if self._control is None or self._closed:  # it ends all workers then, and reads no more orders
            return
        try:
            socket.send_fds(self._control, [packet], descriptors)
        except (BlockingIOError, InterruptedError):
            self._lost("it does not read its orders")
        except OSError as error:
            self._lost(str(error))

    def _readable(self) -> bool:
        """Take one report; False when there is none, or no zygote."""
        if self._control is None:
            return False
        try:
            packet = self._control.recv(spawning.PACKET_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            packet = b""
        if not packet:
            self._lost("it ended")
            return False
        try:
            report = spawning.decode_report(packet)
        except msgspec.MsgspecError as error:
            self._lost(f"it sent what is no report: {error}")
            return False
        self._doubted = None
        match report:
            case spawning.Hello():
                if self._hello is not None and not self._hello.done():
                    self._hello.set_result(None)
            case spawning.Spawned(number=number, pid=pid):
                waiting = self._spawning.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(pid)
                else:  # whoever asked has gone
                    self.kill(number)
            case spawning.Refused(number=number, reason=reason):
                self._exits.pop(number, None)
                waiting = self._spawning.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_exception(ShowgroundError("not_ready", f"no worker: {reason}", retry_after=1.0))
            case spawning.Exited(number=number):
                on_exit = self._exits.pop(number, None)
                if on_exit is not None:
                    on_exit(report)
        return True

    def _lost(self, reason: str) -> None:
        """Drop this zygote; the kernel ends its workers with it."""
        if self._control is None:
            return
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        self._control = None
        assert self._process is not None
        assert self._gone is not None
        self._process.kill()
        code = self._process.wait()  # at once: it was sent SIGKILL
        self._process = None
        self._gone.set_result(None)
        if not self._closed:
            log.error("the zygote was lost (%s, exit %s); the next worker starts another", reason, code)
        error = ShowgroundError("not_ready", f"the zygote was lost: {reason}", retry_after=1.0)
        if self._hello is not None and not self._hello.done():
            self._hello.set_exception(error)
            self._hello.exception()  # nobody may be waiting for it
        for waiting in self._spawning.values():
            if not waiting.done():
                waiting.set_exception(error)
        self._spawning.clear()
        exits, self._exits = self._exits, {}
        for on_exit in exits.values():
            on_exit(None)

    async def close(self) -> None:
        """End the zygote and whatever workers are left. Idempotent."""
        self._closed = True
        if self._control is None or self._gone is None:
            return
        # it ends its workers when it reads the end of its socket; SIGKILL at once would leave their children alive
        self._control.shutdown(socket.SHUT_WR)
        await asyncio.wait([self._gone], timeout=self._policy.end_s)
        self._lost("the supervisor is closed")
