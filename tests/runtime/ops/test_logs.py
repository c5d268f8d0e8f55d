from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from showground.clock import SystemClock
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.ops.durations import duration_s
from showground.ops.logs import AppLogs, LogFilter
from showground.ops.redaction import Redactor
from showground.redis.api import Redis

PLAYGROUND = InstallationId("counter:playground")


@dataclass(frozen=True)
class Line:
    """What the supervisor hands over."""

    text: str
    at_ms: int = 0
    level: str = "info"
    installation: InstallationId | None = PLAYGROUND
    invocation: str | None = None
    app: str = "counter"
    version: str = "1.0.0"
    stream: str = "stdout"


def _logs(redis: Redis, keys: KeySpace, redactor: Redactor | None = None, **bounds: int) -> AppLogs:
    return AppLogs(redis, keys, SystemClock(), redactor or Redactor(), **bounds)  # type: ignore[arg-type]


async def _texts(logs: AppLogs, wanted: LogFilter | None = None, limit: int = 1000) -> list[str]:
    return [line.text for line in await logs.read(PLAYGROUND, wanted or LogFilter(), limit)]


async def test_lines_are_read_in_order_on_every_host_by_level_age_and_invocation(redis: Redis, keys: KeySpace) -> None:
    now = SystemClock().now_ms()
    async with _logs(redis, keys) as writer:
        writer.write(Line("old", now - 3_600_000))
        writer.write(Line("quiet", now - 3, level="debug"))
        writer.write(Line("loud", now - 2, level="error", invocation="i1"))
        writer.write(Line("elsewhere", now, installation=InstallationId("counter:elsewhere")))
        writer.write(Line("it did not load", now - 1, installation=None, level="critical"))
    reader = _logs(redis, keys)
    assert await _texts(reader) == ["old", "quiet", "loud", "it did not load"]
    assert await _texts(reader, LogFilter(level="warning")) == ["loud", "it did not load"]
    assert await _texts(reader, LogFilter(invocation="i1")) == ["loud"]
    assert await _texts(reader, LogFilter(since_ms=now - 60_000)) == ["quiet", "loud", "it did not load"]
    assert await _texts(reader, limit=2) == ["loud", "it did not load"]
    await reader.clear(PLAYGROUND)
    assert await _texts(reader) == ["it did not load"]


async def test_a_follower_gets_what_was_and_what_comes_from_every_host_once(redis: Redis, keys: KeySpace) -> None:
    async with _logs(redis, keys) as here, _logs(redis, keys) as there:
        here.write(Line("before", 1))
        await here.flush()
        async with asyncio.timeout(10), aclosing(here.follow(PLAYGROUND, LogFilter())) as following:
            seen = [(await anext(following)).text]
            for n in range(1200):
                (here if n % 2 else there).write(Line(f"line {n}", n))
            there.write(Line("for all", installation=None))
            while len(seen) < 1202:
                seen.append((await anext(following)).text)
    assert seen[0] == "before"
    assert sorted(seen[1:]) == sorted([*(f"line {n}" for n in range(1200)), "for all"])
    own = [text for text in seen if text.startswith("line") and int(text[5:]) % 2]
    assert own == [f"line {n}" for n in range(1, 1200, 2)], "in the order in which one host wrote them"


async def test_a_flood_is_dropped_counted_and_told(redis: Redis, keys: KeySpace) -> None:
    dropped: list[tuple[str, int]] = []
    logs = AppLogs(
        redis, keys, SystemClock(), Redactor(), buffer_lines=10, on_drop=lambda app, n: dropped.append((app, n))
    )
    for n in range(25):
        logs.write(Line(f"line {n}", n))
    await logs.flush()
    texts = await _texts(logs)
    assert texts[:10] == [f"line {n}" for n in range(10)]
    assert texts[10].startswith("15 lines were dropped")
    assert dropped == [("counter", 1)] * 15


async def test_a_stream_is_bounded_and_goes_away_by_itself(redis: Redis, keys: KeySpace) -> None:
    async with _logs(redis, keys, max_lines=100) as logs:
        for n in range(2000):
            logs.write(Line(f"line {n}", n))
    assert await redis.call("XLEN", keys.of(PLAYGROUND, "logs")) <= 220
    assert 0 < await redis.call("TTL", keys.of(PLAYGROUND, "logs")) <= 7 * 86400
    assert (await _texts(logs))[-1] == "line 1999"


async def test_lines_wait_while_redis_is_away(redis: Redis, keys: KeySpace) -> None:
    away = _Away(redis)
    logs = _logs(away, keys)  # type: ignore[arg-type]
    logs.write(Line("kept", 1))
    await logs.flush()
    away.is_away = False
    logs.write(Line("next", 2))
    await logs.flush()
    assert await _texts(_logs(redis, keys)) == ["kept", "next"]


class _Away:
    """A real Redis behind a line that is cut at first."""

    publish_command = "PUBLISH"

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.is_away = True

    async def pipeline(self, commands: object) -> object:
        if self.is_away:
            raise ShowgroundError("store_unavailable", "the line is cut")
        return await self._redis.pipeline(commands)  # type: ignore[arg-type]


async def test_secrets_never_reach_the_store(redis: Redis, keys: KeySpace) -> None:
    redactor = Redactor()
    redactor.learn("hunter2-hunter2")
    token = "sgt_" + "x" * 43
    async with _logs(redis, keys, redactor) as logs:
        logs.write(Line(f"key hunter2-hunter2, token {token}, Authorization: Bearer abcdefghijklmnopqrstuvwxyz", 1))
    stored = repr(await redis.call("XRANGE", keys.of(PLAYGROUND, "logs"), "-", "+"))
    for secret in ("hunter2", token, "abcdefghijklmnop"):
        assert secret not in stored
    assert redactor.fields({"password": "x", "nested": {"api_key": 1}, "text": "hunter2-hunter2", "n": 5}) == {
        "password": "[redacted]",
        "nested": {"api_key": "[redacted]"},
        "text": "[redacted]",
        "n": 5,
    }


@pytest.mark.parametrize(("text", "seconds"), [("15s", 15), ("30m", 1800), ("1w2d", 777_600), ("2h30m", 9000)])
def test_lengths_of_time_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert duration_s(text, "since") == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5y", "\u0665m"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ShowgroundError) as refused:
        duration_s(text, "since")
    assert refused.value.code == "invalid"
