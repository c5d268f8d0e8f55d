"""Views that others try to take over, tickets that nobody signed, and pages of other sites at the sockets."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.security.faults import faults

from showground.testing.host import TICKET_KEY, HostUnderTest
from showground.testing.viewer import Viewer

FRIEND = "https://forum.example"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def ticket(
    claims: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    key: bytes = TICKET_KEY,
    digest: str = "sha256",
    raw_header: bytes | None = None,
) -> str:
    """A ticket as a site signs one, or as nobody should."""
    now = int(time.time())
    body = {"aud": "playground", "sub": "t2_ada", "name": "Ada", "iat": now, "exp": now + 300, **(claims or {})}
    head = raw_header or json.dumps({"alg": "HS256", "kid": "test", **(header or {})}).encode()
    text = f"{b64(head)}.{b64(json.dumps(body).encode())}"
    return f"{text}.{b64(hmac.new(key, text.encode(), digest).digest())}"


async def hello(host: HostUnderTest, post: str, message: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The first answer to a hello."""
    address = f"{host.host.url}/live/{post}/socket"
    async with aiohttp.ClientSession() as session, session.ws_connect(address, **more) as socket:
        await socket.send_str(json.dumps({"type": "hello", "post": post, **message}))
        answer: dict[str, Any] = json.loads((await socket.receive(timeout=10)).data)
        return answer


@pytest.fixture
async def post(host: HostUnderTest) -> str:
    return await host.submit_post("canvas")


@pytest.fixture
async def ada(host: HostUnderTest, post: str) -> AsyncIterator[Viewer]:
    async with Viewer(host.host.url, post, ticket()) as viewer:
        await viewer.press("Count")
        await viewer.sees("count 1")
        yield viewer


async def test_a_view_is_its_owners_whatever_others_know_of_it(host: HostUnderTest, post: str, ada: Viewer) -> None:
    other_post = await host.submit_post("canvas")
    await host.install(Path(__file__).parent / "canvas", "elsewhere")
    foreign_post = await host.submit_post("canvas", "elsewhere")
    mine = await hello(host, post, {})
    grace = ticket({"sub": "t2_grace", "name": "Grace"})
    view, good = ada.view, ada.resume
    assert view
    assert good
    attempts: dict[str, tuple[str, dict[str, Any]]] = {
        "no pass": (post, {"view": view}),
        "an empty pass": (post, {"view": view, "resume": ""}),
        "the view's id as pass": (post, {"view": view, "resume": view}),
        "a guess": (post, {"view": view, "resume": "0" * 40}),
        "a part": (post, {"view": view, "resume": good[:-1]}),
        "upper case": (post, {"view": view, "resume": good.upper()}),
        "no ASCII": (post, {"view": view, "resume": "ü" * 40}),
        "a long one": (post, {"view": view, "resume": good * 1000}),
        "the pass of another view": (post, {"view": view, "resume": mine["resume"]}),
        "by another post": (other_post, {"view": view, "resume": good}),
        "by another installation's post": (foreign_post, {"view": view, "resume": good}),
        "as somebody else, with the pass": (post, {"view": view, "resume": good, "ticket": grace}),
        "the right pass for a view's key": (post, {"view": f"{view}:x", "resume": good}),
        "a pattern": (post, {"view": "*", "resume": good}),
        "a long name": (post, {"view": "v" * 100_000, "resume": good}),
    }
    for what, (where, message) in attempts.items():
        answer = await hello(host, where, {**message, "rev": ada.rev})
        assert answer["type"] == "welcome", what
        assert answer["resumed"] is False, what
        assert answer["view"] != view, what
        assert "count 1" not in json.dumps(answer), what
    await ada.press("Count")
    await ada.sees("count 2")


async def test_an_event_that_is_sent_again_is_done_once(host: HostUnderTest, post: str, ada: Viewer) -> None:
    [button] = [node for node in ada.nodes() if node[1].get("text") == "Count"]
    event = {"type": "event", "event": {"type": "press", "action": button[1]["press"]}}
    for seq in (1, 1, 2, 2, 1):  # 1 was the first press of the fixture
        await ada._send({**event, "seq": seq})
    await ada.sees("count 2")
    await ada.event({"type": "press", "action": button[1]["press"]})
    await ada.cut()
    await ada.connect()
    for seq in (1, 2):
        await ada._send({**event, "seq": seq})
    ada._seq = 2
    await ada.press("Count")
    await ada.sees("count 3")
    assert "count 4" not in ada.text


