"""One worker process as the host sees it: its socket, what runs in it, and its end."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack
from pathlib import Path
from reprlib import repr  # bounded, whatever a worker sends

import msgspec

from showground.clock import Clock
from showground.crew import Crew
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import AppVersion, Registration
from showground.supervisor import exits
from showground.supervisor.broker import Broker
from showground.supervisor.calls import EXPECTED, NOT_STARTED, OVERSTAYED, OnEnd, OnFree, OnRetire, Running, Strays
from showground.supervisor.capability_calls import CapabilityCalls
from showground.supervisor.logs import AppLog, OnLog, OutputPipe
from showground.supervisor.policy import Policy
from showground.supervisor.zygote import Zygote
from showground.worker import frames, spawning
from showground.worker.frames import CALL, CANCEL, DRAIN, ERROR, LOG, READY, REPLY

LATEST_MS, LATEST_S = 1 << 43, 1e9
"""A log record from after the year 2248, and a time to come back that is 30 years away, are no times that a worker can mean; and
not everything that reckons with them could."""
LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})


class ProcessWorker:
    """A worker in a process of its own. Ends by itself (crash), by `drain`, or by `kill`; `on_end(reason)` tells it, once."""

    def __init__(
        self,
        app: AppVersion,
        zygote: Zygote,
        broker: Broker,
        clock: Clock,
        policy: Policy,
        crew: Crew,
        on_log: OnLog,
        on_free: OnFree,
        on_retire: OnRetire,
        on_end: OnEnd,
    ) -> None:
        self.app = app
        self.in_flight = 0
        self.started_at = self.idle_since = clock.monotonic()
        self.pid: int | None = None
        self.loaded = False
        self.draining = False
        self._leaving = False
        self._leaves_by: float | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._zygote = zygote
        self._clock = clock
        self._policy = policy
        self._capabilities = CapabilityCalls(app, broker, crew, self._send)
        self._log = AppLog(app, clock, on_log)
        self._on_free = on_free
        self._on_retire = on_retire
        self._on_end = on_end
        self._running: dict[int, Running] = {}
        self._by_invocation: dict[str, Running] = {}
        self._last = 0
        self._strays = Strays()
        self._number: int | None = None
        self._doom: str | None = None
        self._cut_off = False
        self._ready = False
        self._channel: frames.Channel | None = None
        self._output: OutputPipe | None = None

    # --- start ---

    async def start(self, level: spawning.Level, folder: Path) -> Registration:
        """Fork, load the bundle, and return what it registered.

        Raises `bundle_invalid`, or `app_load_failed` for everything else that the app is at fault for, or `not_ready`.
        """
        try:
            ours, read = await self._fork(level, folder)
        except OSError as error:  # the machine or this process has no more to give, which may pass
            self._finish(NOT_STARTED)
            text = f"no worker of {self.app.app} {self.app.version} could be started: {error.strerror}"
            raise ShowgroundError("not_ready", text, retry_after=1.0) from error
        except BaseException:
            self._finish(NOT_STARTED)
            raise
        if self.ended.done():  # it died before we heard that it lives
            ours.close()
            os.close(read)
            raise ShowgroundError("app_load_failed", f"the worker ended at once: {self.ended.result()}")
        self._channel = frames.Channel(ours, self.app.limits.frame_bytes, self._receive, self._closed)
        self._output = OutputPipe(read, self._log)
        limit = self.app.limits.load_timeout_s
        future = asyncio.get_running_loop().create_future()
        load = Running(None, b"", future, self._clock.monotonic() + limit)
        try:
            # sent without waiting for READY: it saves a turn, and the worker reads it when it can
            self._call(load, "load", [self.app])
            answer = await future
        except asyncio.CancelledError:
            self.kill("its start was given up")
            raise
        except ShowgroundError as error:
            self.kill("it did not load")
            if error.code in ("app_load_failed", "bundle_invalid"):
                raise
            raise ShowgroundError(
                "app_load_failed", f"{self.app.app} {self.app.version}: {error.message}", error.where
            ) from error
        try:
            msgspec.json.encode(answer)  # as which it will be kept
            return msgspec.convert(answer, Registration)
        except (ValueError, TypeError, RecursionError) as error:
            self._break_off(f"its registration does not fit: {error}")
            raise ShowgroundError(
                "app_load_failed", f"protocol error: its registration does not fit: {error}"
            ) from None

    async def _fork(self, level: spawning.Level, folder: Path) -> tuple[socket.socket, int]:
        """Have the process made. Returns our ends of its socket and of the pipe for its output."""
        with ExitStack() as ours, ExitStack() as theirs:
            sock, its_sock = socket.socketpair()
            ours.callback(sock.close)
            theirs.callback(its_sock.close)
            read, write = os.pipe2(os.O_CLOEXEC)
            ours.callback(os.close, read)
            theirs.callback(os.close, write)
            self._number, self.pid = await self._zygote.spawn(
                level, str(folder), self.app.limits, its_sock, write, self._exited
            )
            ours.pop_all()
        return sock, read

    # --- calls to the worker ---

    def run(self, running: Running) -> None:
        """Send one invocation; `running.future` gets its result. Raises `too_large` when its frame is over the limit."""
        invocation = running.invocation
        assert invocation is not None
        self._call(running, "invoke", [invocation, running.payload])
        self._by_invocation[invocation.id] = running
        running.payload = b""
        running.worker = self
        self.in_flight += 1

    def _call(self, running: Running, method: str, params: list[object]) -> None:
        assert self._channel is not None
        self._last = number = self._last + 1
        data = frames.encode([CALL, number, method, params], self.app.limits.frame_bytes)
        at_once = not self._running
        self._running[number] = running
        self._channel.send(data, at_once)

    def abandon(self, running: Running) -> None:
        """Nobody waits for *running* any more: cancel it. Its slot is free once the worker has answered."""
        if running.cancelled_at is None:
            self._cancel(running, self._clock.monotonic())

    def _cancel(self, running: Running, now: float) -> None:
        running.cancelled_at = now
        if self._channel is None:
            return
        for number, candidate in self._running.items():
            if candidate is running:
                self._channel.send(frames.encode([CANCEL, number], 64), at_once=True)
                return

    def check(self, now: float) -> None:
        """Enforce the deadlines; called every tick. A call that nobody waits for any more has until its own deadline: who leaves
        must not be able to have the worker killed under those who stay."""
        late = [r for r in self._running.values() if now >= r.deadline]
        for running in late:
            if running.cancelled_at is None:
                self._cancel(running, now)
            elif now >= max(running.cancelled_at, running.deadline) + self._policy.grace_s:
                self.kill("past its deadline")
                return
        if self._leaving and not self._running:  # what runs has a deadline of its own
            if self._leaves_by is None:
                self._leaves_by = now + self._policy.drain_s
            elif now >= self._leaves_by:
                self.kill(OVERSTAYED)

    # --- frames from the worker ---

    def _receive(self, frame: frames.Frame) -> None:
        kind = frame[0]
        if kind == CALL:
            self._capability(frame)
        elif kind == REPLY:
            _, number, value = frame
            self._answered(number, value, None)
        elif kind == ERROR:
            _, number, body = frame
            error = error_in(body)
            if number is None:
                raise ShowgroundError("protocol_error", f"it gave up: {error.message[:200]}")
            self._answered(number, None, error)
        elif kind == LOG:
            self._logged(frame)
        elif kind == CANCEL:
            _, number = frame
            if type(number) is not int:
                raise ShowgroundError("protocol_error", "a cancellation of the wrong shape")
            self._capabilities.cancel(self._running.values(), number)
        elif kind == READY:
            _, version, _ = frame
            if version != frames.PROTOCOL:
                raise ShowgroundError("protocol_error", f"it speaks version {repr(version)}, not {frames.PROTOCOL}")
            self._ready = True
        elif kind == DRAIN:
            (_,) = frame
            self._leaving = True
            self._on_retire(self)
        else:
            raise ShowgroundError("protocol_error", f"a frame of the unknown kind {repr(kind)}")

    def _answered(self, number: int, value: object, error: ShowgroundError | None) -> None:
        if not self._ready:
            raise ShowgroundError("protocol_error", "an answer before READY")
        running = self._running.pop(number, None)
        if running is None:
            raise ShowgroundError("protocol_error", f"an answer to call {repr(number)}, which is not open")
        invocation = running.invocation
        if invocation is not None:
            if error is None and type(value) is not bytes:
                self._running[number] = running  # so that it is answered at the end of this worker
                raise ShowgroundError("protocol_error", "the result of an invocation is not bytes")
            del self._by_invocation[invocation.id]
            if running.calls:
                self._capabilities.end(running)
            self.in_flight -= 1
            self.idle_since = self._clock.monotonic()
            if error is not None:
                error.begun = True
        future = running.future
        if not future.done():
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)
        if invocation is not None:
            self._on_free(self)

    def _logged(self, frame: frames.Frame) -> None:
        _, invocation, level, stream, text, at_ms = frame
        if not (
            isinstance(text, str)
            and isinstance(stream, str)
            and isinstance(at_ms, int)
            and (invocation is None or isinstance(invocation, str))
        ):
            raise ShowgroundError("protocol_error", "a log frame of the wrong shape")
        if self._log.floods():
            raise ShowgroundError("protocol_error", "it floods its log")
        running = self._by_invocation.get(invocation) if invocation is not None else None
        known = running.invocation if running is not None else None
        self._log.line(
            known.installation if known is not None else None,
            known.id if known is not None else None,
            level if level in LEVELS else "info",
            stream if stream in ("stdout", "stderr", "logging", "traceback") else "output",
            text,
            at_ms if 0 < at_ms < LATEST_MS else 0,
        )

    # --- capability calls ---

    def _capability(self, frame: frames.Frame) -> None:
        _, number, method, params = frame
        if method != "capability":
            raise ShowgroundError("protocol_error", f"a call of {repr(method)}")
        invocation_id, member, name, args = params
        if type(args) is not list or type(number) is not int:
            raise ShowgroundError("protocol_error", "a capability call of the wrong shape")
        running = self._by_invocation.get(invocation_id)
        if running is None or running.invocation is None:
            self._strays.count(self._clock.monotonic())
            gone = ShowgroundError(
                "not_found",
                "the invocation is not running (any more) in this worker",
                "invocation",
                "Await everything that a handler starts before it returns.",
            )
            self._send([ERROR, number, gone.to_json()["error"]])
            return
        self._capabilities.begin(running, number, member, name, args)

    def _send(self, frame: list[object]) -> None:
        if self._channel is not None:
            self._channel.send(frames.encode(frame, self.app.limits.frame_bytes), at_once=len(self._running) == 1)

    # --- end ---

    def drain(self) -> None:
        """Let it finish what runs and end; no further invocation may be sent."""
        self.draining = self._leaving = True
        if self._channel is not None:
            self._channel.send(frames.encode([DRAIN], 64), at_once=True)

    def kill(self, reason: str) -> None:
        """SIGKILL to all of its processes. *reason* is what `on_end` tells."""
        if self.ended.done():
            return
        if self._doom is None:
            self._doom = reason
        if self._number is not None:
            self._zygote.kill(self._number)

    def _closed(self, fault: str | None) -> None:
        """The channel has closed: by the worker, or because of what it sent."""
        if fault is not None:
            self._break_off(fault)
        else:
            # usually it is ending, and the exit that is reported says why; then this changes nothing
            self.kill("protocol error: it closed its socket" if not self.draining else "drained")

    def _break_off(self, fault: str) -> None:
        self._cut_off = True
        self.kill(f"protocol error: {fault}")

    def _exited(self, exited: spawning.Exited | None) -> None:
        if self._cut_off and exited is not None and exited.code == 0:
            # it saw our end close, and left before SIGKILL came
            self._finish(self._doom or "exit code 0")
        else:
            self._finish(exits.reason(exited, self._doom, self.app.limits))

    def _finish(self, reason: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(reason)
        if self._channel is not None:
            self._channel.close()
        if self._output is not None:
            self._output.close()
        expected = (self.draining and reason != OVERSTAYED) or reason == NOT_STARTED or self._doom in EXPECTED
        running, self._running = list(self._running.values()), {}
        self._by_invocation.clear()
        self.in_flight = 0
        hit: set[InstallationId] = set()
        for call in running:
            if call.invocation is not None:
                hit.add(call.invocation.installation)
                self._capabilities.end(call)
            if not call.future.done():
                call.future.set_exception(self._verdict(call, reason))
        if not expected:
            said = f"the worker of {self.app.app} {self.app.version} ended: {reason}"
            targets: list[InstallationId | None] = [*sorted(hit)] or [None]
            for installation in targets:
                self._log.host(installation, "error", said)
        self._on_end(self, reason, expected)

    def _verdict(self, call: Running, reason: str) -> ShowgroundError:
        name = f"{self.app.app} {self.app.version}"
        if reason.startswith(exits.NOT_CONFINED):
            return ShowgroundError("misconfigured", f"{name} was not started: {reason}; its log says why", "isolation")
        if call.invocation is None:
            if call.cancelled_at is not None:
                reason = f"it took longer than {self.app.limits.load_timeout_s:g} s"
            return ShowgroundError("app_load_failed", f"{name} could not be loaded: {reason}", call_where(reason))
        if call.cancelled_at is not None:
            return ShowgroundError(
                "deadline_exceeded",
                f"the handler ran past its deadline of {call.invocation.timeout_s:g} s and its worker was ended",
                f"{call.invocation.kind} {call.invocation.name}",
            )
        code = "protocol_error" if reason.startswith("protocol error") else "worker_died"
        return ShowgroundError(
            code,
            f"the worker of {name} ended: {reason}",
            f"{call.invocation.kind} {call.invocation.name}",
            retry_after=self._policy.backoff_s,
        )


def error_in(body: object) -> ShowgroundError:
    """What an ERROR frame carries. Raises `protocol_error` when that is no map."""
    if not isinstance(body, dict):
        raise ShowgroundError("protocol_error", "an error of the wrong shape")
    error = ShowgroundError.from_json(body)
    if error.retry_after is not None and not 0 <= error.retry_after <= LATEST_S:
        error.retry_after = None
    return error


def call_where(reason: str) -> str:
    return "memory" if reason.startswith("out of memory") else "import"
