"""The HTTP API of dead letters, over a real socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from showground.deliveries import DeadLetters
from showground.deliveries.routes import dead_letter_routes
from showground.keys import installation_id
from showground.testing.web import errors

if TYPE_CHECKING:
    from tests.runtime.deliveries.conftest import Bench, Make, Wait

APP = installation_id("app", "town")
BASE = "/api/v1/communities/town/apps/app/dead-letters"


class Routes:
    """A `Router` onto a bare application; remembers scopes."""

    def __init__(self) -> None:
        self.app = web.Application(middlewares=[errors])
        self.scopes: dict[tuple[str, str], str | None] = {}

    def __call__(
        self, method: str, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], scope: str | None
    ) -> None:
        self.scopes[method, path] = scope
        self.app.router.add_route(method, path, handler)


async def test_letters_are_listed_shown_redriven_and_purged(bench: Bench, make: Make, wait: Wait) -> None:
    queue = bench.queue(max_attempts=1)
    async with bench.runner(queue):
        await queue.enqueue([make("a", "Fails", payload=b'{"n":1}'), make("b", "Fails"), make("c", "Fails")])
        assert await wait(queue, "a", "b", "c") == ["dead"] * 3
    routes = Routes()
    dead_letter_routes(routes, DeadLetters(queue))
    async with TestClient(TestServer(routes.app)) as client:
        listed = await (await client.get(BASE, params={"limit": "2"})).json()
        assert listed["total"] == 3
        assert len(listed["dead_letters"]) == 2
        assert "payload" not in listed["dead_letters"][0]
        shown = await (await client.get(f"{BASE}/a")).json()
        assert (shown["payload"], shown["error"]["code"], shown["attempts"]) == ({"n": 1}, "app_error", 1)

        answer = await client.post(f"{BASE}/a/redrive")
        assert (answer.status, await answer.json()) == (202, {"redriven": 1})
        assert (await client.post(f"{BASE}/a/redrive")).status == 404
        assert await (await client.delete(f"{BASE}/b")).json() == {"purged": 1}
        assert await (await client.post(f"{BASE}/redrive")).json() == {"redriven": 1}
        assert await (await client.delete(BASE)).json() == {"purged": 0}
        assert await queue.backlog(APP) == 2

        for bad in (f"{BASE}?limit=x", f"{BASE}?limit=501", f"{BASE}?offset=-1"):
            assert (await client.get(bad)).status == 400
        assert (await client.get("/api/v1/communities/no%20name/apps/app/dead-letters")).status == 422
    assert {scope for (method, _), scope in routes.scopes.items() if method != "GET"} == {"admin"}
