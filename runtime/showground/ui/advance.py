"""Takes one view from a snapshot through its events to the next snapshot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from showground.errors import ShowgroundError
from showground.model import Json
from showground.ui import run as runs
from showground.ui.calls import call, needs_argument
from showground.ui.effects import Effects
from showground.ui.elements import NO_DATA
from showground.ui.events import Event
from showground.ui.faults import error_line
from showground.ui.hooks.async_data import AsyncHook
from showground.ui.hooks.channel import PREFIX, Channel
from showground.ui.hooks.interval import Interval
from showground.ui.render import Action, Live, Rendered, render
from showground.ui.run import Run
from showground.ui.snapshots import NODE_BYTES, Snapshot, encode_state
from showground.ui.values import fresh

log = logging.getLogger("showground.app")
Wants = tuple[tuple[str, ...], tuple[tuple[str, int], ...], bool]
"""Channels, timers, and whether data is to be loaded."""
MAX_STATE_BYTES = 1024 * 1024
"""Of one view, packed. A snapshot of it is written for each press, so it should be far less."""
SORRY = "Something went wrong in this post. Nothing was changed."


class PostType(Protocol):
    """`showground.CustomPostType`, as far as drawing needs it."""

    @property
    def render(self) -> Callable[..., Any]: ...

    @property
    def height(self) -> str: ...


@dataclass(slots=True, eq=False)
class Advanced:
    """What became of a view. `read_viewer` and `read_env`: whether anything in this run depended on them."""

    snapshot: Snapshot | None
    """None: the first render failed, there is nothing to show."""
    effects: Effects
    errors: list[Mapping[str, Json]] = field(default_factory=list)
    read_viewer: bool = False
    read_env: bool = False


class Advance:
    """One view's way. Handlers' closures come from the snapshot's last render, or from a render made for it."""

    def __init__(self, run: Run, start: Snapshot, post_type: PostType, context: Any) -> None:
        self._run = run
        self._start = start
        self._post_type = post_type
        self._context = context
        self._result = Advanced(None, Effects())
        self._tree = start.tree
        self._packed = start.packed
        self._memos = start.memos
        self._nodes = 0
        self._reads = (start.read_viewer, start.read_env)
        self._wants: Wants = (start.channels, start.intervals, start.more)
        self._live: Live | None = start.live
        start.live = None  # closures serve one event: a handler may change what they captured
        if start.read_env and start.env != run.env:
            self._live, self._memos = None, {}
        # Cached closures hold what their render read, so results that come from them depend on it as well.
        self._result.read_viewer, self._result.read_env = self._reads

    async def through(self, events: Sequence[Event]) -> Advanced:
        """Run *events* in order, each as a transaction."""
        run, result = self._run, self._result
        runs.enter(run)
        try:
            if self._live is None and not await self._draw_first():
                return result
            for event in events:
                if self._live is None and not await self._draw_first():
                    break
                await self._one(event)
        finally:
            run.closed = True
        result.read_viewer |= run.made
        result.snapshot = self._snapshot()
        return result

    async def _draw_first(self) -> bool:
        """Draw what is there before an event; whether that worked."""
        kept = dict(self._run.state)
        try:
            await self._draw()
        except MemoryError:
            raise  # the worker cannot go on
        except Exception as error:
            self._run.state = kept
            self._fail("drawing the post", error)
            return False
        return True

    async def _one(self, event: Event) -> None:
        run, result = self._run, self._result
        kept = dict(run.state)
        run.effects = Effects()
        live, self._live = self._live, None
        assert live is not None
        run.forms = live.hooks
        try:
            if not await self._deliver(event, live):
                self._live = live
                return
            if event.type in ("resize", "theme"):
                self._memos = {}
            result.read_viewer |= run.read_viewer
            result.read_env |= run.read_env
            await self._draw()
        except MemoryError:
            raise
        except Exception as error:
            run.state = kept
            self._fail(_describe(event), error)
        else:
            result.effects.take(run.effects)
        finally:
            result.read_viewer |= run.read_viewer
            result.read_env |= run.read_env

    async def _deliver(self, event: Event, live: Live) -> bool:
        """Call what the event is for; whether there was anything, so that the post is to be drawn again."""
        match event.type:
            case "press":
                action = live.actions.get(event.action)
                if action is not None:
                    await _press(action)
                return action is not None
            case "resize" | "theme":
                return True
            case "message" | "channel":
                return await self._to_hook(live, PREFIX + event.channel, event, Channel)
            case "async":
                return await self._load_all(live)
            case "async_answer":
                return await self._take_answers(live, event)
            case "form_submitted" | "form_cancelled":
                return await self._to_hook(live, event.form, event)
            case _:
                return await self._to_hook(live, event.hook, event)

    async def _to_hook(self, live: Live, hook: str, event: Event, kind: type | None = None) -> bool:
        found: Any = live.hooks.get(hook)
        if found is None or (kind is not None and not isinstance(found, kind)):
            return False
        await found.handle(self._run, event)
        return True

    async def _load_all(self, live: Live) -> bool:
        waiting = _pending(live, self._run)
        answers = await asyncio.gather(*(hook.load() for hook in waiting))
        for hook, answer in zip(waiting, answers, strict=True):
            await hook.take(self._run, answer)
        return bool(waiting)

    async def _take_answers(self, live: Live, event: Event) -> bool:
        answers = msgspec.msgpack.decode(event.data or b"\x80", type=dict[str, tuple[Any, int, Any]])
        for name, answer in answers.items():
            hook = live.hooks.get(name)
            if isinstance(hook, AsyncHook):
                await hook.take(self._run, list(answer))
        return True

    async def _draw(self) -> None:
        run = self._run
        run.read_viewer = run.read_env = False
        rendered: Rendered = await render(
            run, self._post_type.render, self._context, self._post_type.height, self._memos
        )
        packed = encode_state(run.state)
        if len(packed) > MAX_STATE_BYTES:
            raise run.fault(
                f"the state of the post has {len(packed)} bytes; {MAX_STATE_BYTES} are allowed",
                "Keep what is large in Redis, and in the state only what is on screen.",
            )
        self._packed = packed
        self._tree = rendered.tree
        self._live = rendered.live
        self._memos = rendered.memos
        self._nodes = rendered.nodes
        self._reads = run.reads()
        self._wants = _wants(rendered.live, run)
        self._result.read_viewer |= run.read_viewer
        self._result.read_env |= run.read_env

    def _fail(self, what: str, error: Exception) -> None:
        log.error("%s failed", what, exc_info=error)
        if isinstance(error, ShowgroundError):
            body: Any = error.to_json()["error"]
            text = error.message if error.kind.temporary else SORRY
        else:
            message = f"{type(error).__name__}: {error}"[:500]
            body = ShowgroundError("app_error", message, error_line(error, self._run.folder)).to_json()["error"]
            text = SORRY
        self._result.errors.append(body)
        self._result.effects.add({"type": "error", "message": text})

    def _snapshot(self) -> Snapshot:
        run, start = self._run, self._start
        packed = self._packed
        read_viewer, read_env = self._reads
        channels, intervals, more = self._wants
        return Snapshot(
            state=start.state if packed == start.packed else run.state,
            packed=packed,
            home=start.home,
            tree=self._tree,
            live=self._live,
            memos=self._memos,
            read_viewer=read_viewer,
            read_env=read_env,
            env=run.env if read_env else None,
            channels=channels,
            intervals=intervals,
            more=more,
            size=len(packed) * 6 + self._nodes * NODE_BYTES + 2000 if self._nodes else start.size,
        )


