"""The capability calls of what runs in one worker: begun, answered, and ended with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from showground.crew import Crew
from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.model import AppVersion
from showground.soon import OnEnd, Quick
from showground.supervisor.broker import Broker, Session
from showground.supervisor.calls import Running
from showground.worker.frames import ERROR, REPLY

Send = Callable[[list[object]], None]
"""Sends a frame to the worker. Raises `too_large`, or `TypeError` for what cannot be sent."""


def nothing() -> None:
    """Cancels a call that holds up nobody: its answer is not sent."""


async def _serve(function: Method, args: list[object], ended: OnEnd) -> None:
    """Wait for a call that takes a task."""
    try:
        result = await function(*args)
    except Exception as error:
        ended(None, error)
    else:
        ended(result, None)


class CapabilityCalls:
    def __init__(self, app: AppVersion, broker: Broker, crew: Crew, send: Send) -> None:
        self._app = app
        self._broker = broker
        self._crew = crew
        self._send = send

    def begin(self, running: Running, number: int, member: str, method: str, args: list[object]) -> None:
        """Begin call *number* of *running*; the worker is answered when it has ended. Raises `protocol_error`."""
        session, calls = running.session, running.calls
        if session is None or calls is None:
            session, calls = self._open(running)
        if number in calls:
            raise ShowgroundError("protocol_error", f"two open calls with the number {number}")
        try:
            function = session.find(member, method, len(calls))
        except ShowgroundError as error:
            self._send([ERROR, number, error.to_json()["error"]])
            return
        calls[number] = nothing
        ended = functools.partial(self._ended, running, session, function, number, member, method)
        try:
            has_begun = type(function) is Quick and function.soon(ended, *args)
        except Exception as error:
            ended(None, error)
            return
        if not has_begun:
            calls[number] = self._crew.start(_serve(function, args, ended)).cancel

    def _open(self, running: Running) -> tuple[Session, dict[int, Callable[[], object]]]:
        assert running.invocation is not None
        session = running.session = self._broker.open(running.invocation, self._app)
        calls = running.calls = {}
        return session, calls

    def cancel(self, among: Iterable[Running], number: object) -> None:
        """The worker does not wait for call *number* any more."""
        for running in among:
            if running.calls:
                cancel = running.calls.pop(number, None)  # type: ignore[call-overload]  # whatever was sent is only looked up
                if cancel is not None:
                    cancel()
                    return

    def end(self, running: Running) -> None:
        """*running* is over: so are its calls."""
        calls, running.calls = running.calls, None
        for cancel in (calls or {}).values():
            cancel()

    def _ended(
        self,
        running: Running,
        session: Session,
        function: Method,
        number: int,
        member: str,
        method: str,
        result: object,
        error: Exception | None,
    ) -> None:
        if running.calls is None or running.calls.pop(number, None) is None:
            return  # nobody waits for it any more
        failed = None if error is None else session.told(member, method, function, error)
        self._answer(number, member, method, result, failed)

    def _answer(self, number: int, member: str, method: str, result: object, failed: ShowgroundError | None) -> None:
        try:
            self._send([REPLY, number, result] if failed is None else [ERROR, number, failed.to_json()["error"]])
        except ShowgroundError as error:
            error.message = f"the answer of context.{member}.{method} is too large: {error.message}"
            self._send([ERROR, number, error.to_json()["error"]])
        except TypeError:
            text = f"context.{member}.{method} answered with what cannot be sent"
            self._send([ERROR, number, ShowgroundError("plugin_error", text).to_json()["error"]])
