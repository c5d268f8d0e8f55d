"""Requests that two readers might understand differently, paths that lead astray, bodies that grow, names that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import logging
import zipfile
import zlib

import aiohttp
import pytest
from tests.security.faults import faults

from showground.testing.host import HostUnderTest


async def raw(host: HostUnderTest, data: bytes) -> bytes:
    """Everything that comes back for these very bytes, until the host hangs up."""
    name, _, port = host.host.url.partition("//")[2].partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(30):
            return await heard(reader)
    finally:
        writer.transport.abort()


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All until the host hangs up; politely, or because more came than it wanted to read."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            answer += chunk
    return answer


def request(*lines: str, body: str = "") -> bytes:
    return ("\r\n".join(("POST /api/v1/nothing HTTP/1.1", "Host: localhost", *lines)) + "\r\n\r\n" + body).encode(
        "latin-1"
    )


HIDDEN = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLED = {
    "length and chunked": request("Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n" + HIDDEN),
    "chunked and length": request("Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n" + HIDDEN),
    "two lengths": request("Content-Length: 0", f"Content-Length: {len(HIDDEN)}", body=HIDDEN),
    "a list of lengths": request(f"Content-Length: 0, {len(HIDDEN)}", body=HIDDEN),
    "a signed length": request(f"Content-Length: +{len(HIDDEN)}", body=HIDDEN),
    "a negative length": request("Content-Length: -1", body=HIDDEN),
    "a length in hex": request("Content-Length: 0x0", body=HIDDEN),
    "a length with a space": request("Content-Length: 1 0", body=HIDDEN),
    "a length beyond all": request("Content-Length: " + "9" * 40, body=HIDDEN),
    "an unknown coding": request("Transfer-Encoding: xchunked", body="0\r\n\r\n" + HIDDEN),
    "chunked not last": request("Transfer-Encoding: chunked, identity", body="0\r\n\r\n" + HIDDEN),
    "chunked twice": request("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body="0\r\n\r\n" + HIDDEN),
    "a space before the colon": request("Transfer-Encoding : chunked", body="0\r\n\r\n" + HIDDEN),
    "a tab in the name": request("Transfer\tEncoding: chunked", body="0\r\n\r\n" + HIDDEN),
    "a folded header": request("Transfer-Encoding:", " chunked", body="0\r\n\r\n" + HIDDEN),
    "a bare line feed": request("X: y\nTransfer-Encoding: chunked", body="0\r\n\r\n" + HIDDEN),
    "a bare carriage return": request("X: y\rTransfer-Encoding: chunked", body="0\r\n\r\n" + HIDDEN),
    "a NUL in a value": request("X: a\0b", body=HIDDEN),
    "a chunk size with a sign": request("Transfer-Encoding: chunked", body="+0\r\n\r\n" + HIDDEN),
    "a chunk size in 0x": request("Transfer-Encoding: chunked", body="0x0\r\n\r\n" + HIDDEN),
    "a chunk size beyond all": request("Transfer-Encoding: chunked", body="f" * 32 + "\r\n\r\n" + HIDDEN),
    "a chunk without its end": request("Transfer-Encoding: chunked", body="3\r\nabcGET"),
    "a chunk that ends in a line feed": request("Transfer-Encoding: chunked", body="1\na\n0\n\n" + HIDDEN),
    "two hosts": request("Host: evil.example", "Content-Length: 0"),
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a line of its own kind": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "a method that is none": b"G(T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long header": request("X: " + "a" * 20_000),
    "many headers": request(*(f"X-{n}: a" for n in range(1000))),
    "http/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300,
}
"""Each holds a second request where one reader of RFC 9112 might see one and another none, or is no request at all."""


async def test_no_request_is_read_as_two(host: HostUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    for what, data in SMUGGLED.items():
        answer = await raw(host, data)
        assert b'"alive"' not in answer, what
        assert answer.count(b"HTTP/1.1 ") + answer.count(b"HTTP/1.0 ") == 1, (what, answer[:200])
        status = int(answer.split(b" ", 2)[1])
        assert status in (400, 403, 404, 413, 414, 431, 505), (what, answer[:200])
    assert faults(caplog) == []


async def test_a_host_on_the_loopback_interface_is_reached_by_its_own_names_only(host: HostUnderTest) -> None:
    port = host.host.url.rpartition(":")[2]
    for name, is_own in {
        "127.0.0.1": True, f"127.0.0.1:{port}": True, f"localhost:{port}": True, f"app.localhost:{port}": True,
        f"[::1]:{port}": True,
        "evil.example": False, f"evil.example:{port}": False, f"127.0.0.1.evil.example:{port}": False,
        f"localhost.evil.example:{port}": False, "": False, "localhost@evil.example": False, "evil.example#localhost": False,
        "xlocalhost": False,
    }.items():  # fmt: skip
        for path in ("/", "/sign-in", "/api/v1/apps", "/static/embed.js"):
            answer = await raw(host, f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            refused = b" 403 " in answer.split(b"\r\n", 1)[0] or b" 400 " in answer.split(b"\r\n", 1)[0]
            assert refused is not is_own, (name, path, answer[:100])
    # forwarded names count for nothing: whoever wants them sets public_url
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    async with host.client.get(host.host.url + "/demo", headers=forged) as response:
        assert "evil.example" not in await response.text()
        assert "evil.example" not in str(response.headers)


PATHS = [
    "/static/../host.py", "/static/..%2fhost.py", "/static/%2e%2e/host.py", "/static/%2e%2e%2fhost.py", "/static/..%5chost.py",
    "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/embed.js%00.html", "/static/embed.js/", "/static/./embed.js%2f..",
    "/static/%c0%ae%c0%ae/host.py", "/static/....//host.py", "/community/../pages.py", "/community/..%2f__init__.py",
    "/community/%2e%2e%2fsessions.py", "/static/", "/static", "/community/",
    "/assets/{digest}/../app.json", "/assets/{digest}/..%2fapp.json", "/assets/{digest}/%2e%2e/main.py",
    "/assets/{digest}/%2e%2e%2fmain.py", "/assets/{digest}/..%5cmain.py", "/assets/{digest}//etc/passwd",
    "/assets/{digest}/%2fetc%2fpasswd", "/assets/{digest}/x%00", "/assets/../{digest}/main.py", "/assets/%2e%2e/x",
    "/assets/..%2f..%2fsecret.key/x", "/assets/{digest}/main.py", "/assets/{digest}/.", "/assets//main.py", "/assets/*/main.py",
    "/assets/{digest}" + "/a" * 2000,
]  # fmt: skip


async def test_no_path_leads_out_of_the_files_that_are_shown(host: HostUnderTest) -> None:
    digest = (await host.call("GET", "/api/v1/apps/canvas"))["versions"][0]["digest"]
    for path in PATHS:
        target = path.replace("{digest}", digest)
        answer = await raw(host, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert int(answer.split(b" ", 2)[1]) in (400, 404, 422), (path, answer[:200])
        assert b"root:" not in answer
        assert b"import" not in answer, path


async def test_bytes_that_are_no_text_are_a_bad_request_and_no_fault(
    host: HostUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    odd = "\xff\xfe"
    lines = [
        f"Authorization: Bearer {odd}", f"Cookie: showground_session={odd}.1.{odd}", f"Cookie: showground_env={odd}",
        "Cookie: showground_env=" + "[" * 4000, 'Cookie: showground_env={"x":' + "[" * 4000, f"Accept: {odd}", f"Origin: {odd}",
        f"X-Form-Token: {odd}", f"X-View-Pass: {odd}", f"Content-Type: {odd}", f"webhook-id: {odd}", f"ce-id: {odd}",
        f"Sec-Fetch-Site: {odd}", f"Last-Event-ID: {odd}",
    ]  # fmt: skip
    post = await host.submit_post("canvas")
    paths = [
        "/", "/c/playground", f"/embed/{post}", f"/live/{post}/stream", "/api/v1/apps", "/c/%ff", "/embed/%ff", "/?x=%ff",
        "/c/playground/posts/%ff%fe", "/api/v1/communities/%ff/apps/%ff", "/sign-in?back=%ff", f"/embed/{post}?ticket=%ff",
        "/demo?post=%ff",
    ]  # fmt: skip
    for method in ("GET", "POST"):
        for path in paths:
            for line in lines:
                head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n{line}\r\n\r\n"
                answer = await raw(host, head.encode("latin-1"))
                assert answer.split(b" ", 2)[1] < b"500", (method, path, line[:60], answer[:300])
    assert faults(caplog) == []


async def test_a_compressed_body_is_not_unpacked(host: HostUnderTest) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    for coding in ("gzip", "deflate", "br", "zstd", "GZIP", "gzip, gzip", "identity, gzip", "x"):
        for path in ("/api/v1/events", "/api/v1/apps", "/sign-in", "/live/x/views/y"):
            headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
            async with host.client.post(host.host.url + path, data=bomb, headers=headers) as response:
                assert response.status == 415, (coding, path)
                assert (await response.json())["error"]["code"] == "unsupported"


def bomb(*members: tuple[str, bytes], level: int = 9) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as packed:
        for name, data in members:
            packed.writestr(name, data)
    return stream.getvalue()


async def test_uploads_that_grow_are_refused_and_leave_nothing(host: HostUnderTest) -> None:
    manifest = b'{"name": "bomb", "version": "1.0.0"}'
    nested = bomb(("a.zip", bomb(("b", b"\0" * 10_000_000))))
    lying = bytearray(bomb(("app.json", manifest), ("x", b"\0" * 5_000_000)))
    at = lying.rindex(b"PK\x01\x02")
    lying[at + 24 : at + 28] = (10).to_bytes(4, "little")  # its directory says that it holds ten bytes
    for what, data in {
        "one large file": bomb(("app.json", manifest), ("x", b"\0" * 300_000_000)),
        "many files": bomb(("app.json", manifest), *((f"f{n}", b"") for n in range(20_000)), level=0),
        "a size that is a lie": bytes(lying),
        "no zip": zlib.compress(b"x" * 100),
        "nested": nested,
        "a climbing name": bomb(("app.json", manifest), ("../../escaped.py", b"x")),
    }.items():
        async with host.client.post(host.host.url + "/api/v1/apps", data=io.BytesIO(data)) as response:
            assert response.status in (413, 422), (what, await response.text())
            assert (await response.json())["error"]["code"] in ("bundle_invalid", "too_large"), what
    assert [app["name"] for app in (await host.call("GET", "/api/v1/apps"))["apps"]] == ["canvas"]


async def test_an_upload_without_end_is_cut_at_its_limit(host: HostUnderTest) -> None:
    name, _, port = host.host.url.partition("//")[2].partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(
        f"POST /api/v1/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {host.host.root_token}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    answer = asyncio.ensure_future(reader.readuntil(b"\r\n"))
    chunk, sent = b"%x\r\n%b\r\n" % (1024 * 1024, b"x" * 1024 * 1024), 0
    try:
        while not answer.done() and sent < 100:
            sent += 1
            writer.write(chunk)
            with contextlib.suppress(ConnectionError):  # it may hang up while we still write
                await writer.drain()
            await asyncio.sleep(0)
        assert (await answer).split(b" ", 2)[1] == b"413"
    finally:
        answer.cancel()
        writer.transport.abort()
    assert sent < 70, "megabytes"
    async with host.client.post(host.host.url + "/api/v1/apps", data=b"", headers={"Content-Length": "0"}) as response:
        assert response.status == 422


async def test_deep_json_is_a_bad_request_on_every_route_that_reads_a_body(host: HostUnderTest) -> None:
    post = await host.submit_post("canvas")
    values = {"community": "playground", "app": "canvas", "post": post, "view": "v", "event": "PostCreate", "name": "paint",
              "id": "x", "version": "1.0.0", "job": "x"}  # fmt: skip
    asked = 0
    for method, path, _ in host.host.routes:
        if method not in ("POST", "PUT"):
            continue
        for deep in (
            b"[" * 200_000,
            b'{"a":' * 100_000,
            b'{"values":{"a":' + b"[" * 200_000,
            b'[{"x":' + b"[" * 200_000,
        ):
            address = host.host.url + path.format_map(values)
            headers = {"Content-Type": "application/json"}
            async with host.client.request(
                method, address, data=deep, headers=headers, allow_redirects=False
            ) as response:
                assert response.status < 500, (path, await response.text())
                asked += 1
    assert asked > 60


async def test_a_token_in_an_address_counts_on_get_alone(host: HostUnderTest) -> None:
    token = host.host.root_token
    async with aiohttp.ClientSession() as session:
        async with session.get(host.host.url + "/api/v1/apps", params={"access_token": token}) as response:
            assert response.status == 200
        for method, path in (("POST", "/api/v1/tokens"), ("POST", "/api/v1/apps"), ("DELETE", "/api/v1/tokens/x"),
                             ("PUT", "/api/v1/communities/playground/apps/canvas"), ("POST", "/api/v1/events")):  # fmt: skip
            address = host.host.url + path
            async with session.request(method, address, params={"access_token": token}, data=b"{}") as response:
                assert response.status == 401, path
        form = {"access_token": token}
        async with session.post(
            host.host.url + "/api/v1/tokens", data=form
        ) as response:  # RFC 6750 section 2.2, not for us
            assert response.status == 401


async def test_whatever_is_answered_has_the_headers_that_browsers_heed(host: HostUnderTest) -> None:
    for path in ("/", "/api/v1/apps", "/api/v1/nothing", "/healthz", "/static/embed.js", "/nothing"):
        for accept in ("text/html", "application/json"):
            async with host.client.get(host.host.url + path, headers={"Accept": accept}) as response:
                assert response.headers["X-Content-Type-Options"] == "nosniff", path
                assert response.headers["Referrer-Policy"] == "no-referrer", path
                assert "Cross-Origin-Resource-Policy" in response.headers, path
                if path.startswith("/api/"):
                    json.loads(await response.text())


async def test_what_is_no_http_is_refused_in_the_one_shape_and_is_no_error_of_the_hosts(
    host: HostUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    head, _, body = (await raw(host, SMUGGLED["length and chunked"])).partition(b"\r\n\r\n")
    assert head.split(b" ", 2)[1] == b"400"
    assert b"Content-Type: application/json" in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert json.loads(body)["error"]["code"] == "bad_request"
    assert faults(caplog, logging.WARNING) == []
