"""What apps, members and senders of events can put into pages: text, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from showground.capabilities import COMMUNITY
from showground.context.ui import Ui
from showground.errors import ShowgroundError
from showground.testing.bundles import write_bundle
from showground.testing.host import HostUnderTest
from showground.testing.viewer import Viewer
from showground.testing.waiting import eventually

NASTY = (Path(__file__).parent / "canvas" / "main.py").read_text()
NASTY = json.loads(re.search(r'^NASTY = (".*")$', NASTY, re.M)[1].replace("\\'", "'"))  # type: ignore[index]
FRIEND = "https://forum.example"
NEVER = frozenset(
    {"object", "embed", "base", "svg", "math", "style", "template", "frame", "frameset", "video", "audio", "source"}
)


class Page(HTMLParser):
    """Elements with their attributes, the scripts' content, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._in_script = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.data.append(data)


def check(html: str) -> Page:
    """Nothing in *html* can run, look like ours, or lead away, whatever was put into it."""
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in NEVER, tag
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "srcdoc", "formaction")
        ], attributes
        for name in ("href", "src", "action"):
            value = attributes.get(name)
            assert value is None or re.match(r"#|/(?!/)", value), (tag, value)
        if tag == "script":
            assert attributes.get("src") or attributes.get("type") == "application/json"
        if tag == "img":
            assert (attributes.get("src") or "").startswith("/community/")
    for script in page.scripts:
        if script:
            json.loads(script)
            assert "<" not in script
    return page


@pytest.fixture
async def paths(host: HostUnderTest, browser: Callable[[], Any]) -> list[str]:
    """Pages that show what a hostile member and a hostile app wrote everywhere."""
    forum: Any = host.host.plugins.provider(COMMUNITY)
    ada = await forum.join("Ada")
    await forum.appoint("playground", ada.id)
    live = await host.submit_post("canvas")
    post = await forum.submit_post("playground", ada.id, NASTY, NASTY, url="javascript:alert(1)")
    await forum.submit_comment(post.id, ada.id, NASTY)
    await forum.mark_post(post.id, "nsfw", True)

    async def flaired() -> bool:
        return (await forum.store.post(post.id)).flair is not None

    await eventually(flaired)
    return ["/", "/c/playground", f"/c/playground/posts/{post.id}", f"/c/playground/posts/{live}", f"/embed/{live}",
            "/demo", f"/demo?post={live}", f"/sign-in?back={NASTY[:20]}"]  # fmt: skip


async def test_what_was_written_is_shown_and_never_run(host: HostUnderTest, browser: Any, paths: list[str]) -> None:
    ada = browser()
    await ada.sign_in("Ada")
    shown = 0
    for path in paths:
        page = check(await ada.page(path))
        shown += sum(data.count("<img src=x onerror") for data in page.data)
        if path.startswith("/embed"):
            [paint] = [json.loads(script) for script in page.scripts if script]
            assert NASTY in json.dumps(paint["tree"], ensure_ascii=False).replace('\\"', '"')
    assert shown > 5, "the pages do show it, as text"


async def test_a_page_that_goes_wrong_repeats_nothing_as_markup(
    host: HostUnderTest, browser: Any, paths: list[str]
) -> None:
    ada = browser()
    await ada.sign_in("Ada")
    html = {"Accept": "text/html"}
    for path in ("/<script>alert(1)</script>", "/embed/<img src=x onerror=alert(1)>", "/c/<b>", "/c/playground/posts/<b>",
                 "/embed/t3_x?ticket=<b>", "/static/<b>.js", "/c/playground?<b>"):  # fmt: skip
        check(await ada.page(path, headers=html))
    for fields in ({"title": "", "body": "x"}, {"title": NASTY * 10}, {"title": "x", "body": "b" * 50_000}):
        async with ada.session.post(
            host.host.url + "/c/playground/posts", data={"token": ada.token, **fields}
        ) as response:
            assert response.status in (413, 422)
            check(await response.text())
    async with ada.session.post(
        host.host.url + paths[2] + "/moderate", data={"token": ada.token, "action": NASTY}
    ) as response:
        assert response.status == 422
        check(await response.text())


async def test_every_page_has_a_policy_without_anything_unsafe(
    host: HostUnderTest, browser: Any, paths: list[str]
) -> None:
    for path in [*paths, "/nothing", "/embed/t3_none", "/c/playground/posts/t3_none"]:
        async with host.client.get(host.host.url + path, headers={"Accept": "text/html"}) as response:
            assert response.content_type == "text/html", path
            parts = [part.split() for part in response.headers["Content-Security-Policy"].split(";")]
            policy = {name: sources for name, *sources in parts}
            assert policy["default-src"] == ["'none'"], path
            for directive, sources in policy.items():
                for source in sources:
                    assert "unsafe" not in source, (path, directive)
                    if directive not in ("img-src", "frame-ancestors"):
                        assert source in ("'none'", "'self'"), (path, directive, source)
            if response.status == 200:
                assert policy["base-uri"] == ["'none'"], path
                expected = ["'self'", FRIEND] if path.startswith("/embed") else ["'self'"]
                assert policy["frame-ancestors"] == expected, path
                assert ("X-Frame-Options" in response.headers) is not path.startswith("/embed")
                assert response.headers["Cache-Control"] == "no-store", path
            else:
                assert "script-src" not in policy, "a page that anybody may frame has nothing to press"
                assert "<form" not in await response.text()


