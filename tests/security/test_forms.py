"""Forms that other sites' pages send, sessions that are forged or fixed, and redirects that lead away."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from showground.capabilities import COMMUNITY
from showground.clock import SystemClock
from showground.keys import KeySpace
from showground.testing.host import HostUnderTest, Neighbourly, running_host
from showground_community.sessions import Sessions


class Browser(Protocol):
    """`conftest.Browser`."""

    url: str
    session: aiohttp.ClientSession
    token: str

    async def page(self, path: str, **more: Any) -> str: ...
    async def send(self, path: str, fields: dict[str, str] | None = None, **more: Any) -> aiohttp.ClientResponse: ...
    async def sign_in(self, name: str) -> None: ...


NewBrowser = Callable[[], Browser]


def forum_of(host: HostUnderTest) -> Any:
    forum = host.host.plugins.provider(COMMUNITY)
    assert isinstance(forum, Neighbourly)
    return forum


def page_routes(host: HostUnderTest) -> list[str]:
    """Every route that changes something and asks for no token of the API, as the host serves them."""
    return sorted(path for method, path, scope in host.host.routes if method != "GET" and scope is None)


async def fill(host: HostUnderTest, path: str) -> str:
    forum = forum_of(host)
    ada = await forum.join("Ada")
    post = await forum.submit_post("playground", ada.id, "A post")
    return path.replace("{community}", "playground").replace("{post}", post.id)


OWN_PROOF = {
    "/api/v1/events": "bearer token",
    "/api/v1/webhooks/{name}": "signature",
    "/live/{post}/views/{view}": "view pass",
}
"""Routes whose requests prove in another way that no foreign page sent them; each has tests of its own."""


async def test_no_form_of_another_sites_page_is_taken(host: HostUnderTest, browser: NewBrowser) -> None:
    paths = [path for path in page_routes(host) if path not in OWN_PROOF]
    assert len(paths) >= 7
    ada, mallory = browser(), browser()
    await ada.sign_in("Ada")
    await mallory.page("/sign-in")
    stolen = {
        "no token": "",
        "a token of the attacker's own browser": mallory.token,
        "a token of no ASCII": "ü" * 20,
        "a token of the right length": base64.urlsafe_b64encode(b"x" * 24).decode(),
    }
    refused = 0
    for pattern in paths:
        path = await fill(host, pattern)
        fields = {"name": "Mallory", "title": "spam", "body": "spam", "action": "delete"}
        for token in stolen.values():
            # as a browser sends it that does not know SameSite: with the cookies, without Origin or Sec-Fetch-Site
            assert (await ada.send(path, {**fields, "token": token})).status == 403, path
            refused += 1
        # as every browser of today sends it: it says that the page is another site's, whatever token it has
        for site in ("cross-site", "same-site"):
            assert (await ada.send(path, fields, headers={"Sec-Fetch-Site": site})).status == 403, path
            refused += 1
        # without cookies, as SameSite has it, and with the token that the attacker's page fetched for itself
        bare = browser()
        assert (await bare.send(path, {**fields, "token": mallory.token})).status == 403, path
        refused += 1
    assert refused == 7 * len(paths)
    forum = forum_of(host)
    assert not [p for p in await forum.store.posts("playground") if p.title == "spam" or p.deleted]
    assert await forum.store.user_by_name("Mallory") is None
    assert "Ada" in await ada.page("/"), "nobody was signed out"


async def test_forms_of_our_own_pages_are_taken(host: HostUnderTest, browser: NewBrowser) -> None:
    ada = browser()
    await ada.sign_in("Ada")
    await ada.page("/c/playground")
    made = await ada.send("/c/playground/posts", {"title": "Hello"}, headers={"Sec-Fetch-Site": "same-origin"})
    assert made.status == 303
    assert "Hello" in await ada.page(made.headers["Location"])
    assert (await ada.send("/sign-out")).status == 303
    assert "Ada" not in await ada.page("/")


async def test_json_of_another_sites_page_is_not_taken(host: HostUnderTest, browser: NewBrowser) -> None:
    """A page of another site cannot set X-Form-Token without asking us first (CORS), and we never permit it."""
    ada = browser()
    await ada.sign_in("Ada")
    for path in ("/c/playground/menu", "/c/playground/form"):
        for kind in ("text/plain", "application/json"):
            async with ada.session.post(ada.url + path, data="{}", headers={"Content-Type": kind}) as response:
                assert response.status == 403
        asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        async with ada.session.options(ada.url + path, headers=asks) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.status == 405


AWAY = (
    "//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "\t//evil.example", "/\n/evil.example",
    "/\r\n/evil.example", "/\x00/evil.example", "\\\\evil.example", "javascript:alert(1)", "///evil.example", " //evil.example",
    "/ü/../\u2028/evil.example", "evil.example", "", "/%0d%0aSet-Cookie: a=b\r\nX: y",
)  # fmt: skip


async def test_nobody_is_led_to_another_site(host: HostUnderTest, browser: NewBrowser) -> None:
    ada = browser()
    for back in AWAY:
        await ada.page("/sign-in", params={"back": back})
        led = [await ada.send("/sign-in", {"name": "Ada", "back": back})]
        await ada.page("/")
        led.append(await ada.send("/sign-out", {"back": back}))
        for response in led:
            assert response.status == 303
            assert "X" not in response.headers
            # what browsers do before they resolve an address: WHATWG URL, section 4.4
            address = response.headers["Location"].replace("\\", "/")
            for dropped in "\t\r\n":
                address = address.replace(dropped, "")
            assert urlsplit(urljoin(host.host.url, address.strip())).netloc == urlsplit(host.host.url).netloc


async def test_a_session_is_nobodys_unless_this_host_signed_it(host: HostUnderTest, browser: NewBrowser) -> None:
    ada = browser()
    await ada.sign_in("Ada")
    [good] = [c.value for c in ada.session.cookie_jar if c.key == "showground_session"]
    user, expires, signature = good.split(".")
    grace = (await forum_of(host).join("Grace")).id
    elsewhere = Sessions(b"another deployment's secret......", SystemClock())
    forged = {
        "another's id": f"{grace}.{expires}.{signature}",
        "a later end": f"{user}.{int(expires) + 9}.{signature}",
        "no signature": f"{user}.{expires}.",
        "no signature at all": f"{user}.{expires}",
        "no ASCII": f"{user}.{expires}.ü",
        "another host's": f"{user}.{expires}.{elsewhere._sign('session', f'{user}.{expires}')}",
        "a form token": f"{user}.{expires}.{ada.token}",
        "a form token of the text": f"{user}.{expires}.{elsewhere.form_token(f'{user}.{expires}')}",
        "lower case": good.lower(),
        "one more dot": good + ".",
        "long": good * 50,
        "empty": "",
        "dots": "...",
    }
    for what, value in forged.items():
        headers = {"Cookie": f"showground_session={value}"}
        async with aiohttp.ClientSession() as mallory, mallory.get(ada.url + "/", headers=headers) as response:
            assert response.status == 200, what
            assert "Sign out" not in await response.text(), what
    async with (
        aiohttp.ClientSession(headers={"Cookie": f"showground_session={good}"}) as same,
        same.get(ada.url + "/c/playground") as response,
    ):
        assert "Sign out" in await response.text()


async def test_signing_in_gives_a_session_that_nobody_chose_before(host: HostUnderTest, browser: NewBrowser) -> None:
    """Fixation: what the browser brought along does not become the session."""
    mallory, ada = browser(), browser()
    await mallory.sign_in("Mallory")
    ada.session.cookie_jar.update_cookies(
        {c.key: c.value for c in mallory.session.cookie_jar}, response_url=URL(ada.url)
    )
    await ada.page("/sign-in")
    before = {c.key: c.value for c in ada.session.cookie_jar}
    assert (await ada.send("/sign-in", {"name": "Ada"})).status == 303
    after = {c.key: c.value for c in ada.session.cookie_jar}
    assert after["showground_session"] != before["showground_session"]
    assert "Mallory" in await mallory.page("/c/playground")


async def test_cookies_are_for_this_host_and_its_pages_alone(host: HostUnderTest, browser: NewBrowser) -> None:
    ada = browser()
    await ada.page("/sign-in")
    response = await ada.send("/sign-in", {"name": "Ada"})
    [cookie] = response.headers.getall("Set-Cookie")
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= flags
    assert not any(flag.startswith("domain") for flag in flags)

    secure = Sessions(b"s" * 32, SystemClock(), is_secure=True)
    answer = web.Response()
    secure.sign_in(answer, "t2_1")
    [(name, morsel)] = answer.cookies.items()
    assert name.startswith("__Host-")
    assert morsel["secure"]
    assert morsel["path"] == "/"
    assert not morsel["domain"]


async def test_a_moderator_has_no_say_in_another_community(host: HostUnderTest, browser: NewBrowser) -> None:
    forum = forum_of(host)
    ada, eve = browser(), browser()
    await ada.sign_in("Ada")
    await eve.sign_in("Eve")
    eve_id = (await forum.join("Eve")).id
    await forum.appoint("eves", eve_id)
    ada_id = (await forum.join("Ada")).id
    post = await forum.submit_post("playground", ada_id, "Ada's")
    comment = await forum.submit_comment(post.id, ada_id, "Ada's comment")
    own = await forum.submit_post("eves", eve_id, "Eve's")
    await eve.page("/c/eves")
    attempts = [
        (f"/c/eves/posts/{own.id}/moderate", {"thing": comment.id, "action": action})
        for action in ("remove", "delete", "approve", "report", "spam")
    ]
    attempts += [(f"/c/eves/posts/{own.id}/moderate", {"thing": post.id, "action": "remove"})]
    attempts += [(f"/c/eves/posts/{post.id}/moderate", {"action": "remove"})]
    attempts += [(f"/c/playground/posts/{post.id}/moderate", {"action": a}) for a in ("remove", "delete", "lock")]
    attempts += [(f"/c/eves/posts/{own.id}/comments", {"parent": comment.id, "body": "x"})]
    attempts += [(f"/c/eves/posts/{own.id}/comments", {"parent": post.id, "body": "x"})]
    for path, fields in attempts:
        assert (await eve.send(path, fields)).status in (403, 404), (path, fields)
    assert len(await forum.store.comments(post.id)) == 1
    after = await forum.comment(comment.id)
    assert (after.removed, after.deleted, after.num_reports) == (False, False, 0)
    assert not (await forum.store.post(post.id)).removed


async def test_nobody_signs_in_by_a_name_where_that_is_not_for_anybody(
    tmp_path: Path, redis_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        for path in ("/sign-in", "/demo"):
            async with host.client.get(host.host.url + path) as response:
                assert response.status == 404
