"""The built-in community keeps the promises that a forum in its place has to keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from showground.capabilities import Community
from showground.errors import ShowgroundError
from showground.hookspecs import Method
from showground.keys import InstallationId, KeySpace
from showground.model import AppVersion, Invocation
from showground.redis.api import Redis
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess
from showground.testing.clock import ManualClock
from showground.testing.conformance.community import CommunityConformance, ForumUnderTest
from showground.testing.conformance.reddit import RedditConformance
from showground.testing.redis import running_server
from showground.testing.services import services
from showground.testing.waiting import eventually
from showground_community import build
from showground_community.api import RedditApi
from showground_community.forum import Forum
from showground_community.sessions import LASTS_S, Sessions
from showground_community.store import Store


async def nobody_listens(*_: object, **__: object) -> None:
    """Events have tests of their own."""


class BuiltIn:
    """The built-in community over a Redis of its own, which a test may kill."""

    def __init__(self, server: ServerProcess, redis: Redis) -> None:
        self._server = server
        self._redis = redis
        self._keys = KeySpace()
        self._clock = ManualClock()
        self._lent = services({}, redis, keys=self._keys, clock=self._clock, emit=nobody_listens)
        self._sessions = Sessions(self._lent.secret, self._clock)
        self._forum = Forum(Store(redis, self._keys), self._sessions, self._clock, self._lent.emit)

    def open(self) -> AbstractAsyncContextManager[Community]:
        return build(self._lent)

    async def submit_live_post(self, installation: InstallationId, post_type: str, data: bytes) -> str:
        community = installation.partition(":")[2]
        return await self._forum.submit_live_post(community, installation, "Board", data, post_type)

    async def submit_post(self, community: str, author_id: str, title: str) -> str:
        return (await self._forum.submit_post(community, author_id, title)).id

    async def take_away(self, post_id: str) -> None:
        await self._forum.moderate(post_id, await self.join("Moderator"), "remove")

    async def join(self, name: str) -> str:
        return (await self._forum.join(name)).id

    async def appoint(self, community: str, user_id: str, is_moderator: bool) -> None:
        await self._forum.store.set_moderator(community, user_id, is_moderator)

    async def sign_in(self, user_id: str) -> str:
        response = web.Response()
        self._sessions.sign_in(response, user_id)
        [cookie] = response.cookies.values()
        return f"{cookie.key}={cookie.value}"

    async def end_session(self, cookie: str) -> None:
        self._clock.jump(LASTS_S + 1)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._server.kill()
        yield
        self._server.start()  # by the thread that stays: the server ends with the one that started it
        await asyncio.to_thread(self._server.wait_ready)
        await eventually(self._answers)  # the client looks again when its back-off is over

    async def _answers(self) -> bool:
        try:
            await self._redis.ping()
        except ShowgroundError:
            return False
        return True

    def methods(self, community: Community, invocation: Invocation, app: AppVersion) -> Mapping[str, Method]:
        assert isinstance(community, Forum)
        return RedditApi(community, invocation, app).methods()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("redis"), fsync="always") as server:
        yield server


@pytest.fixture
async def forum(server: ServerProcess, tmp_path: Path) -> AsyncIterator[ForumUnderTest]:
    async with open_redis(server.url, tmp_path) as redis:
        await redis.call("FLUSHALL")
        yield BuiltIn(server, redis)


class TestCommunity(CommunityConformance):
    pass


class TestReddit(RedditConformance):
    pass