async def test_words_to_a_stream_need_its_pass(host: HostUnderTest, post: str, ada: Viewer) -> None:
    """The way of browsers without WebSockets."""
    address = f"{host.host.url}/live/{post}/views/{ada.view}"
    press = {"type": "event", "seq": 99, "event": {"type": "press", "action": "x"}}
    mine = await hello(host, post, {})
    async with aiohttp.ClientSession() as session:
        for sent in ("", "0" * 40, mine["resume"], "ü", "\udcff"):
            headers = {"X-View-Pass": sent.encode("utf-8", "surrogateescape").decode("latin-1")}
            async with session.post(address, json=press, headers=headers) as response:
                assert response.status == 403, sent
        headers = {"X-View-Pass": ada.resume or "", "Origin": "https://evil.example"}
        async with session.post(address, json=press, headers=headers) as response:
            assert response.status == 403


def forged() -> dict[str, str]:
    """Tickets of this moment that nobody should take."""
    now = int(time.time())
    return {
        "another key": ticket(key=b"k" * 32),
        "no signature": ticket().rpartition(".")[0] + ".",
        "alg none": b64(b'{"alg":"none"}') + "." + ticket().split(".")[1] + ".",
        "alg none, with a key": ticket(header={"alg": "none"}),
        "alg None in capitals": ticket(header={"alg": "NONE"}),
        "HS512": ticket(header={"alg": "HS512"}, digest="sha512"),
        "RS256 with our key as its public key": ticket(header={"alg": "RS256"}),
        "no key id": ticket(header={"kid": None}),
        "an unknown key id": ticket(header={"kid": "other"}),
        "the host's own key id": ticket(header={"kid": "~host"}),
        "a path as key id": ticket(header={"kid": "../../dev/null"}, key=b""),
        "a list as key id": ticket(header={"kid": ["test"]}),
        "a key in the header": ticket(header={"kid": "x", "jwk": {"kty": "oct", "k": b64(b"k" * 32)}}, key=b"k" * 32),
        "an unknown critical header": ticket(header={"crit": ["exp2"], "exp2": 1}),
        "expired": ticket({"iat": 1, "exp": 2}),
        "from the future": ticket({"iat": now + 3000, "exp": now + 3100}),
        "for ever": ticket({"exp": now + 10**6}),
        "for ever since ever": ticket({"iat": -(10**300), "exp": 10**300}),
        "no end": ticket({"exp": None}),
        "an end that is no number": ticket({"exp": float("inf")}),
        "an end that is text": ticket({"exp": "9999999999"}),
        "nobody": ticket({"sub": ""}),
        "a number for a name": ticket({"name": 7}),
        "no JWT": "ticket",
        "dots": "...",
        "not base64": "ü.ü.ü",
        "a nested header": ticket(raw_header=b"[" * 60_000),
        "a header of another shape": ticket(raw_header=b'"HS256"'),
        "large": "x" * 200_000,
    }


def of_elsewhere() -> dict[str, str]:
    """Tickets of this moment that are good, but not here."""
    return {
        "another community": ticket({"aud": "elsewhere"}),
        "no community": ticket({"aud": None}),
        "a pattern": ticket({"aud": "*"}),
        "an empty list": ticket({"aud": []}),
    }


async def test_a_ticket_that_the_site_did_not_sign_so_is_refused(
    host: HostUnderTest, post: str, caplog: pytest.LogCaptureFixture
) -> None:
    for tickets, code in ((forged(), "unauthorized"), (of_elsewhere(), "forbidden")):
        for what, sent in tickets.items():
            answer = await hello(host, post, {"ticket": sent})
            assert answer["type"] == "error", what
            assert answer["error"]["code"] == code, what
            if len(sent) < 4000 and sent.isascii():
                async with host.client.get(host.host.url + f"/embed/{post}", params={"ticket": sent}) as response:
                    assert response.status in (401, 403), what
    assert (await hello(host, post, {"ticket": ticket({"aud": ["x", "playground"]})}))["type"] == "welcome"
    assert faults(caplog) == []


