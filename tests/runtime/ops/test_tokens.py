from __future__ import annotations

import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.ops.tickets import Tickets
from showground.ops.tokens import CACHE_S, Tokens
from showground.redis.api import Redis
from showground.testing.clock import ManualClock


async def _code(tokens: Tokens, secret: str, scope: str, community: str | None = None, app: str | None = None) -> str:
    try:
        await tokens.check(secret, scope, community, app)
    except ShowgroundError as error:
        return error.code
    return "ok"


async def test_a_token_covers_its_scopes_and_admin_covers_all(redis: Redis, keys: KeySpace, clock: ManualClock) -> None:
    tokens = Tokens(redis, keys, clock)
    reader, _ = await tokens.create("reader", ["read"])
    admin, _ = await tokens.create("admin", ["admin"])
    assert [await _code(tokens, reader, s) for s in ("read", "emit", "deploy", "admin")] == ["ok"] + ["forbidden"] * 3
    assert [await _code(tokens, admin, s) for s in ("read", "emit", "deploy", "admin")] == ["ok"] * 4
    assert await _code(tokens, reader[:-1] + ("A" if reader[-1] != "A" else "B"), "read") == "unauthorized"
    assert await _code(tokens, "", "read") == "unauthorized"


async def test_a_restricted_token_covers_one_place_and_nothing_that_concerns_all(
    redis: Redis, keys: KeySpace, clock: ManualClock
) -> None:
    tokens = Tokens(redis, keys, clock)
    secret, _ = await tokens.create("ci", ["deploy"], community="playground", app="counter")
    assert await _code(tokens, secret, "deploy", "playground", "counter") == "ok"
    assert await _code(tokens, secret, "deploy", "playground", "other") == "forbidden"
    assert await _code(tokens, secret, "deploy", "elsewhere", "counter") == "forbidden"
    assert await _code(tokens, secret, "deploy") == "forbidden"


async def test_the_token_itself_is_stored_nowhere(redis: Redis, keys: KeySpace, clock: ManualClock) -> None:
    tokens = Tokens(redis, keys, clock)
    secret, made = await tokens.create("mine", ["read"])
    assert secret.startswith("sgt_")
    assert len(secret) == 4 + 43
    stored = b"".join(await redis.call("HGETALL", keys.host("tokens")))
    assert secret.encode() not in stored
    assert secret[4:].encode() not in stored
    assert await tokens.list() == [made]


async def test_a_revoked_token_is_refused_on_every_host_within_seconds(
    redis: Redis, keys: KeySpace, clock: ManualClock
) -> None:
    here, there = Tokens(redis, keys, clock), Tokens(redis, keys, clock)
    secret, made = await here.create("mine", ["read"])
    assert await _code(there, secret, "read") == "ok"
    await here.revoke(made.id)
    assert await _code(here, secret, "read") == "unauthorized"
    await clock.advance(CACHE_S)
    assert await _code(there, secret, "read") == "unauthorized"
    assert await here.list() == [], "noting its last use must not bring it back"
    with pytest.raises(ShowgroundError) as unknown:
        await here.revoke(made.id)
    assert unknown.value.code == "not_found"


async def test_a_token_expires_and_says_when_it_was_used(redis: Redis, keys: KeySpace, clock: ManualClock) -> None:
    tokens = Tokens(redis, keys, clock)
    secret, made = await tokens.create("mine", ["read"], ttl_s=60)
    assert made.last_used_ms is None
    await clock.advance(59)
    assert await _code(tokens, secret, "read") == "ok"
    assert (await tokens.list())[0].last_used_ms == clock.now_ms()
    await clock.advance(1)
    assert await _code(tokens, secret, "read") == "unauthorized"


async def test_the_root_token_is_kept_while_it_is_good(redis: Redis, keys: KeySpace, clock: ManualClock) -> None:
    tokens = Tokens(redis, keys, clock)
    first = await tokens.ensure_root_token()
    assert await tokens.ensure_root_token(first) == first
    await tokens.revoke((await tokens.list())[0].id)
    second = await tokens.ensure_root_token(first)
    assert second != first
    assert await _code(tokens, second, "admin") == "ok"


async def test_every_fault_of_a_new_token_is_told_at_once(redis: Redis, keys: KeySpace, clock: ManualClock) -> None:
    with pytest.raises(ShowgroundError) as refused:
        await Tokens(redis, keys, clock).create("", ["root"], community="no way", app="NO", ttl_s=0)
    assert [p.where for p in refused.value.details] == ["name", "scopes", "community", "app", "ttl_s"]


async def test_a_ticket_names_its_viewer_in_one_community_for_a_while(clock: ManualClock) -> None:
    tickets = Tickets({"k1": b"a" * 32}, clock)
    signed = tickets.sign("playground", "t2_ada", "ada", is_moderator=True, ttl_s=60)
    found = tickets.verify(signed, "playground")
    assert (found.user_id, found.username, found.is_moderator) == ("t2_ada", "ada", True)
    with pytest.raises(ShowgroundError) as elsewhere:
        tickets.verify(signed, "elsewhere")
    assert elsewhere.value.code == "forbidden"
    await clock.advance(91)
    with pytest.raises(ShowgroundError, match="expired"):
        tickets.verify(signed, "playground")


def test_a_ticket_key_is_rotated_without_breaking_tickets(clock: ManualClock) -> None:
    before = Tickets({"k1": b"a" * 32}, clock)
    both = Tickets({"k1": b"a" * 32, "k2": b"b" * 32}, clock)
    after = Tickets({"k2": b"b" * 32}, clock)
    old, new = before.sign("p", "t2_1", "ada"), both.sign("p", "t2_1", "ada")
    assert both.verify(old, "p") == both.verify(new, "p") == after.verify(new, "p")
    with pytest.raises(ShowgroundError) as refused:
        after.verify(old, "p")
    assert refused.value.code == "unauthorized"


@pytest.mark.parametrize(
    "ticket",
    [
        "",
        "a.b.c",
        # {"alg":"none","kid":"k1"} . {"aud":"p","sub":"t2_1","name":"ada","iat":1700000000,"exp":1700000300} .
        "eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.eyJhdWQiOiJwIiwic3ViIjoidDJfMSIsIm5hbWUiOiJhZGEiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDMwMH0.",
    ],
)
def test_what_no_key_signed_is_no_ticket(clock: ManualClock, ticket: str) -> None:
    with pytest.raises(ShowgroundError) as refused:
        Tickets({"k1": b"a" * 32}, clock).verify(ticket, "p")
    assert refused.value.code == "unauthorized"
