"""The HTTP API's common ground on a real host: one error shape, scopes, direct invocation, origins, static files, draining."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.testing.host import HostUnderTest, running_host

ECHO = {
    "app.json": '{"name": "echo", "version": "1.0.0"}',
    "main.py": """
from showground import Devvit

@Devvit.add_trigger("PostCreate")
async def echo(event, context):
    return {"title": event.post.title, "attempt": context.attempt}

@Devvit.add_trigger("PostDelete")
def fail(event, context):
    raise KeyError("gone")

@Devvit.add_trigger("PostUpdate")
def spin(event, context):
    while True:
        pass
""",
}


@pytest.fixture
async def host(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    bundle = tmp_path / "echo"
    bundle.mkdir()
    for name, text in ECHO.items():
        (bundle / name).write_text(text)
    sections: dict[str, Any] = {"host": {"allowed_origins": ["https://forum.example"]}}
    async with running_host(tmp_path / "data", redis_url, keys.prefix, **sections) as host:
        await host.install(bundle)
        yield host


def invoke(event: str, app: str = "echo") -> str:
    return f"/api/v1/communities/playground/apps/{app}/invoke/{event}"


async def test_a_direct_invocation_answers_with_what_the_handler_returned(host: HostUnderTest) -> None:
    answer = await host.call("POST", invoke("PostCreate"), json={"post": {"id": "t3_1", "title": "Hi"}})
    assert answer == {"title": "Hi", "attempt": 1}


async def test_a_handlers_error_names_its_line_and_never_its_neighbours(host: HostUnderTest) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await host.call("POST", invoke("PostDelete"), json={})
    assert caught.value.code == "app_error"
    assert caught.value.where == "main.py:10"
    assert (await host.call("POST", invoke("PostCreate"), json={"post": {"title": "Hi"}}))["title"] == "Hi"


async def test_a_handler_that_spins_is_dead_at_its_deadline_and_the_next_call_works(host: HostUnderTest) -> None:
    await host.call("POST", invoke("PostCreate"), json={"post": {"title": "Hi"}})  # now there is a worker to spin
    with pytest.raises(ShowgroundError) as caught:
        await host.call("POST", invoke("PostUpdate") + "?timeout=0.3", json={})
    assert caught.value.code == "deadline_exceeded"
    assert (await host.call("POST", invoke("PostCreate"), json={"post": {"title": "Hi"}}))["title"] == "Hi"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", invoke("PostCreate", "nobody"), "{}", 404, "not_found"),
        ("POST", invoke("CommentCreate"), "{}", 404, "not_found"),
        ("POST", invoke("PostCreate"), "[1]", 400, "bad_request"),
        ("POST", invoke("PostCreate"), "{", 400, "bad_request"),
        ("POST", invoke("PostCreate") + "?timeout=soon", "{}", 422, "invalid"),
        ("POST", invoke("PostCreate", "Not An App"), "{}", 422, "invalid"),
        ("GET", "/api/v1/nothing", None, 404, "not_found"),
        ("POST", "/api/v1/communities/playground/apps/nobody/channels/events", "{}", 404, "not_found"),
        ("GET", "/api/v1/communities/playground/apps/nobody/jobs", None, 404, "not_found"),
        ("DELETE", "/api/v1/events", None, 405, "bad_request"),
        ("GET", "/static/../host.py", None, 404, "not_found"),
        ("GET", "/embed/t3_none", None, 404, "not_found"),
    ],
)
async def test_whatever_is_wrong_is_answered_in_the_one_shape(
    host: HostUnderTest, method: str, path: str, body: str | None, status: int, code: str
) -> None:
    async with host.client.request(method, host.host.url + path, data=body) as response:
        assert response.status == status
        error = (await response.json())["error"]
    assert error["code"] == code
    assert set(error) >= {"code", "message", "where", "remedy", "fault", "temporary"}


async def test_a_body_over_the_limit_is_refused_while_it_arrives(host: HostUnderTest) -> None:
    async with host.client.post(host.host.url + "/api/v1/events", data=io.BytesIO(b"x" * 9_000_000)) as response:
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "too_large"


async def test_without_a_token_nothing_is_done_and_the_answer_says_how_to_send_one(host: HostUnderTest) -> None:
    async with (
        aiohttp.ClientSession() as stranger,
        stranger.post(host.host.url + invoke("PostCreate"), json={}) as response,
    ):
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert "Authorization: Bearer" in (await response.json())["error"]["remedy"]


async def test_a_token_covers_its_scopes_in_its_community_only(host: HostUnderTest) -> None:
    made = await host.call(
        "POST", "/api/v1/tokens", json={"name": "hook", "scopes": ["emit"], "community": "playground"}
    )
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {made['token']}"}) as client:
        async with client.post(host.host.url + invoke("PostCreate"), json={"post": {"title": "Hi"}}) as response:
            assert response.status == 200
        async with client.get(host.host.url + "/api/v1/apps") as response:
            assert response.status == 403
        elsewhere = invoke("PostCreate").replace("playground", "elsewhere")
        async with client.post(host.host.url + elsewhere, json={}) as response:
            assert response.status == 403


async def test_a_token_for_one_community_sends_events_there_and_nowhere_else(host: HostUnderTest) -> None:
    made = await host.call(
        "POST", "/api/v1/tokens", json={"name": "hook", "scopes": ["emit"], "community": "playground"}
    )
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "PostCreate", "data": {"post": {"id": "t3_1"}}}
    headers = {"Authorization": f"Bearer {made['token']}", "Content-Type": "application/cloudevents+json"}
    async with aiohttp.ClientSession(headers=headers) as client:
        for subject, status in (("playground", 202), ("elsewhere", 403)):
            async with client.post(host.host.url + "/api/v1/events", json={**event, "subject": subject}) as response:
                assert response.status == status


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://forum.example", True),
        ("https://forum.example.evil.test", False),
        ("http://forum.example", False),
        ("null", False),
        ("https://evil.test", False),
    ],
)
async def test_only_listed_origins_may_open_a_live_post(host: HostUnderTest, origin: str | None, allowed: bool) -> None:
    headers = {"Origin": origin} if origin else {}
    hello = "/live/t3_none/stream?hello=" + '{"type":"hello"}'
    async with host.client.get(host.host.url + hello, headers=headers) as response:
        assert (await response.json())["error"]["code"] == ("not_found" if allowed else "forbidden")


async def test_a_person_gets_a_page_where_a_program_gets_json(host: HostUnderTest) -> None:
    async with host.client.get(host.host.url + "/embed/t3_<b>", headers={"Accept": "text/html"}) as response:
        assert response.status == 404
        assert response.content_type == "text/html"
        assert "<b>" not in await response.text()