async def test_a_page_of_another_site_opens_no_live_post_and_a_friends_does(host: HostUnderTest, post: str) -> None:
    evil = [
        "https://evil.example", "null", "https://forum.example.evil.example", "https://forum.example:444", "http://forum.example",
        "https://evil.example/https://forum.example", "https://forum.example@evil.example", "", "file://", "https://FORUM.example.",
        f"https://{host.host.url.partition('//')[2]}.evil.example", "chrome-extension://x",
    ]  # fmt: skip
    channel = "/api/v1/communities/playground/apps/canvas/channels/paint"
    headers = {"Authorization": f"Bearer {host.host.root_token}"}
    async with aiohttp.ClientSession() as session:
        for origin in evil:
            for path in (f"/live/{post}/socket", channel):
                with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                    await session.ws_connect(host.host.url + path, headers={**headers, "Origin": origin})
                assert caught.value.status == 403, origin
            async with session.get(
                host.host.url + f"/live/{post}/stream", params={"hello": "{}"}, headers={"Origin": origin}
            ) as response:
                assert response.status == 403, origin
        for origin in (FRIEND, FRIEND.upper(), host.host.url):
            async with session.ws_connect(host.host.url + f"/live/{post}/socket", headers={"Origin": origin}) as socket:
                await socket.send_str('{"type":"hello"}')
                assert json.loads((await socket.receive(timeout=10)).data)["type"] == "welcome"


# --- what is no message ----------------------------------------------------------------------------------------------

DEEP = "[" * 100_000
NO_MESSAGES = {
    "nothing": "",
    "no JSON": "hello",
    "a list": "[]",
    "null": "null",
    "an unknown type": '{"type":"admin"}',
    "deep": DEEP,
    "deep in a field that is passed on": '{"type":"event","seq":9,"event":{"type":"press","data":' + DEEP + "}}",
    "deep in a field that is not known": '{"type":"ping","x":' + DEEP + "]}",
    "a seq beyond 2^53": '{"type":"event","seq":9007199254740993,"event":{"type":"press"}}',
    "a seq beyond all": '{"type":"event","seq":' + "9" * 4000 + ',"event":{"type":"press"}}',
    "a seq of 0": '{"type":"event","seq":0,"event":{"type":"press"}}',
    "a seq below 0": '{"type":"event","seq":-1,"event":{"type":"press"}}',
    "a seq with a fraction": '{"type":"event","seq":1.5,"event":{"type":"press"}}',
    "a seq that is text": '{"type":"event","seq":"1","event":{"type":"press"}}',
    "NaN": '{"type":"env","env":{"scale":NaN}}',
    "infinity": '{"type":"env","env":{"scale":1e999}}',
    "a width beyond all": '{"type":"env","env":{"width":' + "9" * 400 + "}}",
    "a long locale": '{"type":"env","env":{"locale":"' + "x" * 1000 + '"}}',
    "an unknown event": '{"type":"event","seq":1,"event":{"type":"message","channel":"paint","data":1}}',
    "half a surrogate": '{"type":"hello","view":"\\ud800"}',
    "a NUL": "\0",
}


