"""The shorter way to a route gives the answers of the longer one, whatever comes and in whatever pieces."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from showground.errors import ShowgroundError
from showground.exchange import Answer, Asked
from showground.testing.waiting import eventually
from showground.web.connections import Doorway, Patience
from showground.web.origins import Origins
from showground.web.server import WebServer


@dataclass
class Echo:
    """A server with one route, which tells what it was asked; some bodies make it wait, or fail."""

    server: WebServer
    port: int
    tokens: set[str] = field(default_factory=lambda: {"good"})
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    draining: bool = False

    @property
    def taken(self) -> int:
        return self.server.shortcut.taken if self.server.shortcut is not None else 0

    async def check(self, token: str, scope: str, community: str | None, app: str | None) -> None:
        if token not in self.tokens:
            raise ShowgroundError("unauthorized", "that token is not known", "Authorization")

    async def tell(self, asked: Asked, body: bytes) -> Answer:
        if body.startswith(b"wait"):
            await self.gate.wait()
        if body.startswith(b"turn"):
            await asyncio.sleep(0)
        if body.startswith(b"bad"):
            raise ShowgroundError("invalid", "that is bad", "body")
        if body.startswith(b"bug"):
            raise ShowgroundError("overloaded", "no room", "here", retry_after=3)
        told = [
            asked.match["name"],
            asked.query_string,
            dict(asked.query),
            asked.lower_headers.get("x-extra"),
            body.hex(),
        ]
        return Answer(body=json.dumps(told).encode(), status=202 if body.startswith(b"later") else 200)

    async def talk(self, *pieces: bytes) -> bytes:
        """What a connection answers to *pieces* that come one by one, each after a few turns of the loop."""
        assert self.server.doorway is not None
        connection = self.server.doorway()
        wire = Wire(connection)
        connection.connection_made(wire)
        for piece in pieces:
            await wire.settled()
            if wire.closing:
                break
            connection.data_received(piece)
        await wire.settled()
        connection.connection_lost(None)
        await wire.settled()
        return wire.written


class Wire(asyncio.Transport):
    """A connection without a kernel, so that every conversation goes the same each time."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._protocol = protocol
        self.written = b""
        self.closing = False
        self.reading = True

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await eventually(lambda: self.reading or self.closing, 1.0)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close


async def echo(*, shortcut: bool, patience: Patience | None = None) -> Echo:
    made: Echo

    async def check(token: str, scope: str, community: str | None, app: str | None) -> None:
        await made.check(token, scope, community, app)

    server = WebServer(check, Origins((), ""), lambda: made.draining, patience, shortcut=shortcut)
    made = Echo(server, 0)
    server.exchange("POST", "/tell/{name}", made.tell, "emit")
    made.port = await server.start("127.0.0.1", 0, 5.0)
    return made


@pytest.fixture
async def short() -> AsyncIterator[Echo]:
    made = await echo(shortcut=True)
    yield made
    made.gate.set()
    await made.server.stop()


@pytest.fixture
async def long() -> AsyncIterator[Echo]:
    made = await echo(shortcut=False)
    yield made
    await made.server.stop()


def post(body: bytes, *more: str, path: str = "/tell/a", length: str | None = None, token: str = "good") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {token}",
        *more,
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Client:
    """Asks and waits for each answer, as a client with a pool of connections does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def of(cls, server: Echo) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        return await self.hear()

    async def hear(self) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            return int(head.split(b" ", 2)[1]), await self._reader.readexactly(int(length[1]))

    async def end(self) -> bytes:
        async with asyncio.timeout(10):
            return await self._reader.read()

    def close(self) -> None:
        self._writer.transport.abort()


@pytest.fixture
async def client(short: Echo) -> AsyncIterator[Client]:
    made = await Client.of(short)
    yield made
    made.close()


async def taught(server: Echo, client: Client) -> None:
    """Two requests with the same head; the next of them goes the shorter way."""
    for body in (b"one", b"three"):
        assert (await client.ask(post(body)))[0] == 200
    assert server.taken == 0


# --- the same answers ---

BODIES = st.sampled_from([b"", b"{}", b"turn", b"bad", b"bug", b"later", b"x" * 3000, b"POST /tell/a HTTP/1.1\r\n\r\n"])
HEADERS = st.lists(
    st.sampled_from(
        [
            "X-Extra: one",
            "X-Extra: two",
            "x-extra:  three ",
            "Connection: keep-alive",
            "Connection: close",
            "Content-Length: 3",
            "content-length: 4",
            "Transfer-Encoding: chunked",
            "Content-Encoding: gzip",
            "Expect: 100-continue",
            "Upgrade: websocket",
            "X: Content-Length: 5",
            "X-Folded: a\r\n b",
            "No colon",
            "Sp ace: x",
        ]
    ),
    max_size=2,
)
PATHS = st.sampled_from(["/tell/a", "/tell/b?c=1&c=2&d", "/tell/%61%2Fb", "/tell/", "/other", "/tell/ä", "*"])
REQUESTS = st.one_of(
    st.builds(post, BODIES),  # often the very same, so that the shorter way is taken
    st.builds(lambda body, path: post(body, path=path), BODIES, PATHS),
    st.builds(lambda body, more: post(body, *more), BODIES, HEADERS),
    st.builds(
        lambda body, length: post(body, length=length),
        BODIES,
        st.sampled_from(["0", "2", "+2", "02", "2 ", "-1"]),
    ),
    st.builds(lambda body: post(body, token="bad"), BODIES),
    st.builds(lambda body: post(body).replace(b"HTTP/1.1", b"HTTP/1.0"), BODIES),
    st.builds(lambda body: post(body).replace(b"\r\n", b"\n"), BODIES),
    st.just(b"GET /tell/a HTTP/1.1\r\nHost: localhost\r\n\r\n"),
)


@st.composite
def conversations(draw: st.DrawFn) -> Sequence[bytes]:
    """Requests, each whole or cut into pieces, or several in one."""
    pieces: list[bytes] = []
    for request in draw(st.lists(REQUESTS, min_size=1, max_size=6)):
        match draw(st.integers(0, 5)):
            case 0:
                at = draw(st.integers(0, len(request)))
                pieces += [request[:at], request[at:]]
            case 1 if pieces:
                pieces[-1] += request
            case _:
                pieces.append(request)
    return pieces


def undated(answers: bytes) -> bytes:
    return re.sub(rb"Date: [^\r]+", b"Date:", answers)


@pytest.fixture
def quiet() -> Iterator[None]:
    """aiohttp says each time that it was sent rubbish."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(pieces=conversations())
