"""Live posts without a host: a stage for one post, and a screen for each viewer, in one process and without waiting.

A screen does what a browser does: it keeps a tree and applies patches. After every step it compares its tree with a fresh render
of the state by a worker that has seen nothing, so each test of an app also tests that its post can be resumed anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import msgspec

from showground.author.records import CustomPostType
from showground.author.views import Bundle, Views
from showground.context.assets import AssetNames
from showground.context.call import Call
from showground.errors import ShowgroundError
from showground.keys import installation_id
from showground.model import Invocation
from showground.ui.diff import Tree, apply


class _OnePost:
    """A bundle that is nothing but a post type."""

    def __init__(self, render: Callable[..., Any], height: str, assets: Sequence[str]) -> None:
        post_type = CustomPostType(name="post", render=render, height=height)  # type: ignore[arg-type]
        self.handlers = SimpleNamespace(post_types={"post": post_type})
        self.module = ModuleType("post")
        self.module.__file__ = render.__code__.co_filename
        self.asset_names = AssetNames.at("/assets/app/1.0.0", assets)


class Stage:
    """One post of one bundle. *call* answers capability calls; without it, channels work and the rest is refused."""

    def __init__(self, bundle: Bundle, call: Call | None = None, *, post_id: str = "t3_post", data: Any = None) -> None:
        self._bundle = bundle
        self._call = call
        self.views = Views(bundle)
        self.post = {"id": post_id, "data": data}
        self.screens: list[Screen] = []
        self.sent: list[tuple[str, Any]] = []
        """Channel and payload of every message that the app sent, in order. `deliver_sent` passes them on."""
        self.requests = 0

    @classmethod
    def of(
        cls,
        render: Callable[..., Any],
        call: Call | None = None,
        *,
        height: str = "regular",
        data: Any = None,
        assets: Sequence[str] = (),
    ) -> Self:
        """A stage for a render function."""
        return cls(_OnePost(render, height, assets), call, data=data)

    async def open(self, user: str | None = "t2_ann", *, connect: bool = True, **env: Any) -> Screen:
        """Another viewer; their channels are connected unless *connect* is False."""
        screen = Screen(self, f"view-{len(self.screens)}", {"id": user, "name": user and user.removeprefix("t2_")}, env)
        await screen.step(full=True)
        self.screens.append(screen)
        if connect:
            await screen.connect()
        return screen

    async def deliver(self, channel: str, *messages: Any) -> None:
        """Messages of a channel reach all who want it: one request, as a host makes it."""
        wanting = [screen for screen in self.screens if channel in screen.channels]
        if wanting:
            events = [{"type": "message", "channel": channel, "data": msgspec.json.encode(m)} for m in messages]
            await self.request(wanting, events)

    async def deliver_sent(self) -> None:
        """Pass on what was sent, and what is sent because of that."""
        while self.sent:
            channel, message = self.sent.pop(0)
            await self.deliver(channel, message)

    async def request(self, screens: Sequence[Screen], events: Sequence[Mapping[str, Any]], full: bool = False) -> None:
        """One view request for *screens*, repeated with states or one by one where the worker asks for it."""
        reply = await self._ask(self.views, screens, events, full)
        for screen, index, rev in zip(screens, reply["of"], reply["revs"], strict=True):
            result = reply["results"][index]
            if result.get("need_state"):
                again = await self._ask(self.views, [screen], events, full, with_state=True)
                screen.take(again["results"][0], again["revs"][0])
            elif result.get("alone"):
                await self.request([screen], events, full)
                continue
            else:
                screen.take(result, rev)
            await self._check(screen)

    async def _ask(
        self,
        views: Views,
        screens: Sequence[Screen],
        events: Sequence[Mapping[str, Any]],
        full: bool,
        with_state: bool = False,
    ) -> Any:
        self.requests += 1
        records = [
            {
                "id": s.id,
                "rev": s.rev,
                "state": s.state if with_state or not s.rev else None,
                "full": full,
                "viewer": s.viewer,
                "env": s.env,
            }
            for s in screens
        ]
        payload = msgspec.msgpack.encode({"post": self.post, "views": records, "events": list(events)})
        post_type = next(iter(self._bundle.handlers.post_types))
        invocation = Invocation(
            id="i",
            installation=installation_id("app", "playground"),
            app="app",
            app_version="1.0.0",
            community="playground",
            kind="view",
            name=post_type,
            timeout_s=30,
        )
        return msgspec.msgpack.decode(await views.handle(invocation, payload, self._answer))

    async def _answer(self, member: str, method: str, /, *arguments: object) -> Any:
        if (member, method) == ("realtime", "send"):
            name, payload = arguments
            assert isinstance(payload, bytes)
            self.sent.append((str(name), msgspec.json.decode(payload)))
            return f"e.{len(self.sent)}"
        if self._call is None:
            raise ShowgroundError("not_configured", f"this stage has no {member}.{method}")
        return await self._call(member, method, *arguments)

    async def _check(self, screen: Screen) -> None:
        """Whoever resumes this view elsewhere sees what its viewer sees."""
        if screen.state and screen.tree is not None:
            fresh = await self._ask(Views(self._bundle), [screen], [], full=True, with_state=True)
            self.requests -= 1
            tree = msgspec.json.decode(fresh["results"][0]["tree"])
            assert tree == screen.tree, f"a fresh render differs from the patched tree:\n{tree}\n{screen.tree}"


@dataclass(eq=False)
class Screen:
    """One viewer's browser."""

    stage: Stage
    id: str
    viewer: Mapping[str, Any]
    env: dict[str, Any]
    rev: int = 0
    state: bytes = b""
    tree: Tree | None = None
    channels: tuple[str, ...] = ()
    intervals: dict[str, int] = field(default_factory=dict)
    effects: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False
    last: dict[str, Any] = field(default_factory=dict)
    """The last result, as the worker gave it."""

    async def step(self, *events: Mapping[str, Any], full: bool = False) -> None:
        """Send events of this view alone."""
        await self.stage.request([self], events, full)

    def take(self, result: dict[str, Any], rev: int) -> None:
        """What a browser and its host do with a result."""
        self.last = result
        self.rev = rev
        self.state = result.get("state") or self.state
        if result.get("tree") is not None:
            self.tree = msgspec.json.decode(result["tree"])
        elif result.get("patch") is not None:
            assert self.tree is not None
            self.tree = apply(msgspec.json.decode(result["patch"]), self.tree)
        self.channels = tuple(result["channels"]) if result.get("channels") is not None else self.channels
        if result.get("intervals") is not None:
            self.intervals = msgspec.json.decode(result["intervals"])
        self.effects = msgspec.json.decode(result["effects"]) if result.get("effects") else []
        self.errors = list(result.get("errors", ()))
        self.more = bool(result.get("more"))

    async def connect(self) -> None:
        """The host subscribed to what the view wants."""
        for name in self.channels:
            await self.step({"type": "channel", "channel": name, "connected": True})

    async def disconnect(self) -> None:
        for name in self.channels:
            await self.step({"type": "channel", "channel": name, "connected": False})

    async def press(self, label: str | int) -> None:
        """Press what shows (or is labelled, or keyed) *label*."""
        action = self.find(label).get("press")
        assert action is not None, f"{label!r} cannot be pressed"
        await self.step({"type": "press", "action": action})

    async def submit(self, **values: Any) -> None:
        """Submit the form that is shown."""
        form = next(e for e in self.effects if e["type"] == "form")
        await self.step({"type": "form_submitted", "form": form["id"], "data": msgspec.json.encode(values)})

    async def tick(self) -> None:
        """Every timer fires once."""
        for hook in list(self.intervals):
            await self.step({"type": "interval", "hook": hook})

    async def load(self) -> None:
        """Do what a host does when there is more: run the async hooks beside the view, then pass on their answers."""
        while self.more:
            await self.step({"type": "async_start"})
            await self.step({"type": "async_answer", "data": self.last["answer"]})

    def find(self, label: str | int) -> dict[str, Any]:
        """The attributes of the block that shows, is labelled or is keyed *label*."""
        for _, attributes in self.nodes():
            if label in (attributes.get("text"), attributes.get("label"), attributes.get("k")):
                return attributes
        raise AssertionError(f"nothing shows {label!r}; there is {self.texts}")

    def nodes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Type and attributes of every block, in document order."""
        waiting = [self.tree] if self.tree is not None else []
        while waiting:
            node = waiting.pop()
            yield node[0], node[1]
            waiting.extend(reversed(node[2] if len(node) > 2 else []))

    @property
    def texts(self) -> list[str]:
        return [attributes["text"] for _, attributes in self.nodes() if attributes.get("text")]

    @property
    def kinds(self) -> Counter[str]:
        return Counter(kind for kind, _ in self.nodes())
