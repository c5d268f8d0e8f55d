"""Random sessions: neither installation sees the other, and each sees what raw Redis and the memory provider would show."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from showground.capabilities import Argument
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.redis.api import CommandRefused
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess
from showground.testing.clock import ManualClock
from showground.testing.leaks import remove
from showground.testing.redis import plain_client
from showground.testing.services import services
from showground_redis_kv.memory.provider import open_memory
from showground_redis_kv.redis import open_redis as open_provider
from showground_redis_kv.scope import refused, text

T = TypeVar("T")
KEYS = st.sampled_from(["a", "b", "a:b", "{x}", "*"])
WORDS = st.sampled_from(["", "m", "n", "ü", "-1", "7", "2.5", "x" * 40])
NUMBERS = st.integers(-3, 3)
SCORES = st.sampled_from([0, 1, 1.5, -2, "inf", "oops"])


def command(name: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Argument]]:
    return st.tuples(*parts).map(lambda words: [name, *words])


COMMANDS = st.one_of(
    command("SET", KEYS, WORDS), command("GET", KEYS), command("SET", KEYS, WORDS, st.sampled_from(["NX", "XX", "GET"])),
    command("APPEND", KEYS, WORDS),
    command("INCRBY", KEYS, NUMBERS),
    command("INCRBYFLOAT", KEYS, SCORES),
    command("SETRANGE", KEYS, st.integers(0, 9), WORDS), command("GETRANGE", KEYS, NUMBERS, NUMBERS),
    command("BITFIELD", KEYS, st.just("OVERFLOW"), st.sampled_from(["WRAP", "SAT", "FAIL"]), st.just("INCRBY"),
            st.sampled_from(["u8", "i5", "u53", "i53"]), st.integers(0, 9), st.integers(-300, 300)),
    command("DEL", KEYS, KEYS), command("EXISTS", KEYS, KEYS), command("RENAME", KEYS, KEYS), command("RENAMENX", KEYS, KEYS),
    command("TYPE", KEYS), command("MSET", KEYS, WORDS, KEYS, WORDS), command("MGET", KEYS, KEYS),
    command("HSET", KEYS, WORDS, WORDS), command("HDEL", KEYS, WORDS, WORDS), command("HMGET", KEYS, WORDS, WORDS),
    command("HINCRBY", KEYS, WORDS, NUMBERS), command("HLEN", KEYS), command("HGET", KEYS, WORDS),
    command("ZADD", KEYS, SCORES, WORDS, SCORES, WORDS), command("ZRANGE", KEYS, NUMBERS, NUMBERS, st.just("WITHSCORES")),
    command("ZADD", KEYS, st.sampled_from(["NX", "XX", "GT", "LT", "CH", "INCR"]), SCORES, WORDS),
    command("ZRANGE", KEYS, SCORES, SCORES, st.just("BYSCORE"), st.just("REV")), command("ZREM", KEYS, WORDS),
    command("ZRANK", KEYS, WORDS), command("ZPOPMAX", KEYS, st.integers(0, 2)), command("ZCOUNT", KEYS, SCORES, SCORES),
    command("ZREMRANGEBYRANK", KEYS, NUMBERS, NUMBERS), command("ZREMRANGEBYSCORE", KEYS, SCORES, SCORES),
    command("RPUSH", KEYS, WORDS, WORDS), command("LPUSHX", KEYS, WORDS), command("LPOP", KEYS),
    command("RPOP", KEYS, st.integers(0, 2)), command("LRANGE", KEYS, NUMBERS, NUMBERS), command("LREM", KEYS, NUMBERS, WORDS),
    command("LTRIM", KEYS, NUMBERS, NUMBERS), command("LSET", KEYS, NUMBERS, WORDS), command("LINDEX", KEYS, NUMBERS),
    command("LMOVE", KEYS, KEYS, st.sampled_from(["LEFT", "RIGHT"]), st.sampled_from(["LEFT", "RIGHT"])),
    command("LINSERT", KEYS, st.just("BEFORE"), WORDS, WORDS),
    command("SADD", KEYS, WORDS, WORDS), command("SREM", KEYS, WORDS), command("SCARD", KEYS), command("SISMEMBER", KEYS, WORDS),
    command("SMOVE", KEYS, KEYS, WORDS), command("SINTERSTORE", KEYS, KEYS, KEYS), command("SDIFFSTORE", KEYS, KEYS, KEYS),
    command("XADD", KEYS, st.sampled_from(["1-1", "2-1", "3"]), WORDS, WORDS),
    command("XRANGE", KEYS, st.just("-"), st.just("+")),
    command("XREVRANGE", KEYS, st.sampled_from(["+", "2", "(2-1"]), st.just("-")), command("XLEN", KEYS),
    command("XDEL", KEYS, st.sampled_from(["1-1", "2-1"])), command("XTRIM", KEYS, st.just("MAXLEN"), st.integers(0, 2)),
    command("XREAD", st.just("STREAMS"), KEYS, st.sampled_from(["0", "1-1", "2-1"])),
    command("EXPIRE", KEYS, st.sampled_from([-1, 100])), command("PERSIST", KEYS), command("GETDEL", KEYS),
)  # fmt: skip


def comparable(reply: object) -> object:
    return reply.code if isinstance(reply, ShowgroundError) else reply


def loosely(reply: object) -> object:
    """In memory, which of two faults of a command is told is not promised."""
    return "refused" if isinstance(reply, ShowgroundError) else reply


def machine(server: ServerProcess) -> type[RuleBasedStateMachine]:
    class Sessions(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.loop = asyncio.new_event_loop()
            self.stack = AsyncExitStack()
            self.prefix = f"t{uuid4().hex[:12]}"

        def do(self, work: Coroutine[Any, Any, T]) -> T:
            return self.loop.run_until_complete(work)

        @initialize()
        def start(self) -> None:
            self.do(self.open())

        async def open(self) -> None:
            # Answers are compared here, not how soon they come: a busy machine must not end a session.
            self.redis = await self.stack.enter_async_context(open_redis(server.url, Path(), deadline_s=60.0))
            given = services({}, self.redis, keys=KeySpace(self.prefix), clock=ManualClock())
            self.scoped = await self.stack.enter_async_context(open_provider(given))
            self.memory = await self.stack.enter_async_context(open_memory(given))

        @rule(scope=st.sampled_from(["app:one", "app:two"]), commands=st.lists(COMMANDS, min_size=1, max_size=5))
        def commands_answer_alike_everywhere(self, scope: str, commands: list[list[Argument]]) -> None:
            scoped = self.do(self.scoped.execute(scope, commands))
            memory = self.do(self.memory.execute(scope, commands))
            raw = self.do(self.raw(scope, commands))
            assert list(map(comparable, scoped)) == list(map(comparable, raw)), commands
            assert list(map(loosely, memory)) == list(map(loosely, raw)), commands

        async def raw(self, scope: str, commands: Sequence[Sequence[Any]]) -> list[object]:
            """The same on raw Redis, where each scope's keys have a prefix of the test's making."""
            replies: list[object] = []
            for words in commands:
                keys = (
                    set(range(1, len(words)))
                    if words[0] in ("DEL", "EXISTS", "MGET", "SINTERSTORE", "SDIFFSTORE")
                    else {1}
                )
                keys |= {2} if words[0] in ("RENAME", "RENAMENX", "LMOVE", "SMOVE") else set()
                keys = {1, 3} if words[0] == "MSET" else {2} if words[0] == "XREAD" else keys
                mark = f"{self.prefix}:raw:{scope}:"
                full: list[Any] = [f"{mark}{word!s}" if n in keys else word for n, word in enumerate(words)]
                try:
                    reply: Any = text(await self.redis.call(*full))
                except CommandRefused as error:
                    reply = refused(str(error))
                if words[0] == "XREAD" and isinstance(reply, list):
                    reply = [[str(name).removeprefix(mark), entries] for name, entries in reply]
                replies.append(reply)
            return replies

        def teardown(self) -> None:
            self.do(self.stack.aclose())
            self.loop.close()
            with plain_client(server) as client:
                remove(client, self.prefix)

    return Sessions


def test_random_sessions_answer_as_raw_redis_and_stay_apart(redis_server: ServerProcess) -> None:
    run_state_machine_as_test(
        machine(redis_server),
        settings=settings(
            max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