@pytest.mark.usefixtures("quiet")
async def test_every_conversation_goes_the_same_both_ways(short: Echo, long: Echo, pieces: Sequence[bytes]) -> None:
    for _ in range(2):
        await short.talk(post(b"{}"))
    before = short.taken
    await short.talk(post(b"{}"))
    assert short.taken > before
    assert undated(await short.talk(*pieces)) == undated(await long.talk(*pieces))


async def test_an_answer_is_the_same_to_the_byte(short: Echo, long: Echo, client: Client) -> None:
    await taught(short, client)
    for body in (b"{}", b"bad", b"bug", b"later", b""):
        before = short.taken
        assert undated(await short.talk(post(body))) == undated(await long.talk(post(body)))
        assert short.taken == before + 1


# --- what is looked at for each request ---


async def test_the_third_request_with_the_same_head_goes_the_shorter_way(short: Echo, client: Client) -> None:
    await taught(short, client)
    assert await client.ask(post(b"{}")) == (200, b'["a", "", {}, null, "7b7d"]')
    assert short.taken == 1


async def test_a_head_with_something_of_its_own_never_pushes_out_the_others(short: Echo, client: Client) -> None:
    await taught(short, client)
    for number in range(600):
        assert (await client.ask(post(b"{}", f"X-Request-Id: {number}")))[0] == 200
    assert short.taken == 0
    await client.ask(post(b"{}"))
    assert short.taken == 1


async def test_a_revoked_token_is_refused_though_its_head_is_known(short: Echo, client: Client) -> None:
    await taught(short, client)
    short.tokens.clear()
    status, body = await client.ask(post(b"{}"))
    assert (status, json.loads(body)["error"]["code"]) == (401, "unauthorized")


async def test_a_host_that_stops_refuses_known_heads(short: Echo, client: Client) -> None:
    await taught(short, client)
    short.draining = True
    assert (await client.ask(post(b"{}")))[0] == 503
    assert await client.end() == b""


# --- order, patience, and the end ---


async def test_a_client_that_does_not_wait_gets_its_answers_in_order(short: Echo, client: Client) -> None:
    await taught(short, client)
    client._writer.write(post(b"wait"))
    await eventually(lambda: short.taken == 1)
    client._writer.write(post(b"second") + post(b"third"))
    short.gate.set()
    heard = [json.loads((await client.hear())[1])[-1] for _ in range(3)]
    assert [bytes.fromhex(each) for each in heard] == [b"wait", b"second", b"third"]


async def test_what_runs_when_the_host_stops_is_answered(short: Echo, client: Client) -> None:
    await taught(short, client)
    client._writer.write(post(b"wait"))
    await eventually(lambda: short.taken == 1)
    stopping = asyncio.ensure_future(short.server.stop())
    short.gate.set()
    assert (await client.hear())[0] == 200
    await stopping
    assert await client.end() == b""


async def test_a_connection_that_only_ever_goes_the_shorter_way_is_closed_when_idle() -> None:
    server = await echo(shortcut=True)
    teacher = await Client.of(server)
    await taught(server, teacher)
    assert isinstance(server.server.doorway, Doorway)
    server.server.doorway._patience = Patience(header_s=0.3, idle_s=0.3)  # for who comes from now on
    client = await Client.of(server)
    try:
        assert (await client.ask(post(b"{}")))[0] == 200
        assert server.taken == 1
        assert await client.end() == b""
    finally:
        teacher.close()
        client.close()
        await server.server.stop()


async def test_a_client_that_reads_nothing_is_not_answered_without_end(long: Echo) -> None:
    """Neither way keeps more than one answer beyond what aiohttp lets wait."""
    request = post(b"x" * 60_000)
    _, writer = await asyncio.open_connection("127.0.0.1", long.port, limit=1)
    beside = await Client.of(long)
    try:
        writer.write(request * 400)
        for _ in range(400):  # as much as it would take from the other, who asks for no more
            assert (await beside.ask(request))[0] == 200
        assert writer.transport.get_write_buffer_size() > 0, "the server stopped reading"
    finally:
        beside.close()
        writer.transport.abort()
