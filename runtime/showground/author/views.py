"""Answers invocations of kind `view`: many views in, results out (`docs/view-protocol.md`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import msgspec

from showground.context.assets import Assets
from showground.context.call import Call
from showground.context.context import Context
from showground.context.post import ViewContext
from showground.errors import ShowgroundError
from showground.model import Invocation
from showground.ui.advance import Advance, Advanced, PostType, load_beside
from showground.ui.diff import diff
from showground.ui.effects import Effects
from showground.ui.events import Reply, Request, Result, ViewRecord, read_request, write_reply
from showground.ui.run import IMPERSONAL, Alone, Env, Run, Viewer
from showground.ui.snapshots import Snapshot, SnapshotCache, decode_state

MAX_VIEWS = 20_000
MAX_BYTES = 96 * 1024 * 1024
"""Estimated; a worker may use 256 MB by default."""
PATCH_OR_TREE = 2048
"""From this many bytes on, a patch is compared with the whole tree and the shorter of both is sent."""
RUNS_BETWEEN_YIELDS = 16
_json = msgspec.json.Encoder().encode


class Handlers(Protocol):
    @property
    def post_types(self) -> Mapping[str, PostType]: ...


class Bundle(Protocol):
    """`showground.author.loading.LoadedBundle`, as far as views need it."""

    @property
    def handlers(self) -> Any: ...

    @property
    def module(self) -> ModuleType: ...

    @property
    def asset_names(self) -> frozenset[str]: ...


@dataclass(slots=True, eq=False)
class _Place:
    """One view of a request, and the index of the result that it gets."""

    record: ViewRecord
    start: Snapshot
    known: bool
    """Whether the tree of `start` is what the browser has."""
    viewer: Viewer
    env: Env
    result: int = -1
    rev: int = 0


class Views:
    """The views of one loaded bundle. Handles one request at a time for each view; others run beside it."""

    def __init__(self, bundle: Bundle, max_views: int = MAX_VIEWS, max_bytes: int = MAX_BYTES) -> None:
        self._post_types: Mapping[str, PostType] = bundle.handlers.post_types
        self._assets = bundle.asset_names
        self._places = Assets(bundle.asset_names)
        self._folder = str(Path(bundle.module.__file__ or ".").parent)
        self._context = ViewContext()
        self.cache = SnapshotCache(max_views, max_bytes)
        self.renders = 0
        """Views that were run, for tests and measurements; the rest shared a result."""

    async def handle(self, invocation: Invocation, payload: bytes, call: Call) -> bytes:
        """The reply to one request. Raises `protocol_error` and `not_found`; what the app raises is in the reply."""
        request = read_request(payload)
        post_type = self._post_types.get(invocation.name)
        if post_type is None:
            known = ", ".join(self._post_types) or "none"
            raise ShowgroundError("not_found", f"the app has no post type {invocation.name}", remedy=f"It has {known}.")
        work = _Work(self, request, invocation, call, post_type)
        return write_reply(await work.answer())


class _Work:
    """One request."""

    def __init__(self, views: Views, request: Request, invocation: Invocation, call: Call, post_type: PostType) -> None:
        self._views = views
        self._cache = views.cache
        self._request = request
        self._invocation = invocation
        self._call = call
        self._post_type = post_type
        self._home = f"{invocation.installation} {request.post.get('id', '')}"
        self._together = len(request.views) > 1
        self._results: list[Result] = []
        self._starts: dict[bytes, Snapshot] = {}
        """States that came with this request: equal ones are run together."""

    async def answer(self) -> Reply:
        request = self._request
        places = [self._place(record) for record in request.views]
        lacking = -1
        groups: dict[tuple[int, bool], list[_Place]] = {}
        for place in places:
            if place.start.packed is _UNKNOWN:
                if lacking < 0:
                    lacking = self._add({"need_state": True})
                place.result, place.rev = lacking, place.record.rev
            else:
                groups.setdefault((id(place.start), place.record.full), []).append(place)
        if request.events and request.events[0].type == "async_start":
            for group in groups.values():
                for place in group:
                    await self._load_beside(place)
        else:
            await self._run_groups(list(groups.values()))
        return Reply(self._results, [place.result for place in places], [place.rev for place in places])

    def _place(self, record: ViewRecord) -> _Place:
        v, e = record.viewer, record.env
        viewer = Viewer(v.id, v.name, v.moderator)
        env = Env(e.width, e.height, e.scale, e.font_scale, e.color_scheme, e.locale, e.timezone)
        if record.state is None:
            start = self._cache.get(record.id, record.rev)
            return _Place(record, start or Snapshot({}, _UNKNOWN, ""), start is not None, viewer, env)
        if not record.state:
            return _Place(record, Snapshot({}, b"", self._home), False, viewer, env)
        given = self._starts.get(record.state)
        if given is None:
            try:
                state = decode_state(record.state)
            except msgspec.MsgspecError as error:
                raise ShowgroundError("protocol_error", f"the state of {record.id} cannot be read: {error}") from None
            given = self._starts[record.state] = Snapshot(state, record.state, self._home)
        return _Place(record, given, False, viewer, env)

    # --- running ---

    async def _run_groups(self, waiting: list[list[_Place]]) -> None:
        """Run the first of each group and share what came out with those for whom it is the same."""
        ran = 0
        while waiting:
            group = waiting.pop()
            first = group[0]
            try:
                advanced = await self._advance(first)
            except Alone:
                self._all_alone([group, *waiting])
                return
            same: list[_Place] = []
            others: dict[Any, list[_Place]] = {}
            mine = _key(first, advanced)
            for place in group:
                key = _key(place, advanced)
                if key == mine:
                    same.append(place)
                else:
                    others.setdefault(key, []).append(place)
            waiting.extend(others.values())
            self._finish(same, advanced)
            ran += 1
            if ran % RUNS_BETWEEN_YIELDS == 0:
                await asyncio.sleep(0)

    def _all_alone(self, groups: Iterable[Sequence[_Place]]) -> None:
        index = self._add({"alone": True})
        for group in groups:
            for place in group:
                place.result, place.rev = index, place.record.rev

    async def _advance(self, place: _Place) -> Advanced:
        self._views.renders += 1
        start, events = place.start, self._request.events
        if not events and start.tree is not None and not (start.read_env and start.env != place.env):
            return Advanced(start, Effects(), [], start.read_viewer, start.read_env)
        return await Advance(self._run(place), start, self._post_type, self._views._context).through(events)

    async def _load_beside(self, place: _Place) -> None:
        try:
            answer = await load_beside(self._run(place), place.start, self._post_type, self._views._context)
        except Alone:
            self._all_alone([[place]])
            return
        place.result, place.rev = self._add({"answer": answer}), place.record.rev

    def _run(self, place: _Place) -> Run:
        made: list[Context] = []

        async def call(member: str, method: str, /, *arguments: object) -> Any:
            if member not in IMPERSONAL:
                run.read_viewer = True
            return await self._call(member, method, *arguments)

        def base() -> Context:
            if not made:
                made.append(Context(self._invocation, call, self._views._assets))
            return made[0]

        run = Run(
            state=dict(place.start.state),
            viewer=place.viewer,
            env=place.env,
            post=self._request.post,
            base=base,
            folder=self._views._folder,
            assets=self._views._places,
            together=self._together,
        )
        return run

    # --- results ---

    def _add(self, result: Result) -> int:
        self._results.append(result)
        return len(self._results) - 1

    def _finish(self, places: Sequence[_Place], advanced: Advanced) -> None:
        """Give *places*, which are in the same state, one result."""
        snapshot = advanced.snapshot
        first = places[0]
        result: Result = {}
        if advanced.errors:
            result["errors"] = advanced.errors
        if (effects := advanced.effects.encode()) is not None:
            result["effects"] = effects
        if advanced.read_viewer:
            result["own"] = True
        if snapshot is None:
            index = self._add(result)
            for place in places:
                place.result, place.rev = index, place.record.rev
                self._cache.drop(place.record.id)
            return
        snapshot = self._cache.same(snapshot)
        start = first.start
        complete = first.record.full or not first.known
        changed = self._show(result, start, snapshot, complete, first.known)
        if snapshot.packed != start.packed:
            result["state"] = snapshot.packed
            changed = True
        if complete or snapshot.channels != start.channels:
            result["channels"] = list(snapshot.channels)
        if complete or snapshot.intervals != start.intervals:
            result["intervals"] = _json(dict(snapshot.intervals))
        if snapshot.more:
            result["more"] = True
        index = self._add(result)
        for place in places:
            place.result, place.rev = index, place.record.rev + 1 if changed else place.record.rev
            self._cache.put(place.record.id, place.rev, snapshot)

    @staticmethod
    def _show(result: Result, start: Snapshot, snapshot: Snapshot, complete: bool, known: bool) -> bool:
        """Put the tree or a patch into *result*; whether the tree has changed since the browser's."""
        if not known:
            result["tree"] = _json(snapshot.tree)
            return False
        assert start.tree is not None
        assert snapshot.tree is not None
        ops = diff(start.tree, snapshot.tree)
        if complete:
            result["tree"] = _json(snapshot.tree)
        elif ops:
            patch = _json(ops)
            if len(patch) > PATCH_OR_TREE and len(tree := _json(snapshot.tree)) <= len(patch):
                result["tree"] = tree
            else:
                result["patch"] = patch
        return bool(ops)


def _key(place: _Place, advanced: Advanced) -> tuple[Viewer | None, Env | None]:
    return (place.viewer if advanced.read_viewer else None, place.env if advanced.read_env else None)


_UNKNOWN = bytes(bytearray(b"unknown"))
"""Marks, by identity, a view that the cache does not have."""
