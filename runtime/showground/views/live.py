"""Live posts on this host: first paint, coming and going of browsers, and the rooms that they meet in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from showground.capabilities import Community, LivePost, Position, Realtime
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import HostEvent
from showground.views import messages
from showground.views.calls import Answer, Invoker, PostCalls
from showground.views.incoming import Incoming
from showground.views.passes import Passes
from showground.views.records import Env, Snapshot, ViewerIdentity
from showground.views.room import REFRESH, Room
from showground.views.snapshots import Snapshots
from showground.views.view import Connection, Event, Reached, View

VIEWS_PER_HOST = 20_000
"""At most; fewer where the host may not have so many open files."""
OLDEST_PROTOCOL, PROTOCOL = 1, 1
"""Versions of the browser protocol. Pages outlive hosts: whoever raises the one leaves the other where it is for a release."""
FORKED = 1_000_000
"""By how much a browser may be ahead of its view's snapshot: it saw what only channel messages changed. A view that is rendered
anew goes on above every revision that its browser saw, so that one number never stands for two trees."""


@dataclass(frozen=True, slots=True)
class Painted:
    """What a page carries, so that it shows the post before any socket is open."""

    view: str
    resume: str
    rev: int
    tree: bytes
    intervals: bytes


class LivePosts:
    """All views that this host serves."""

    def __init__(
        self,
        community: Community,
        realtime: Realtime,
        snapshots: Snapshots,
        passes: Passes,
        invoker: Invoker,
        post_type: Callable[[LivePost], str],
        clock: Clock,
        observe: Callable[[HostEvent], None],
        redacted: Callable[[ShowgroundError], ShowgroundError] = lambda error: error,
        room: int = VIEWS_PER_HOST,
    ) -> None:
        self._redacted = redacted
        self._community = community
        self._realtime = realtime
        self._snapshots = snapshots
        self._passes = passes
        self._invoker = invoker
        self._post_type = post_type
        self._clock = clock
        self._observe = observe
        self._rooms: dict[str, Room] = {}
        self._count = 0
        self._most = min(room, VIEWS_PER_HOST)
        self._draining = False

    def __len__(self) -> int:
        return self._count

    async def post(self, post_id: str) -> LivePost:
        """Raises `not_found`."""
        post = await self._community.live_post(post_id)
        if post is None:
            raise ShowgroundError("not_found", f"there is no interactive post {post_id}", "post")
        return post

    # --- first paint ---

    async def paint(self, post: LivePost, viewer: ViewerIdentity, env: Env) -> Painted:
        """Begin a view and render it. Nobody serves it until its browser connects; until then it is kept for minutes."""
        view, answer = await self._begin(post, viewer, env)
        if answer.result.tree is None:
            raise self._redacted(_without_tree(post, answer))
        await self._snapshots.create(view.snapshot(post.id, post.installation))
        return Painted(
            view=view.id,
            resume=self._passes.sign(view.id, viewer.id),
            rev=view.reached.rev,
            tree=answer.result.tree,
            intervals=view.reached.intervals,
        )

    async def _begin(self, post: LivePost, viewer: ViewerIdentity, env: Env) -> tuple[View, Answer]:
        view = View(secrets.token_urlsafe(18), viewer, env, fence=0, reached=Reached(), positions={})
        [answer] = await self._calls(post).handle([view], [])
        result = answer.result
        view.cached = True
        view.reached = Reached(
            rev=answer.rev,
            state=result.state or b"",
            channels=result.channels or (),
            intervals=result.intervals or b"{}",
            more=result.more,
        )
        return view, answer

    # --- browsers come and go ---

    async def connect(
        self, post: LivePost, hello: Incoming, viewer: ViewerIdentity | None, connection: Connection
    ) -> View:
        """Take up the view that *hello* names, or begin one, and welcome the browser.

        *viewer* is who the request itself proves (cookie, ticket), None when it proves nothing: then the view's own pass
        must. A view of somebody else is never shown; the browser gets a new view, and is told so.
        """
        _refuse_foreign(hello.protocol)
        if self._draining or self._count >= self._most:
            raise ShowgroundError("overloaded", "this host takes no more viewers", "live", "Reconnect.", retry_after=2)
        env = hello.env or Env()
        if hello.view is not None:
            resumed = await self._resume(post, hello, viewer, env, connection)
            if resumed is not None:
                return resumed
        identity = viewer or ViewerIdentity()
        view, answer = await self._begin(post, identity, env)
        if answer.result.tree is None:
            raise self._redacted(_without_tree(post, answer))
        await self._snapshots.create(view.snapshot(post.id, post.installation))
        claimed = await self._snapshots.claim(post.installation, view.id)
        if claimed is None:
            raise ShowgroundError("store_unavailable", "the new view is gone already", "live", retry_after=1)
        view.fence = claimed[0]
        connection.send(self._welcome(view, False, answer.result.tree, view.reached.intervals))
        self._serve(post, view, connection)
        return view

    async def _resume(
        self, post: LivePost, hello: Incoming, viewer: ViewerIdentity | None, env: Env, connection: Connection
    ) -> View | None:
        if hello.view is None:
            return None
        room = self._rooms.get(post.id)
        here = room.views.get(hello.view) if room is not None else None
        if room is not None and here is not None:
            # The same host: what channels brought since the last snapshot is still in memory.
            if not self._may_take(here.viewer, here.id, viewer, hello.resume):
                return None
            old, here.connection = here.connection, None
            if old is not None:
                old.close("continued elsewhere", None)
            await room.save_unsaved(here)
        kept = await self._snapshots.load(post.installation, hello.view)
        if kept is None or kept.post != post.id or not self._may_take(kept.viewer, kept.view, viewer, hello.resume):
            return None
        claimed = await self._snapshots.claim(post.installation, hello.view)
        if claimed is None:
            return None
        fence, snapshot = claimed
        if room is not None and here is not None:
            room.leave(here)
        view = _restored(snapshot, fence, viewer or snapshot.viewer, env)
        if hello.rev == snapshot.rev and here is None:
            # Right after the first paint its worker has the state; later, another claim's calls may be under way.
            view.cached = fence == 1
            tree = None
        else:
            seen = min(hello.rev or 0, snapshot.rev + FORKED)
            view.reached = msgspec.structs.replace(view.reached, rev=max(snapshot.rev, seen) + 1)
            [answer] = await self._calls(post).handle([view], [], full=True)
            view.cached = True
            tree = answer.result.tree
            view.reached = msgspec.structs.replace(
                view.reached,
                rev=answer.rev,
                state=view.reached.state if answer.result.state is None else answer.result.state,
                channels=answer.result.channels or (),
                intervals=answer.result.intervals or b"{}",
                more=answer.result.more,
            )
        connection.send(self._welcome(view, True, tree, view.reached.intervals))
        self._serve(post, view, connection)
        return view

    def _may_take(self, owner: ViewerIdentity, view: str, viewer: ViewerIdentity | None, sent: str | None) -> bool:
        """Whoever holds the view's pass; and if the request proves who asks, it must be the same person."""
        if sent is None or not self._passes.verify(sent, view, owner.id):
            return False
        return viewer is None or viewer.id == owner.id

    def _serve(self, post: LivePost, view: View, connection: Connection) -> None:
        room = self._rooms.get(post.id)
        if room is None:
            room = self._rooms[post.id] = self._room(post)
        view.connection = connection
        self._count += 1
        room.enter(view)
        if self._draining:  # it was being welcomed while everybody was sent away
            connection.close("the host is stopping", 1.0)

    def _calls(self, post: LivePost) -> PostCalls:
        return PostCalls(post, self._invoker, self._post_type)

    def _room(self, post: LivePost) -> Room:
        return Room(post, self._calls(post), self._realtime, self._snapshots, self._clock, self._observe)

    def _welcome(self, view: View, resumed: bool, tree: bytes | None, intervals: bytes) -> bytes:
        limits = msgspec.json.encode({"protocol": PROTOCOL, "realtime": self._realtime.limits})
        return messages.welcome(
            view.id,
            self._passes.sign(view.id, view.viewer.id),
            view.reached.rev,
            view.reached.ack,
            resumed,
            tree,
            intervals,
            limits,
        )

    async def check_pass(self, post: LivePost, view_id: str, sent: str) -> None:
        """Raises `forbidden` when *sent* is not the pass of that view."""
        kept = await self._snapshots.load(post.installation, view_id)
        if kept is None or not self._passes.verify(sent, view_id, kept.viewer.id):
            raise ShowgroundError("forbidden", "this view is not yours, or is no longer kept", "view", "Reconnect.")

    def receive(self, post_id: str, view: View, message: Incoming) -> None:
        """Something that the browser of *view* said."""
        room = self._rooms.get(post_id)
        if room is None or view.gone:
            return
        match message.type:
            case "event":
                if message.event is not None and message.seq is not None and message.seq > view.seen:
                    if message.seq > view.seen + 1:  # one got lost on its way from another host: an ack would cover it
                        room.part(view, "an event is missing", 0.1)
                        return
                    view.seen = message.seq
                    room.queue(view, Event(message.event.body(), seq=message.seq))
            case "env":
                if message.env is not None:
                    kind = "theme" if message.env.color_scheme != view.env.color_scheme else "resize"
                    view.env = message.env
                    room.queue(view, Event({"type": kind}))
            case "refresh":
                room.queue(view, REFRESH)
            case "ping":
                if view.connection is not None:
                    view.connection.send(messages.PONG)

    async def disconnect(self, post_id: str, view: View) -> None:
        """The browser of *view* is gone. Its state is kept; an empty room is closed."""
        room = self._rooms.get(post_id)
        view.connection = None
        if room is None:
            return
        if not view.gone:
            await room.save_unsaved(view)
            room.leave(view)
        self._count -= 1
        if not room.views and self._rooms.get(post_id) is room:  # while we saved, others may have come, or closed it
            del self._rooms[post_id]
            await room.close()

    async def drain(self, retry_after_s: float) -> None:
        """Send every viewer elsewhere, in batches, each with its own time to come back."""
        self._draining = True
        views = [view for room in self._rooms.values() for view in room.views.values()]
        for start in range(0, len(views), 500):
            for view in views[start : start + 500]:
                if view.connection is not None:
                    spread = retry_after_s * (1 + secrets.randbelow(1000) / 1000)
                    view.connection.close("the host is stopping", spread)
            await asyncio.sleep(0)

    async def close(self) -> None:
        for room in list(self._rooms.values()):
            await room.close()
        self._rooms.clear()

    async def forget(self, installation: InstallationId) -> None:
        """The installation changed version or is gone: its browsers come back and are rendered by what is there now."""
        for room in list(self._rooms.values()):
            if room.post.installation == installation:
                for view in list(room.views.values()):
                    view.cached = False
                    room.queue(view, REFRESH)


def _refuse_foreign(protocol: int) -> None:
    if protocol < OLDEST_PROTOCOL:
        raise ShowgroundError("unsupported", "This page is older than its host.", "protocol", "Reload the page.")
    if protocol > PROTOCOL:  # it was loaded from a newer host: hosts are being upgraded, and another one speaks it
        raise ShowgroundError("not_ready", "this host is older than the page", "protocol", "Reconnect.", retry_after=2)


def _restored(snapshot: Snapshot, fence: int, viewer: ViewerIdentity, env: Env) -> View:
    reached = Reached(
        rev=snapshot.rev,
        state=snapshot.state,
        ack=snapshot.ack,
        channels=snapshot.channels,
        intervals=snapshot.intervals,
        more=snapshot.more,
    )
    positions = {name: Position.parse(at) for name, at in snapshot.positions.items()}
    return View(snapshot.view, viewer, env, fence, reached, positions)


def _without_tree(post: LivePost, answer: Answer) -> ShowgroundError:
    told = answer.result.errors[0] if answer.result.errors else {}
    return ShowgroundError(
        "app_error",
        str(told.get("message", "the app did not render the post")),
        str(told.get("where", post.id)),
        str(told.get("remedy", "")),
    )
