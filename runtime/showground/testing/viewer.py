"""A browser without a screen: speaks the browser protocol to a real host, keeps the tree, and finds blocks by what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp

from showground.ui.diff import Tree, apply

PATIENCE_S = 10.0


class NotSeen(AssertionError):
    """What a viewer waited for did not come; the message shows what was there."""


class Viewer:
    """One viewer of one post. Use as an async context manager, or call `connect` and `close`.

    `press("Vote")` presses the block that shows that text (or whose label, icon or key it is); `sees("3 votes")` waits until the
    text or label is there. Both fail with what the viewer did see.
    """

    def __init__(self, url: str, post: str, ticket: str | None = None, env: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self.post = post
        self.ticket = ticket
        self.env = dict(env or {})
        self.protocol = 1
        self.view: str | None = None
        self.resume: str | None = None
        self.rev = 0
        self.ack = 0
        self.resumed: bool | None = None
        self.tree: Tree | None = None
        self.intervals: dict[str, int] = {}
        self.effects: list[dict[str, Any]] = []
        self.farewell: dict[str, Any] | None = None
        self.errors: list[dict[str, Any]] = []
        self.bytes_received = 0
        self.messages = 0
        self._seq = 0
        self._unacknowledged: dict[int, dict[str, Any]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    # --- connection ---

    async def connect(self, *, forget: bool = False) -> None:
        """Connect, or connect again: the view is taken up where it was unless *forget*, and what was not acknowledged is
        sent again."""
        if forget:
            self.view = self.resume = None
        self._session = self._session or aiohttp.ClientSession()
        address = f"{self.url.replace('http', 'ws', 1)}/live/{self.post}/socket"
        self._socket = await self._session.ws_connect(address, max_msg_size=0)
        self.farewell = None
        self.resumed = None
        self.errors.clear()
        hello: dict[str, Any] = {"type": "hello", "protocol": self.protocol, "post": self.post, "env": self.env}
        if self.view is not None:
            hello |= {"view": self.view, "resume": self.resume, "rev": self.rev}
        if self.ticket is not None:
            hello["ticket"] = self.ticket
        await self._socket.send_str(json.dumps(hello))
        self._reader = asyncio.create_task(self._read(self._socket), name=f"viewer of {self.post}")
        await self.until(lambda: self.resumed is not None or self.errors or self.farewell, "a welcome")
        if self.errors and self.resumed is None:
            raise NotSeen(f"the host refused: {self.errors[-1]}")
        for seq, event in sorted(self._unacknowledged.items()):
            await self._send({"type": "event", "seq": seq, "event": event})

    async def cut(self) -> None:
        """Lose the connection as a broken network does: without a word."""
        if self._socket is not None and self._socket._response.connection is not None:
            transport = self._socket._response.connection.transport
            if transport is not None:
                transport.abort()
        await self._end_reader()

    async def close(self) -> None:
        """Leave. Idempotent."""
        if self._socket is not None:
            await self._socket.close()
        await self._end_reader()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            self.bytes_received += len(message.data.encode())
            self.messages += 1
            await self._take(json.loads(message.data))
            self._changed.set()
            await asyncio.sleep(0)  # who waits looks after each message, also when the next is there already
        self.farewell = self.farewell or {"type": "bye", "reason": "connection lost", "retry_after": 0}
        self._changed.set()

    async def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "welcome":
                if message["view"] != self.view:
                    self._seq, self._unacknowledged = 0, {}
                self.view, self.resume, self.resumed = message["view"], message["resume"], message["resumed"]
                self._reach(message)
            case "update":
                if "patch" in message and message["base"] != self.rev:
                    await self._send({"type": "refresh"})
                    return
                self._reach(message)
                self.effects += message.get("effects", [])
            case "error":
                self.errors.append(message["error"])
            case "bye":
                self.farewell = message

    def _reach(self, message: dict[str, Any]) -> None:
        self.rev = message["rev"]
        if "tree" in message:
            self.tree = message["tree"]
        elif "patch" in message and self.tree is not None:
            self.tree = apply(message["patch"], self.tree)
        self.intervals = message.get("intervals", self.intervals)
        self.ack = max(self.ack, message.get("ack") or 0)
        for seq in [seq for seq in self._unacknowledged if seq <= self.ack]:
            del self._unacknowledged[seq]

    async def _send(self, message: dict[str, Any]) -> None:
        if self._socket is not None and not self._socket.closed:
            with suppress(ConnectionError):  # lost just now: what was not acknowledged is sent again by `connect`
                await self._socket.send_str(json.dumps(message))

    # --- what a person does ---

    async def press(self, what: str, *, wait: bool = True) -> None:
        """Press the first block that says *what*; with *wait*, until the host has acknowledged it."""
        node = await self._pressable(what)
        event = {"type": "press", "action": node[1]["press"]}
        if "data" in node[1]:
            event["data"] = node[1]["data"]
        await self.event(event, wait=wait)

    async def submit(self, values: Mapping[str, Any], *, wait: bool = True) -> None:
        """Submit the form that was shown last."""
        form = next((e for e in reversed(self.effects) if e["type"] == "form"), None)
        if form is None:
            raise NotSeen(f"no form is shown; effects so far: {self.effects}")
        await self.event({"type": "form_submitted", "form": form["id"], "data": dict(values)}, wait=wait)

    async def tick(self, *, wait: bool = True) -> None:
        """Let every interval pass once, as the browser's timers would."""
        for hook in list(self.intervals):
            await self.event({"type": "interval", "hook": hook}, wait=wait)

    async def event(self, event: dict[str, Any], *, wait: bool = True) -> None:
        """Send any event of the browser protocol."""
        self._seq += 1
        seq = self._seq
        self._unacknowledged[seq] = event
        await self._send({"type": "event", "seq": seq, "event": event})
        if wait:
            await self.until(lambda: self.ack >= seq, f"the acknowledgement of {event}")

    async def _pressable(self, what: str) -> Tree:
        found: list[Tree] = []

        def there() -> bool:
            found[:] = [node for node in self.nodes() if "press" in node[1] and _says(node, what)]
            return bool(found)

        await self.until(there, f"something to press that says {what!r}")
        return found[0]

    # --- what a person sees ---

    def nodes(self) -> Iterator[Tree]:
        """Every block of the tree, in reading order."""
        stack: list[Tree] = [self.tree] if self.tree is not None else []
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node[2] if len(node) > 2 else []))

    @property
    def text(self) -> str:
        """All text, line by line."""
        return "\n".join(str(node[1]["text"]) for node in self.nodes() if node[1].get("text"))

    @property
    def labels(self) -> list[str]:
        """What a screen reader says of blocks that carry a label, in reading order."""
        return [str(node[1]["label"]) for node in self.nodes() if node[1].get("label")]

    @property
    def toasts(self) -> list[str]:
        """The texts of the toasts so far, oldest first."""
        return [str(effect["text"]) for effect in self.effects if effect["type"] == "toast"]

    async def sees(self, text: str) -> None:
        """Wait until *text* is somewhere on the screen, or in a label."""
        await self.until(lambda: text in self.text or any(text in label for label in self.labels), repr(text))

    async def hears(self, toast: str) -> None:
        """Wait until a toast says *toast*."""
        await self.until(lambda: toast in self.toasts, f"the toast {toast!r}")

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for a condition that only what arrives can change."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise NotSeen(
                f"waited {PATIENCE_S:g} s for {what}; the screen shows:\n{self.text or '(nothing)'}\n"
                f"labels: {', '.join(self.labels) or '(none)'}\n"
                f"effects: {self.effects[-3:]}, errors: {self.errors[-3:]}, farewell: {self.farewell}"
            ) from None


def _says(node: Tree, what: str) -> bool:
    if any(node[1].get(name) == what for name in ("text", "label", "k", "icon", "name")):
        return True
    return any(_says(child, what) for child in (node[2] if len(node) > 2 else []) if "press" not in child[1])