def _wants(live: Live, run: Run) -> Wants:
    channels: list[str] = []
    intervals: list[tuple[str, int]] = []
    more = False
    for hook in live.hooks.values():
        if isinstance(hook, Channel):
            if run.state[hook.id][0]:
                channels.append(hook.name)
        elif isinstance(hook, Interval):
            ms, running = run.state[hook.id]
            if running:
                intervals.append((hook.id, ms))
        elif isinstance(hook, AsyncHook) and hook.pending(run):
            more = True
    return tuple(sorted(channels)), tuple(sorted(intervals)), more


def _pending(live: Live, run: Run) -> list[AsyncHook]:
    return [hook for hook in live.hooks.values() if isinstance(hook, AsyncHook) and hook.pending(run)]


async def load_beside(run: Run, start: Snapshot, post_type: PostType, context: Any) -> bytes:
    """Run the waiting async hooks of *start* and give their answers for an `async_answer` event; *start* stays as it is."""
    runs.enter(run)
    try:
        live = start.live
        if live is None:
            live = (await render(run, post_type.render, context, post_type.height, {})).live
        waiting = _pending(live, run)
        answers = await asyncio.gather(*(hook.load() for hook in waiting))
    finally:
        run.closed = True
    return msgspec.msgpack.encode({hook.id: answer for hook, answer in zip(waiting, answers, strict=True)})


async def _press(action: Action) -> None:
    """The handler gets the data that the app gave the block, never what a browser says that it was."""
    handler, data = action
    if data is not NO_DATA:
        await call(handler, fresh(data))
    elif needs_argument(handler):
        await call(handler, None)
    else:
        await call(handler)


def _describe(event: Event) -> str:
    target = event.action or event.form or event.hook or event.channel
    return f"{event.type} {target}".rstrip()
