"""A shorter way for requests like those before them.

Back ends that send events and invocations send the same head again and again; only the length of the body changes. Once aiohttp
has read such a head, and the route behind it has answered well, the next request with the same bytes goes straight to that route.
Nothing is parsed here: what differs by a byte, comes in pieces, is pipelined or has anything unusual about it goes to aiohttp.
Who may ask, whether the host is stopping and whether the app is installed are looked at for each request, as on the long way.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from showground.crew import Crew
from showground.exchange import Asked, Exchange
from showground.tasks import Tasks
from showground.web.answers import AnswerBytes
from showground.web.connections import Doorway, Patience, PatientConnection
from showground.web.exchanges import KnownAsked

Failure = Callable[[Asked, Exception], web.Response]

HEADS = 512
"""Heads that are remembered; the one not used for longest goes first. With `HEAD_BYTES` this bounds the memory to 1 MiB."""
HEAD_BYTES = 2048

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,7})(?=\r\n)")


class Head:
    """The head of one whole request, without the digits of its length: what is compared."""

    __slots__ = ("body", "key")

    def __init__(self, key: bytes, body: bytes) -> None:
        self.key = key
        self.body = body

    @classmethod
    def of(cls, data: bytes) -> Head | None:
        """None unless *data* is exactly one request with a body of stated length."""
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
        if end < 0:
            return None
        found = _LENGTH.search(data, 0, end + 2)
        if found is None or len(data) - end - 4 != int(found[1]):
            return None
        first, last = found.span(1)
        return cls(data[:first] + data[last:end], data[end + 4 :])


class Shortcut:
    """The heads that are known, and what runs of them."""

    def __init__(self, answers: AnswerBytes, failure: Failure, is_draining: Callable[[], bool]) -> None:
        self._answers = answers
        self._failure = failure
        self._is_draining = is_draining
        self._known: OrderedDict[bytes, tuple[Exchange, Asked]] = OrderedDict()
        self._seen: set[bytes] = set()
        self._tasks = Tasks()
        self._crew = Crew("answer", self._tasks)
        self.taken = 0
        """Requests that went this way."""

    @property
    def is_open(self) -> bool:
        return not (self._tasks.closed or self._is_draining())

    def start(self, answering: Coroutine[Any, Any, None]) -> None:
        self._crew.start(answering)

    async def stop(self, within_s: float) -> None:
        """Let what runs be answered, at most so long."""
        await self._crew.finish(within_s)
        await self._tasks.close()

    def find(self, head: Head) -> tuple[Exchange, Asked] | None:
        return self._known.get(head.key)

    def learn(self, head: Head, route: Exchange, request: web.BaseRequest, asked: Asked) -> None:
        """*route*, which also admits the caller, has answered *request*; aiohttp read it from exactly that head."""
        if head.key in self._known or not _is_plain(head.key, request):
            return
        if head.key not in self._seen:
            # At the second time only: heads with an id of their own in them would push the others out.
            if len(self._seen) >= HEADS:
                self._seen.clear()
            self._seen.add(head.key)
            return
        self._seen.discard(head.key)
        self._known[head.key] = route, KnownAsked(asked)
        if len(self._known) > HEADS:
            self._known.popitem(last=False)

    async def answer(self, route: Exchange, asked: Asked, body: bytes) -> bytes:
        """The whole response, as aiohttp would write it."""
        self.taken += 1
        try:
            return self._answers.of(await route(asked, body))
        except Exception as error:
            return self._answers.of_response(self._failure(asked, error))


def _is_plain(key: bytes, request: web.BaseRequest) -> bool:
    """Whether nothing in the head asks for more than an answer on a connection that stays open."""
    headers = request.headers
    return (
        request.version == (1, 1)
        and key.lower().count(b"content-length") == 1
        and headers.get("Connection", "keep-alive").lower() == "keep-alive"
        and not any(
            name in headers for name in ("Transfer-Encoding", "Content-Encoding", "Expect", "Upgrade", "Trailer")
        )
    )


class ShortcutConnection(PatientConnection):
    """Tries the shorter way for each request that comes while aiohttp has nothing to do on this connection."""

    def __init__(
        self, server: Callable[[], asyncio.Protocol], patience: Patience, doorway: Doorway, shortcut: Shortcut
    ) -> None:
        super().__init__(server, patience, doorway)
        self._shortcut = shortcut
        self._open = 0
        """Whole requests that aiohttp has and has not answered yet."""
        self._is_strange = False
        """Something came that is not one whole request: from then on only aiohttp knows where the next one begins."""
        self._head: Head | None = None
        """Of the request that came last."""
        self._is_answering = False
        self._held: list[bytes] = []
        self._is_paused = False

    def data_received(self, data: bytes) -> None:
        if self._is_answering:
            self._hold(data)
            return
        if not self._is_strange:
            head = Head.of(data)
            if head is None:
                self._is_strange = True
            elif self._may_shorten() and (known := self._shortcut.find(head)) is not None:
                self._due = None
                self._is_answering = True
                self._shortcut.start(self._answer(*known, head.body))
                return
            else:
                self._open += 1
            self._head = head
        super().data_received(data)

    def _may_shorten(self) -> bool:
        return not (self._open or self._is_paused) and self._shortcut.is_open

    async def _answer(self, route: Exchange, asked: Asked, body: bytes) -> None:
        try:
            response = await self._shortcut.answer(route, asked, body)
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(response)
        finally:
            self._is_answering = False
            if self._transport is not None and not self._transport.is_closing():
                self._wait(self._patience.idle_s)
                self._give_held()

    # --- what aiohttp answers ---

    def learn(self, route: Exchange, request: web.BaseRequest, asked: Asked) -> None:
        if self._open == 1 and self._head is not None:
            self._shortcut.learn(self._head, route, request, asked)

    def answers_shortly(self) -> None:
        if self._open:
            # after this turn aiohttp has nothing to do with the request any more
            self._loop.call_soon(self._answered)

    def _answered(self) -> None:
        self._open -= 1

    def pause_writing(self) -> None:
        self._is_paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._is_paused = False
        super().resume_writing()

    # --- what comes too early ---

    def _hold(self, data: bytes) -> None:
        """A client that does not wait for answers gets them in order; at most what was read at once is kept."""
        self._held.append(data)
        if self._transport is not None:
            self._transport.pause_reading()

    def _give_held(self) -> None:
        if self._held and self._transport is not None:
            held, self._held = b"".join(self._held), []
            self._transport.resume_reading()
            self.data_received(held)
