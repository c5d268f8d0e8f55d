"""A page of another site in a member's real browser, with the member signed in here: what it can do to us is nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from showground.capabilities import COMMUNITY
from showground.testing.browser import OpenPage, browser, open_page
from showground.testing.host import HostUnderTest

__all__ = ["browser", "open_page"]
pytestmark = pytest.mark.browser

EVIL = """<!doctype html><title>Evil</title>
<iframe name="out" id="out"></iframe><iframe name="in" id="in"></iframe><iframe name="write" id="write"></iframe>
<iframe id="framed" src="{host}/c/playground"></iframe>
<form id="f1" method="post" action="{host}/sign-out" target="out"><input name="token" value="{token}"></form>
<form id="f2" method="post" action="{host}/sign-in" target="in">
  <input name="token" value="{token}"><input name="name" value="Mallory"></form>
<form id="f3" method="post" action="{host}/c/playground/posts" target="write">
  <input name="token" value="{token}"><input name="title" value="spam"></form>
<script>
const answered = ["out", "in", "write"].map(id => new Promise(done => document.getElementById(id).onload = done));
for (const id of ["f1", "f2", "f3"]) document.getElementById(id).submit();
const tried = [];
const note = (what, promise) => tried.push(promise.then(() => what + ": done", () => what + ": refused"));
note("read a page", fetch("{host}/c/playground", {{credentials: "include"}}).then(r => r.text()));
note("press a menu", fetch("{host}/c/playground/menu", {{method: "POST", credentials: "include", body: "{{}}",
  headers: {{"X-Form-Token": "{token}"}}}}));
note("open a socket", new Promise((opened, failed) => {{
  const socket = new WebSocket("{host}/live/{post}/socket".replace("http", "ws"));
  socket.onopen = opened; socket.onerror = failed;
}}));
note("open a stream", new Promise((opened, failed) => {{
  const hello = encodeURIComponent('{{"type":"hello"}}');
  const stream = new EventSource("{host}/live/{post}/stream?hello=" + hello, {{withCredentials: true}});
  stream.onopen = opened; stream.onerror = failed;
}}));
note("run a script of ours with its data", import("{host}/c/playground"));
note("look into a frame", new Promise((seen, failed) => setTimeout(() => {{
  try {{ document.getElementById("framed").contentDocument.body.textContent ? seen() : failed(); }} catch {{ failed(); }}
}}, 500)));
Promise.all([Promise.all(tried), ...answered]).then(([all]) => {{ window.outcome = all; }});
</script>"""


@pytest.fixture
async def evil() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Its address, by another name of this machine and so another site, and what its page is made with."""
    filled: dict[str, str] = {}

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=EVIL.format(**filled), content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://localhost:{runner.addresses[0][1]}/", filled
    await runner.cleanup()


async def test_a_page_of_another_site_does_nothing_in_a_members_name(
    host: HostUnderTest, evil: tuple[str, dict[str, str]], open_page: OpenPage
) -> None:
    address, filled = evil
    forum: Any = host.host.plugins.provider(COMMUNITY)
    post = await host.submit_post("canvas")
    # what the evil site's back end gets for itself
    async with host.client.get(host.host.url + "/sign-in") as response:
        token = (await response.text()).split('data-form-token="')[1].split('"')[0]
    filled.update(host=host.host.url, token=token, post=post)

    page = await open_page()
    await page.goto(f"{host.host.url}/sign-in")
    await page.get_by_role("button", name="Ada").click()
    await page.get_by_text("Sign out").wait_for()
    other = await page.context.new_page()
    await other.goto(address)
    await other.wait_for_function("window.outcome")
    outcome = await other.evaluate("window.outcome")
    assert len(outcome) == 6
    assert [said for said in outcome if not said.endswith("refused")] == []
    await other.close()

    await page.goto(f"{host.host.url}/c/playground")
    await page.get_by_text("Sign out").wait_for()
    assert "Ada" in await page.get_by_role("banner").inner_text()
    assert not [p for p in await forum.store.posts("playground") if p.title == "spam"]
    assert await forum.store.user_by_name("Mallory") is None
