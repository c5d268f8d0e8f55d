"""context.fetch asks the sites that the app named and the operator could read of, and no others. The host makes the request."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import ThreadedResolver, web
from aiohttp.abc import ResolveResult
from tests.fundamentals.conftest import Bundle

from showground.testing.playground import AppFailed, Playground

SITE = "api.example.com"


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A site of somebody else's: TLS on loopback, under the name that a test's DNS gives it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(SITE).configure_cert(context)
    lookup = ThreadedResolver.resolve

    async def names(self: ThreadedResolver, host: str, *more: Any) -> list[ResolveResult]:
        return await lookup(self, "127.0.0.1" if host == SITE else host, *more)

    monkeypatch.setattr(ThreadedResolver, "resolve", names)

    async def weather(request: web.Request) -> web.Response:
        return web.json_response({"degrees": 20})

    app = web.Application()
    app.router.add_get("/weather", weather)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
def playground_settings(port: int, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Private addresses are refused unless the operator lists the host; so is a certificate that nobody vouches for."""
    return {"http": {"private_hosts": [SITE], "ca_file": str(tmp_path / "ca.pem")}}


async def test_an_app_reads_from_the_sites_that_it_named(bundle: Bundle, playground: Playground, port: int) -> None:
    """The manifest permits, configure asks, fetch does. Any other host is refused before anything is sent."""
    app = await playground.install(
        bundle(
            "weather",
            f"""
            from showground import Devvit

            Devvit.configure(http={{"domains": ["{SITE}"]}})

            @Devvit.add_trigger("PostCreate")
            async def look(event, context):
                response = await context.fetch(event.post.url)
                return [response.status, response.json()]
            """,
            permissions={"http": {"domains": [SITE]}},
        )
    )
    here = {"post": {"id": "t3_1", "title": "Weather", "url": f"https://{SITE}:{port}/weather"}}
    assert await app.emit("PostCreate", here) == [200, {"degrees": 20}]
    elsewhere = {"post": {"id": "t3_2", "title": "Other", "url": "https://elsewhere.example.com/"}}
    with pytest.raises(AppFailed, match="forbidden"):
        await app.emit("PostCreate", elsewhere)
