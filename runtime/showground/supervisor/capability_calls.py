"""The capability calls of what runs in one worker: begun, answered, and ended with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from showground.crew import Crew
from showground.errors import ShowgroundError
from showground.model import AppVersion
from showground.supervisor.broker import Broker, Session
from showground.supervisor.calls import Running
from showground.worker.frames import ERROR, REPLY

Send = Callable[[list[object]], None]
"""Sends a frame to the worker. Raises `too_large`, or `TypeError` for what cannot be sent."""


class CapabilityCalls:
    def __init__(self, app: AppVersion, broker: Broker, crew: Crew, send: Send) -> None:
        self._app = app
        self._broker = broker
        self._crew = crew
        self._send = send

    def begin(self, running: Running, number: int, member: str, method: str, args: list[object]) -> None:
        """Begin call *number* of *running*; the worker is answered when it has ended. Raises `protocol_error`."""
        if running.session is None:
            assert running.invocation is not None
            running.session = self._broker.open(running.invocation, self._app)
            running.calls = {}
        assert running.calls is not None
        if number in running.calls:
            raise ShowgroundError("protocol_error", f"two open calls with the number {number}")
        try:
            if not self._serve_soon(running, running.session, number, member, method, args):
                serving = self._serve(running, running.session, number, member, method, args)
                running.calls[number] = self._crew.start(serving).cancel
        except ShowgroundError as error:
            self._send([ERROR, number, error.to_json()["error"]])

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

    def _serve_soon(
        self, running: Running, session: Session, number: int, member: str, method: str, args: list[object]
    ) -> bool:
        def ended(result: object, error: ShowgroundError | None) -> None:
            if running.calls is not None:
                running.calls.pop(number, None)
            self._answer(number, member, method, result, error)

        cancel = session.soon(member, method, args, ended)
        if cancel is None or running.calls is None:
            return False
        running.calls[number] = cancel
        return True

    async def _serve(
        self, running: Running, session: Session, number: int, member: str, method: str, args: list[object]
    ) -> None:
        result, failed = None, None
        try:
            result = await session.call(member, method, args)
        except ShowgroundError as error:
            failed = error
        finally:
            if running.calls is not None:
                running.calls.pop(number, None)
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
