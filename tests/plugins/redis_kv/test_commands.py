"""The table of commands agrees with the server's own."""

from __future__ import annotations

import pytest

from showground.redis.api import CommandRefused, Redis
from showground_redis_kv.commands import COMMANDS, Command, growth
from showground_redis_kv.memory.provider import HANDLERS


def example(command: Command) -> list[str]:
    """A call with distinct words, long enough to show every key."""
    if command.after:
        return [command.name, "COUNT", "5", command.after, "a", "b", "0-1", "0-2"]
    extra = 0 if command.arity > 0 else (2 if command.step == 2 else 3)
    words = [command.name, *(f"w{n}" for n in range(1, abs(command.arity) + extra))]
    return words if command.name != "BITFIELD" else ["BITFIELD", "w1", "GET", "u8", "0"]


@pytest.mark.parametrize("command", [c for c in COMMANDS.values() if c.name != "SCAN"], ids=lambda c: c.name)
async def test_keys_stand_where_the_server_finds_them(redis: Redis, command: Command) -> None:
    words = example(command)
    keys = await redis.call("COMMAND", "GETKEYS", *words)
    assert [words[at] for at in command.keys(words)] == [key.decode() for key in keys]


async def test_arity_and_writing_are_what_the_server_says(redis: Redis) -> None:
    infos = await redis.call("COMMAND", "INFO", *COMMANDS)
    for command, info in zip(COMMANDS.values(), infos, strict=True):
        flags = {flag.decode() if isinstance(flag, bytes) else str(flag) for flag in info[2]}
        assert (command.name, command.arity, command.writes) == (info[0].decode().upper(), info[1], "write" in flags)
        assert not flags & {"blocking", "admin", "pubsub", "noscript"} or command.after


async def test_commands_of_no_growth_are_those_that_the_server_lets_run_when_memory_is_full(redis: Redis) -> None:
    infos = await redis.call("COMMAND", "INFO", *COMMANDS)
    moving = {"RENAME", "RENAMENX", "LMOVE", "SMOVE", "GETEX", "LINSERT"}
    for command, info in zip(COMMANDS.values(), infos, strict=True):
        denied = any((flag.decode() if isinstance(flag, bytes) else str(flag)) == "denyoom" for flag in info[2])
        assert (command.growth != "none") == denied or command.name in moving, command.name


def test_the_memory_provider_has_every_command() -> None:
    assert HANDLERS.keys() == COMMANDS.keys()


def test_growth_counts_what_an_offset_makes() -> None:
    assert growth(COMMANDS["SETRANGE"], [b"SETRANGE", b"k", b"1000000", b"x"]) > 1_000_000
    assert growth(COMMANDS["BITFIELD"], [b"BITFIELD", b"k", b"SET", b"u8", b"#1000000", b"1"]) > 1_000_000
    assert growth(COMMANDS["BITFIELD"], [b"BITFIELD", b"k", b"GET", b"u8", b"#1000000"]) == 0


async def test_the_server_knows_no_key_position_for_a_call_without_keys(redis: Redis) -> None:
    with pytest.raises(CommandRefused):
        await redis.call("COMMAND", "GETKEYS", "SCAN", "0")