async def test_what_is_no_message_ends_its_connection_and_nothing_else(
    host: HostUnderTest, post: str, ada: Viewer, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"{host.host.url}/live/{post}/socket"
    async with aiohttp.ClientSession() as session:
        for what, message in NO_MESSAGES.items():
            for first in (True, False):
                async with session.ws_connect(address) as socket:
                    if not first:
                        await socket.send_str('{"type":"hello"}')
                        assert json.loads((await socket.receive(timeout=10)).data)["type"] == "welcome"
                    await socket.send_str(message)
                    said = [m.data async for m in socket if m.type is aiohttp.WSMsgType.TEXT]
                    assert json.loads(said[0])["error"]["code"] == "bad_request", what
                    assert json.loads(said[-1])["type"] == "bye", what
            async with session.get(f"{host.host.url}/live/{post}/stream", params={"hello": message[:2000]}) as response:
                assert response.status == 400, what
        duplicates = '{"type":"event","type":"ping","seq":1,"seq":2}'
        async with session.ws_connect(address) as socket:
            await socket.send_str('{"type":"hello","type":"hello"}')
            assert json.loads((await socket.receive(timeout=10)).data)["type"] == "welcome"
            await socket.send_str(duplicates)  # the last one counts, as in browsers
            assert json.loads((await socket.receive(timeout=10)).data)["type"] == "pong"
    await ada.press("Count")
    await ada.sees("count 2")
    assert faults(caplog) == []


def frame(
    opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, masked: bool = True, size: bytes | None = None
) -> bytes:
    """A frame of RFC 6455 section 5.2, well-formed or not."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size is None:
        size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    size = bytes([size[0] | (0x80 if masked else 0)]) + size[1:]
    return head + size + (b"\0\0\0\0" if masked else b"") + payload


BROKEN_FRAMES = {
    "no UTF-8": frame(1, b"\xff\xfe"),
    "half a character": frame(1, b'{"type":"\xe2\x82'),
    "half a character in pieces": frame(1, b"\xe2", fin=False) + frame(0, b"\x28"),
    "reserved bits": frame(1, b'{"type":"hello"}', rsv=4),
    "a reserved opcode": frame(3, b"x"),
    "a reserved control opcode": frame(11, b"x"),
    "a continuation of nothing": frame(0, b"x"),
    "a ping in pieces": frame(9, b"x", fin=False),
    "a long ping": frame(9, b"x" * 200),
    "a text within a text": frame(1, b"a", fin=False) + frame(1, b"b"),
    "2^63 bytes": frame(1, b"", size=b"\x7f" + (2**63).to_bytes(8, "big")),
    "more than the limit": frame(1, b"", size=b"\x7f" + (300_000).to_bytes(8, "big")) + b"x" * 300_000,
    "more than the limit in pieces": b"".join(
        [frame(1, b"x" * 60_000, fin=False), *[frame(0, b"x" * 60_000, fin=False)] * 6]
    ),
    "a close code that is none": frame(8, (5).to_bytes(2, "big")),
    "a close of one byte": frame(8, b"x"),
    "binary": frame(2, b'{"type":"hello"}'),
    "a compressed one": frame(1, b"\xaa\x56\x2a\xa9", rsv=4),
    "garbage": bytes(range(256)),
}


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether the host closes the connection, or says that it will (a close frame), within seconds."""
    try:
        async with asyncio.timeout(8):
            while data := await reader.read(65536):
                if b"\x88" in data:
                    break
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


async def test_broken_frames_end_their_connection_and_nothing_else(
    host: HostUnderTest, post: str, ada: Viewer, caplog: pytest.LogCaptureFixture
) -> None:
    name, _, port = host.host.url.partition("//")[2].partition(":")
    handshake = (
        f"GET /live/{post}/socket HTTP/1.1\r\nHost: {name}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    ).encode()
    for what, data in BROKEN_FRAMES.items():
        for first in (True, False):
            reader, writer = await asyncio.open_connection(name, int(port))
            writer.write(handshake)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 101 " in head
            assert b"permessage-deflate" not in head
            if not first:
                writer.write(frame(1, b'{"type":"hello"}'))
                assert b'"welcome"' in await reader.read(4096)
            writer.write(data)
            assert await ends(reader), what
            writer.close()
    await ada.press("Count")
    await ada.sees("count 2")
    assert faults(caplog) == []


async def test_a_browser_that_says_too_much_is_sent_away(host: HostUnderTest, post: str, ada: Viewer) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{host.host.url}/live/{post}/socket") as socket,
    ):
        await socket.send_str('{"type":"hello"}')
        for _ in range(400):
            await socket.send_str('{"type":"ping"}')
        said = [json.loads(m.data) async for m in socket if m.type is aiohttp.WSMsgType.TEXT]
        assert said[-1]["type"] == "bye"
        assert said[-1]["reason"] == "too many events"
    await ada.press("Count")
    await ada.sees("count 2")


def test_whatever_proves_something_is_compared_in_constant_time() -> None:
    """The comparisons of this project that decide about a secret; hashes are looked up, which says nothing about the secret."""
    root = Path(__file__).parents[2]
    for file in (
        "runtime/showground/views/passes.py",
        "runtime/showground/events/webhooks.py",
        "plugins/community/showground_community/sessions.py",
    ):
        source = (root / file).read_text()
        assert "compare_digest" in source, file