async def test_an_apps_own_page_is_never_one_of_ours(host: HostUnderTest, tmp_path: Path) -> None:
    """HTML, SVG and scripts of a bundle come from our origin, so they are sandboxed away from it."""
    code = "from showground import Devvit\n@Devvit.add_trigger('PostCreate')\ndef f(e, c): ...\n"
    bundle = write_bundle(tmp_path / "webby", code)
    (bundle / "assets").mkdir()
    for name in ("page.html", "image.svg", "page.xhtml", "page.xml", "script.js", "worker.js", "noext", "x.pdf"):
        (bundle / "assets" / name).write_text("<script>alert(document.domain)</script>")
    await host.install(bundle)
    digest = (await host.call("GET", "/api/v1/apps/webby"))["versions"][0]["digest"]
    for file in (bundle / "assets").iterdir():
        async with host.client.get(f"{host.host.url}/assets/{digest}/{file.name}") as response:
            assert response.status == 200
            policy = response.headers["Content-Security-Policy"]
            assert "sandbox" in policy
            assert "allow-same-origin" not in policy
            assert "Service-Worker-Allowed" not in response.headers
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "Set-Cookie" not in response.headers


async def test_what_a_viewer_gets_is_json_text_whatever_was_sent(host: HostUnderTest) -> None:
    """Channel payloads, form values, toasts, labels, log lines and errors: strings in JSON, which the client shows as text."""
    post = await host.submit_post("canvas")
    async with Viewer(host.host.url, post) as viewer:
        assert viewer.tree is not None
        tags = {node[0] for node in viewer.nodes()}
        assert tags <= {"blocks", "vstack", "hstack", "zstack", "text", "button", "image", "avatar", "spacer"}
        for node in viewer.nodes():
            for name, value in node[1].items():
                assert name not in ("style", "class", "html", "href", "srcdoc")
                if name in ("width", "height", "color", "background_color"):
                    assert NASTY not in str(value)
        await viewer.press("Ask")
        form = viewer.effects[-1]
        assert form["form"]["title"] == NASTY
        await viewer.submit({"name": "submitted: " + NASTY})
        await viewer.sees("submitted: " + NASTY)
        await viewer.press("Send")  # what comes back through the channel takes its place
        await viewer.until(lambda: "submitted" not in viewer.text and NASTY in viewer.text, "what was sent")
        await viewer.press("Toast")
        assert viewer.effects[-1] == {"type": "toast", "text": NASTY[:100], "appearance": "neutral"}
        await viewer.press("Log")
        await viewer.press("Fail")
        assert viewer.effects[-1]["type"] == "error"

    async def logged() -> bool:
        path = "/api/v1/communities/playground/apps/canvas/logs"
        async with host.client.get(host.host.url + path, headers={"Accept": "text/html"}) as response:
            assert response.content_type == "application/x-ndjson"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            lines = [json.loads(line) for line in (await response.text()).split("\n") if line]
        return any("<script>alert(1)" in line["text"] for line in lines)

    await eventually(logged)


async def test_menu_items_answer_with_effects_that_are_json(host: HostUnderTest, browser: Any) -> None:
    ada = browser()
    await ada.sign_in("Ada")
    page = check(await ada.page("/c/playground"))
    [button] = [attributes for tag, attributes in page.elements if "data-menu" in attributes]
    asked = {"app": button["data-app"], "item": button["data-item"], "location": "subreddit", "target": "playground"}
    headers = {"X-Form-Token": ada.token}
    async with ada.session.post(host.host.url + "/c/playground/menu", json=asked, headers=headers) as response:
        assert response.content_type == "application/json"
        assert (await response.json())["effects"] == [{"type": "toast", "text": NASTY[:100], "appearance": "neutral"}]


LEADS_AWAY = (
    "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x",
    "vbscript:x", "file:///etc/passwd", "blob:https://x/1", "//evil.example", "/\\evil.example", "\\\\evil.example",
    "/\t/evil.example", "/\n/evil.example", "https:evil.example", "https:///evil.example", "http:\\\\evil.example", "https://",
    "https://a b/", "https://x/\u2028", "ftp://x/", "ws://x/", "about:blank", "", "a" * 5000, "https://" + "a" * 3000,
)  # fmt: skip


@pytest.mark.parametrize("address", LEADS_AWAY, ids=lambda address: repr(address)[:30])
def test_no_app_navigates_to_what_is_no_page(address: str) -> None:
    ui = Ui({})
    for target in (address, {"url": address}):
        with pytest.raises(ShowgroundError):
            ui.navigate_to(target)
    assert ui.effects == []


@pytest.mark.parametrize(("address", "led"), [("\x01https://x", "https://x"), ("///evil.example", "/evil.example")])
def test_what_a_browser_might_misread_is_sent_as_it_was_understood(address: str, led: str) -> None:
    ui = Ui({})
    ui.navigate_to(address)
    assert ui.effects[0]["url"] == led


async def test_error_answers_of_the_api_are_never_pages(host: HostUnderTest) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/api/v1/<script>", "/api/v1/apps/<b>", "/api/v1/communities/<b>/apps/<b>"):
            async with session.get(host.host.url + path, headers={"Accept": "text/html"}) as response:
                assert response.content_type == "application/json"
                assert response.headers["X-Content-Type-Options"] == "nosniff"
