"""`context.fetch` against a real TLS server on loopback: what is allowed arrives, the rest is never sent."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from showground.errors import ShowgroundError
from showground_http.addresses import PublicResolver, is_public
from showground_http.fetch import Fetcher, FetchOptions

NAMES = ("api.test", "other.test", "inside.test", "mixed.test", "literal.test")


class Names(AbstractResolver):
    """Stands in for the network's DNS: every name leads to loopback."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = ["93.184.216.34", "127.0.0.1"] if host == "mixed.test" else ["127.0.0.1"]
        return [
            ResolveResult(hostname=host, host=a, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST)
            for a in addresses
        ]

    async def close(self) -> None: ...


@dataclass
class Site:
    fetcher: Fetcher
    port: int
    seen: list[web.Request] = field(default_factory=list)
    allowed: tuple[str, ...] = ("api.test", "other.test")

    async def get(self, path: str = "/", host: str = "api.test", **more: object) -> Mapping[str, object]:
        method, headers, body = more.get("method", "GET"), more.get("headers", {}), more.get("body", b"")
        assert isinstance(method, str)
        assert isinstance(headers, dict)
        assert isinstance(body, bytes)
        timeout_s = float(str(more.get("timeout_s", 5)))
        url = f"https://{host}:{self.port}{path}"
        return await self.fetcher.fetch(self.allowed, url, method, headers, body, timeout_s)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(trust)
    options = FetchOptions(
        private_hosts=("api.test", "other.test"), ca_file=str(tmp_path / "ca.pem"), max_response_bytes=100_000
    )
    async with Fetcher(options, PublicResolver(options.private_hosts, Names())) as fetcher:
        site = Site(fetcher, 0)

        async def answer(request: web.Request) -> web.StreamResponse:
            site.seen.append(request)
            match request.path:
                case "/slow":
                    await asyncio.Event().wait()
                case "/leave":
                    raise web.HTTPFound(f"https://evil.example:{site.port}/")
                case "/move":
                    raise web.HTTPFound(f"https://other.test:{site.port}/landed")
                case "/loop":
                    raise web.HTTPFound("/loop")
                case "/huge":
                    return web.Response(body=b"x" * 100_001)
                case "/bomb":
                    return web.Response(body=gzip.compress(b"0" * 5_000_000), headers={"Content-Encoding": "gzip"})
            return web.json_response({"path": request.path, "body": await request.text()}, status=201)

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        listening = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trust)
        await listening.start()
        site.port = runner.addresses[0][1]
        yield site
        await runner.cleanup()


async def test_an_allowed_request_arrives_and_its_answer_comes_back(site: Site) -> None:
    answer = await site.get("/x?y=1", method="post", headers={"X-Kind": "a"}, body=b"hello")
    assert answer["status"] == 201
    assert answer["body"] == b'{"path": "/x", "body": "hello"}'
    assert site.seen[0].headers["X-Kind"] == "a"
    assert site.seen[0].query_string == "y=1"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://api.test/", "invalid"),
        ("https://api.test.evil.example/", "forbidden"),
        ("https://evil.example/", "forbidden"),
        ("https://user:pw@api.test/", "invalid"),
        ("https://127.0.0.1/", "forbidden"),
        ("https://[::1]/", "forbidden"),
        ("file:///etc/passwd", "invalid"),
        ("https://", "invalid"),
        ("https://api.test:99999999/", "invalid"),
        ("gopher://api.test/", "invalid"),
    ],
)
async def test_a_url_that_is_not_allowed_is_refused_before_anything_is_sent(site: Site, url: str, code: str) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await site.fetcher.fetch(site.allowed, url, "GET", {}, b"", 5)
    assert caught.value.code == code
    assert site.seen == []


@pytest.mark.parametrize("host", ["inside.test", "mixed.test"])
async def test_an_allowed_name_with_any_private_address_is_refused(site: Site, host: str) -> None:
    site.allowed = (host,)
    with pytest.raises(ShowgroundError, match="not a public address"):
        await site.get(host=host)
    assert site.seen == []


async def test_an_address_on_the_allow_list_is_still_refused(site: Site) -> None:
    site.allowed = ("127.0.0.1",)
    with pytest.raises(ShowgroundError, match="an address, not a name"):
        await site.get(host="127.0.0.1")


async def test_a_redirect_to_another_allowed_host_is_followed_without_credentials(site: Site) -> None:
    answer = await site.get("/move", method="POST", headers={"Authorization": "secret", "X-Kind": "a"}, body=b"b")
    assert answer["url"] == f"https://other.test:{site.port}/landed"
    landed = site.seen[-1]
    assert (landed.method, landed.headers.get("Authorization"), landed.headers["X-Kind"]) == ("GET", None, "a")


async def test_a_redirect_to_a_host_that_is_not_allowed_is_refused(site: Site) -> None:
    with pytest.raises(ShowgroundError, match=r"evil\.example is not among the hosts"):
        await site.get("/leave")


async def test_redirects_end(site: Site) -> None:
    with pytest.raises(ShowgroundError, match="more than 5 redirects"):
        await site.get("/loop")
    assert len(site.seen) == 6


@pytest.mark.parametrize("path", ["/huge", "/bomb"])
async def test_a_body_over_the_limit_is_cut_off_however_it_is_compressed(site: Site, path: str) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await site.get(path)
    assert caught.value.code == "too_large"


async def test_a_host_that_does_not_answer_is_given_up_in_devvits_words(site: Site) -> None:
    with pytest.raises(ShowgroundError, match=r"HTTP request to domain: api\.test timed out") as caught:
        await site.get("/slow", timeout_s=0.1)
    assert caught.value.code == "deadline_exceeded"


@pytest.mark.parametrize(
    "headers", [{"Host": "x"}, {"Transfer-Encoding": "chunked"}, {"a b": "c"}, {"a": "b\r\nc: d"}, {"": "x"}]
)
async def test_a_header_that_could_change_the_request_is_refused(site: Site, headers: dict[str, str]) -> None:
    with pytest.raises(ShowgroundError) as caught:
        await site.get(headers=headers)
    assert caught.value.code == "invalid"
    assert site.seen == []


async def test_a_certificate_for_another_name_is_refused(site: Site) -> None:
    site.allowed = ("unnamed.test",)
    fetcher = Fetcher(FetchOptions(private_hosts=("unnamed.test",)), PublicResolver(["unnamed.test"], Names()))
    async with fetcher:
        site.fetcher = fetcher
        with pytest.raises(ShowgroundError, match="could not be reached"):
            await site.get(host="unnamed.test")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "2002:7f00:1::", "64:ff9b::7f00:1", "192.0.2.1", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ShowgroundError, match=r"(?s)privat_hosts.*private_hosts"):
        FetchOptions.read({"privat_hosts": []})
