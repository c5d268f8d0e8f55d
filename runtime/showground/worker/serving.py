"""The worker's main: loads one bundle, then answers `invoke` calls until it is told to drain or its socket closes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from showground.errors import ShowgroundError
from showground.model import AppVersion, Invocation
from showground.tasks import Tasks, has_begun
from showground.worker import frames, spawning
from showground.worker.frames import CALL, CANCEL, DRAIN, ERROR, LOG, READY, REPLY
from showground.worker.loader import Load, LoadedBundle
from showground.worker.logs import Budget, FrameHandler, LineWriter, current_invocation, cut
from showground.worker.syscalls import libc

MESSAGE_BYTES = 2000
"""How much of an exception's own text travels in an error; the log has more."""
LOG_BACKLOG_BYTES = 1024 * 1024
"""Log frames are dropped (and counted) while more than this waits for the host."""


class Server:
    """Answers one host over one socket. Knows nothing of triggers, jobs or views: all of them go to `bundle.run`."""

    def __init__(self, sock: socket.socket, order: spawning.Spawn, load: Load) -> None:
        self._sock = sock
        self._folder = Path(order.folder).resolve()
        self._limits = order.limits
        self._load = load
        self._bundle: LoadedBundle | None = None
        self._running: dict[int, asyncio.Task[Any]] = {}
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._last_call = 0
        self._draining = False
        self._budget = Budget(order.limits.log_lines_per_s)
        self._tasks = Tasks()

    async def serve(self) -> int:
        """Serve until the end; returns the exit code."""
        self._loop = loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = loop.create_future()
        loop.set_exception_handler(on_loop_error)
        self._channel = frames.Channel(self._sock, self._limits.frame_bytes, self._receive, self._closed)
        self._take_output()
        self._send([READY, frames.PROTOCOL, os.getpid()])
        return await self._end

    def _closed(self, reason: str | None) -> None:
        if reason is not None:
            os.write(2, f"the host broke the worker protocol: {reason}\n".encode())
        os._exit(0 if reason is None else 1)  # nobody is left to finish anything for

    # --- frames in ---

    def _receive(self, frame: frames.Frame) -> None:
        kind = frame[0]
        if kind == CALL:
            _, number, method, params = frame
            if method == "invoke":
                self._invoke(number, params)
            elif method == "load":
                self._load_app(number, params)
            else:
                self._send([ERROR, number, inner(ShowgroundError("bad_request", f"no method {method!r}"))])
        elif kind == REPLY:
            _, number, value = frame
            waiting = self._calls.pop(number, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(value)
        elif kind == ERROR:
            _, number, body = frame
            waiting = self._calls.pop(number, None)
            if waiting is not None and not waiting.done():
                waiting.set_exception(ShowgroundError.from_json(body))
        elif kind == CANCEL:
            self._cancel(frame[1])
        elif kind == DRAIN:
            self._draining = True
            self._end_if_drained()
        # kinds that a later protocol adds are passed over

    def _load_app(self, number: int, params: list[Any]) -> None:
        app = msgspec.convert(params[0], AppVersion)
        try:
            self._bundle = self._load(self._folder, app)
        except MemoryError:
            self._out_of_memory(number)
        except ShowgroundError as error:
            self._send([ERROR, number, inner(error)])
        except Exception as error:
            self._log(None, "error", "traceback", self._traceback(error))
            self._send([ERROR, number, inner(self._blame("app_load_failed", error))])
        else:
            self._send([REPLY, number, self._bundle.registration])
            give_back_memory()

    def _invoke(self, number: int, params: list[Any]) -> None:
        record, payload = params
        if self._bundle is None:
            raise ShowgroundError("protocol_error", "invoke before load")
        invocation = msgspec.convert(record, Invocation)
        self._running[number] = self._tasks.start("invoke", self._run(self._bundle, number, invocation, payload))

    def _cancel(self, number: int) -> None:
        task = self._running.get(number)
        if task is None:
            return
        task.cancel("deadline")
        if not has_begun(task):  # and never will, so it can't answer for itself
            text = "the call was cancelled before its handler began"
            self._answer(number, [ERROR, number, inner(ShowgroundError("deadline_exceeded", text))])

    # --- one invocation ---

    async def _run(self, bundle: LoadedBundle, number: int, invocation: Invocation, payload: bytes) -> None:
        current_invocation.set(invocation.id)
        answer: list[Any]
        try:
            answer = [REPLY, number, await bundle.run(invocation, payload, Caller(self, invocation.id))]
        except MemoryError:
            self._out_of_memory(number)
            return
        except asyncio.CancelledError:
            text = f"the handler ran past its deadline of {invocation.timeout_s:g} s and was cancelled"
            answer = [ERROR, number, inner(ShowgroundError("deadline_exceeded", text))]
        except ShowgroundError as error:
            answer = [ERROR, number, inner(error)]
        except Exception as error:
            self._log(invocation.id, "error", "traceback", self._traceback(error))
            answer = [ERROR, number, inner(self._blame("app_error", error))]
        self._stdout.finish(invocation.id)
        self._stderr.finish(invocation.id)
        self._answer(number, answer)

    def _answer(self, number: int, answer: list[Any]) -> None:
        del self._running[number]
        try:
            data = frames.encode(answer, self._limits.frame_bytes)
        except ShowgroundError as error:
            error.message = f"the handler's result is too large: {error.message}"
            data = frames.encode([ERROR, number, inner(error)], self._limits.frame_bytes)
        except TypeError as error:
            text = f"the handler's result cannot be sent: {error}"
            data = frames.encode([ERROR, number, inner(ShowgroundError("app_error", text))], self._limits.frame_bytes)
        self._tell_dropped()
        self._channel.send(data, at_once=not self._running)
        self._end_if_drained()

    def _blame(self, code: str, error: BaseException) -> ShowgroundError:
        """*error* as the caller sees it: its type and text, and the innermost line of the bundle's own that raised it."""
        where = ""
        for frame in traceback.extract_tb(error.__traceback__):
            path = Path(frame.filename)
            if path.is_relative_to(self._folder):
                where = f"{path.relative_to(self._folder)}:{frame.lineno}"
        if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(self._folder):
            where = f"{Path(error.filename).relative_to(self._folder)}:{error.lineno}"
        try:
            text = str(error)
        except Exception:
            text = "(its text could not be made)"
        kind = type(error).__name__
        return ShowgroundError(code, cut(f"{kind}: {text}" if text else kind, MESSAGE_BYTES), where)

    def _traceback(self, error: BaseException) -> str:
        """The traceback from the bundle's own outermost line on; all of it when it never got there."""
        trace = error.__traceback__
        while trace is not None and not Path(trace.tb_frame.f_code.co_filename).is_relative_to(self._folder):
            trace = trace.tb_next
        return "".join(traceback.format_exception(type(error), error, trace or error.__traceback__))

    def _out_of_memory(self, number: int) -> None:
        """What is left after a MemoryError is not to be trusted: answer, and end. DRAIN first, so that nothing more is sent."""
        self._send([DRAIN])
        text = f"MemoryError: out of memory (limit {self._limits.memory_mb} MB)"
        self._send([ERROR, number, inner(ShowgroundError("app_error", text))])
        self._channel.flush()
        os._exit(spawning.EXIT_MEMORY)

    def _end_if_drained(self) -> None:
        if self._draining and not self._running and not self._end.done():
            self._channel.flush()
            self._end.set_result(0)

    # --- capability calls ---

    async def call(self, invocation: str, member: str, method: str, args: tuple[object, ...]) -> Any:
        self._last_call = number = self._last_call + 1
        waiting: asyncio.Future[Any] = self._loop.create_future()
        data = frames.encode([CALL, number, "capability", [invocation, member, method, args]], self._limits.frame_bytes)
        self._calls[number] = waiting
        self._channel.send(data, at_once=len(self._running) < 2 and len(self._calls) < 2)
        try:
            return await waiting
        except asyncio.CancelledError:
            if self._calls.pop(number, None) is not None:
                self._send([CANCEL, number])
            raise

    # --- output ---

    def _take_output(self) -> None:
        self._stdout = LineWriter("stdout", "info", self._emit, io.FileIO(1, "w", closefd=False))
        self._stderr = LineWriter("stderr", "error", self._emit, io.FileIO(2, "w", closefd=False))
        sys.stdout = sys.__stdout__ = self._stdout  # type: ignore[assignment,misc]  # a TextIO in all that print needs
        sys.stderr = sys.__stderr__ = self._stderr  # type: ignore[assignment,misc]
        root = logging.getLogger()
        root.handlers[:] = [FrameHandler(self._emit)]
        root.setLevel(logging.INFO)

    def _emit(self, invocation: str | None, level: str, stream: str, text: str, at_ms: int) -> None:
        if self._channel.unsent_bytes > LOG_BACKLOG_BYTES or not self._budget.take():
            return
        self._tell_dropped()
        self._send([LOG, invocation, level, stream, cut(text), at_ms])

    def _tell_dropped(self) -> None:
        count = self._budget.dropped()
        if count:
            self._log(
                None, "warning", "host", f"{count} log records were dropped: more than the app's limit per second"
            )

    def _log(self, invocation: str | None, level: str, stream: str, text: str) -> None:
        self._send([LOG, invocation, level, stream, cut(text), 0])

    def _send(self, frame: list[Any]) -> None:
        self._channel.send(frames.encode(frame, self._limits.frame_bytes), at_once=True)


class Caller:
    """The `Call` of one invocation."""

    __slots__ = ("_invocation", "_server")

    def __init__(self, server: Server, invocation: str) -> None:
        self._server = server
        self._invocation = invocation

    async def __call__(self, member: str, method: str, *args: object) -> Any:
        return await self._server.call(self._invocation, member, method, args)


def give_back_memory() -> None:
    """Return to the system what compiling the app took and left free: 0.3 MB of the 7 that a small app's worker has to itself
    (2026-11-24)."""
    with contextlib.suppress(AttributeError):  # glibc has it, others may not
        libc().malloc_trim(0)


def on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What no handler saw: out of memory ends the worker, anything else is logged as asyncio does."""
    if isinstance(context.get("exception"), MemoryError):
        os._exit(spawning.EXIT_MEMORY)
    loop.default_exception_handler(context)


def inner(error: ShowgroundError) -> object:
    """The inner object of the error JSON shape."""
    return error.to_json()["error"]
