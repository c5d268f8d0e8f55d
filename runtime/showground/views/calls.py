"""Calls of kind `view` to the worker: many views in one call, states only where the worker lacks them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from showground.capabilities import LivePost
from showground.dispatch import InvokeRequest, OnAnswer, Viewer
from showground.errors import ShowgroundError
from showground.model import Json
from showground.views.records import ViewerIdentity, ViewReply, ViewRequest, ViewResult, decode_reply, encode_request
from showground.views.view import View


class Invoker(Protocol):
    """What runs app code: `showground.dispatch.Dispatch`."""

    async def invoke(self, request: InvokeRequest) -> bytes: ...

    def begin(self, request: InvokeRequest, on_answer: OnAnswer) -> Callable[[], None] | None: ...


NOBODY = ViewerIdentity()
ALONE_AT_ONCE = 16
"""How many views of one post are run at the same time when each has to be run by itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one view of a call. Views that share a result share the object."""

    result: ViewResult
    rev: int
    failure: ShowgroundError | None = None
    """Why nothing came of this view, when others of its call got on."""

    @property
    def is_final(self) -> bool:
        """Whether the worker ran the view, and did not ask for something first."""
        return not self.result.need_state and not self.result.alone


First = list[Answer] | ShowgroundError
"""What came of the first call to the worker, be it the last or not."""


class PostCalls:
    """Calls for the views of one post. *post_type* says which of the app's post types draws it now: an upgrade may rename it."""

    def __init__(self, post: LivePost, invoker: Invoker, post_type: Callable[[LivePost], str]) -> None:
        self._post = post
        self._invoker = invoker
        self._post_type = post_type
        data: Json = msgspec.json.decode(post.data)
        self._shown: Mapping[str, Json] = {"id": post.id, "data": data}

    def begin(
        self, view: View, events: list[Mapping[str, Any]], on_first: Callable[[First], None]
    ) -> Callable[[], None] | None:
        """Make the first call of `handle` for one view without a task that waits for it; *on_first* is told what came of it once
        this has returned, and `handle` goes on from there. What is returned cancels the call.

        None, and nothing was begun, when the app is not ready to run here. Raises what dispatch raises."""

        def answered(raw: Any, error: ShowgroundError | None) -> None:
            try:
                first: First = error or self._answers(raw, 1)
            except ShowgroundError as fault:
                first = fault
            on_first(first)

        return self._invoker.begin(self._request([view], events, False, [not view.cached]), answered)

    async def handle(
        self, views: Sequence[View], events: list[Mapping[str, Any]], full: bool = False, first: First | None = None
    ) -> list[Answer]:
        """One call for *views* (not empty), all with the same events; one answer for each, in order. *first*: that call was made
        by `begin`.

        A worker that died is asked once more, with all states: its handlers run at least once. Raises what dispatch raises.
        """
        try:
            if isinstance(first, ShowgroundError):
                raise first
            answers = first or await self._call(views, events, full, with_state=[not v.cached for v in views])
        except ShowgroundError as error:
            if error.code not in ("worker_died", "protocol_error"):
                raise
            answers = await self._call(views, events, full, with_state=[True] * len(views))
        if len(views) == 1 and answers[0].result.alone:
            raise ShowgroundError("protocol_error", "the worker wants a view alone that is alone", self._post.id)
        lacking = [i for i, answer in enumerate(answers) if answer.result.need_state]
        if lacking:
            again = await self._call([views[i] for i in lacking], events, full, with_state=[True] * len(lacking))
            for i, answer in zip(lacking, again, strict=True):
                if answer.result.need_state:
                    raise ShowgroundError(
                        "protocol_error", "the worker asked twice for the state of a view", self._post.id
                    )
                answers[i] = answer
        alone = [i for i, answer in enumerate(answers) if answer.result.alone]
        for start in range(0, len(alone), ALONE_AT_ONCE):
            part = alone[start : start + ALONE_AT_ONCE]
            for i, answer in zip(
                part, await asyncio.gather(*(self._alone(views[i], events, full) for i in part)), strict=True
            ):
                answers[i] = answer
        return answers

    async def _alone(self, view: View, events: list[Mapping[str, Any]], full: bool) -> Answer:
        """One view in its viewer's name. A failure is this view's only, because others of its call have gone on already."""
        try:
            [answer] = await self.handle([view], events, full)
        except ShowgroundError as error:
            return Answer(ViewResult(), view.reached.rev, error)
        return answer

    async def _call(
        self, views: Sequence[View], events: list[Mapping[str, Any]], full: bool, with_state: Sequence[bool]
    ) -> list[Answer]:
        return self._answers(await self._invoker.invoke(self._request(views, events, full, with_state)), len(views))

    def _request(
        self, views: Sequence[View], events: list[Mapping[str, Any]], full: bool, with_state: Sequence[bool]
    ) -> InvokeRequest:
        request = ViewRequest(
            post=self._shown,
            views=[v.input(state, full or v.stale) for v, state in zip(views, with_state, strict=True)],
            events=events,
        )
        viewer = views[0].viewer if len(views) == 1 else NOBODY
        env = views[0].env
        return InvokeRequest(
            installation=self._post.installation,
            kind="view",
            name=self._post_type(self._post),
            payload=encode_request(request),
            viewer=Viewer(
                user_id=viewer.id,
                username=viewer.name,
                is_moderator=viewer.moderator,
                locale=env.locale,
                timezone=env.timezone,
                color_scheme=env.color_scheme,
            ),
            post_id=self._post.id,
        )

    def _answers(self, raw: bytes, count: int) -> list[Answer]:
        reply = self._checked(raw, count)
        return [Answer(reply.results[index], rev) for index, rev in zip(reply.of, reply.revs, strict=True)]

    def _checked(self, raw: bytes, count: int) -> ViewReply:
        """The worker runs app code, so its replies are believed no further than they can be checked."""
        try:
            reply = decode_reply(raw)
        except msgspec.DecodeError as error:
            raise ShowgroundError(
                "protocol_error", f"the worker's reply cannot be read: {error}", self._post.id
            ) from None
        if len(reply.of) != count or len(reply.revs) != count or not all(0 <= i < len(reply.results) for i in reply.of):
            raise ShowgroundError("protocol_error", "the worker's reply does not fit its views", self._post.id)
        return reply
