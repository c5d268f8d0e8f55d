"""POST /api/v1/events and its command, over a real socket."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner

from showground.cli.events import dead_letters, emit
from showground.cli.session import HttpSession
from showground.deliveries import DeadLetters, Runner
from showground.deliveries.routes import dead_letter_routes
from showground.errors import ShowgroundError
from showground.events import Catalogue
from showground.events.routes import event_routes
from showground.exchange import Admit, Asked, Exchange
from showground.keys import installation_id
from showground.model import Delivery, TriggerSpec
from showground.testing.waiting import eventually
from showground.testing.web import errors
from showground.web.answers import AnswerBytes
from showground.web.exchanges import by_aiohttp

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runtime.events.conftest import Town

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/forum",
    "type": "PostCreate",
    "subject": "town",
    "data": {"post": {"id": "t3_1"}},
}
HEADERS = {"Content-Type": "application/cloudevents+json"}
Client = TestClient[web.Request, web.Application]


class Routes:
    def __init__(self) -> None:
        self.app = web.Application(middlewares=[errors])

    def __call__(
        self, method: str, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], scope: str | None
    ) -> None:
        self.app.router.add_route(method, path, handler)

    def exchange(
        self, method: str, path: str, handler: Exchange, scope: str | None, early: Admit | None = None
    ) -> None:
        served = by_aiohttp(None, early, handler, AnswerBytes(time.time, {}))

        async def serve(request: web.Request) -> web.StreamResponse:
            return await served(request, None)

        self.app.router.add_route(method, path, serve)


@pytest.fixture
async def client(town: Town) -> AsyncIterator[Client]:
    async def authorize(asked: Asked, communities: Collection[str]) -> None:
        if "forbidden" in communities:
            raise ShowgroundError("forbidden", "not there")

    async def handle(delivery: Delivery, attempt: int) -> bytes:
        if delivery.installation.startswith("bad:"):
            raise ShowgroundError("app_error", "boom")
        if delivery.installation.startswith("slow:"):
            await asyncio.Event().wait()
        return b'{"handled": ' + delivery.payload + b"}"

    routes = Routes()
    event_routes(routes, town.intake, Catalogue(), authorize)
    dead_letter_routes(routes, DeadLetters(town.queue))
    async with Runner(town.queue, handle, host_id="here", drain_s=0.1), TestClient(TestServer(routes.app)) as made:
        yield made


async def test_an_event_is_accepted_and_its_outcomes_can_be_waited_for(town: Town, client: Client) -> None:
    town.install("good", "PostCreate")
    town.install("bad", TriggerSpec(event="PostCreate", max_attempts=1))
    answer = await client.post("/api/v1/events", json=EVENT, headers=HEADERS)
    assert answer.status == 202
    (event,) = (await answer.json())["events"]
    assert [d["status"] for d in event["deliveries"]] == ["queued", "queued"]

    answer = await client.post("/api/v1/events?wait=5", json=EVENT | {"id": "2"}, headers=HEADERS)
    assert answer.status == 200
    good, bad = (await answer.json())["events"][0]["deliveries"]
    assert (good["status"], good["attempts"]) == ("done", 1)
    assert good["result"] == {"handled": {"type": "PostCreate", "post": {"id": "t3_1"}}}
    assert (bad["status"], bad["error"]["message"]) == ("dead", "boom")

    town.install("slow", "PostCreate")

    async def says_what_has_ended() -> bool:
        answer = await client.post("/api/v1/events?wait=0.3", json=EVENT | {"id": "3"}, headers=HEADERS)
        assert answer.status == 202, "one has not ended"
        return [d["status"] for d in (await answer.json())["events"][0]["deliveries"]] == ["done", "dead", "queued"]

    await eventually(says_what_has_ended)


async def test_bad_requests_enqueue_nothing(town: Town, client: Client) -> None:
    town.install("slow", "PostCreate")
    bodies = [
        (EVENT | {"type": "PostCrate"}, 422),
        (EVENT | {"data": {"post": {"id": 1}}}, 422),
        (EVENT | {"subject": ""}, 422),
        (EVENT | {"subject": "forbidden"}, 403),
        ([EVENT], 400),
    ]
    for body, status in bodies:
        answer = await client.post("/api/v1/events", json=body, headers=HEADERS)
        assert (answer.status, bool((await answer.json())["error"]["message"])) == (status, True)
    for wait in ("x", "-1", "31", "nan"):
        assert (await client.post(f"/api/v1/events?wait={wait}", json=EVENT, headers=HEADERS)).status == 400
    assert await town.backlog() == 0


async def test_the_event_types_are_listed_with_their_schemas(client: Client) -> None:
    types = (await (await client.get("/api/v1/event-types")).json())["event_types"]
    assert len(types) == 20
    assert types[0]["schema"]["type"] == "object"


async def test_the_commands_send_and_look_after(town: Town, client: Client, tmp_path: Path) -> None:
    town.install("good", "PostCreate")
    town.install("bad", TriggerSpec(event="PostDelete", max_attempts=1))
    session = HttpSession(str(client.make_url("")), "t", tmp_path, as_json=True)

    async def run(command: Any, *arguments: str) -> tuple[int, Any]:
        def invoke() -> tuple[int, Any]:
            result = CliRunner().invoke(command, arguments, obj=session, standalone_mode=False)
            if result.exception:
                raise result.exception
            return int(result.return_value or 0), json.loads(result.stdout)

        return await asyncio.to_thread(invoke)

    where = ("--community", "town", "--app", "bad")
    code, answer = await run(emit, "PostCreate", "--community", "town", "--data", '{"post":{"id":"1"}}', "--wait", "5")
    assert (code, answer["events"][0]["deliveries"][0]["status"]) == (0, "done")
    file = tmp_path / "data.json"
    file.write_text('{"postId": "t3_1"}')
    code, answer = await run(emit, "PostDelete", "--community", "town", "--data", f"@{file}", "--wait", "5")
    assert (code, answer["events"][0]["deliveries"][0]["status"]) == (1, "dead")
    _, listed = await run(dead_letters, "list", *where)
    (letter,) = listed["dead_letters"]
    _, shown = await run(dead_letters, "show", letter["id"], *where)
    assert shown["payload"] == {"type": "PostDelete", "postId": "t3_1"}
    assert (await run(dead_letters, "redrive", letter["id"], *where))[1] == {"redriven": 1}
    await eventually(lambda: DeadLetters(town.queue).count(installation_id("bad", "town")))  # it has failed again
    assert (await run(dead_letters, "purge", "--all", *where))[1] == {"purged": 1}
    with pytest.raises(ShowgroundError, match="not JSON"):
        await run(emit, "PostDelete", "--community", "town", "--data", "{")
