"""What an operator may write as the URL of Redis."""

from __future__ import annotations

import pytest

from showground.errors import ShowgroundError
from showground.redis.address import parse_url


def test_urls_of_every_kind_are_read() -> None:
    plain = parse_url("redis://ann:p%40ss@db.example:7000/3").nodes[0]
    assert (plain.username, plain.password, plain.host, plain.port, plain.database) == (
        "ann", "p@ss", "db.example", 7000, 3,
    )  # fmt: skip
    assert parse_url("redis://[::1]").nodes[0].host == "::1"
    assert parse_url("unix://:secret@/run/redis.sock?db=2").nodes[0].path == "/run/redis.sock"
    assert parse_url("rediss://db.example").nodes[0].tls is not None
    sentinel = parse_url("redis+sentinel://a,b:5/mymaster/1?sentinel_password=s")
    assert [(n.host, n.port) for n in sentinel.nodes] == [("a", 26379), ("b", 5)]
    assert (sentinel.service, sentinel.nodes[0].database, sentinel.sentinel_password) == ("mymaster", 1, "s")
    assert [str(n) for n in parse_url("redis+cluster://a:1,b:2").nodes] == ["a:1", "b:2"]
    safe = parse_url("redis+sentinel://a,b/mymaster?replicas=1")
    assert [node.replicas for node in (*safe.nodes, safe.sentinel(safe.nodes[0]))] == [1, 1, 0]


@pytest.mark.parametrize(
    "url",
    [
        "http://x", "redis://", "redis://a,b", "redis://a/x", "redis+sentinel://a", "redis+cluster://a/1",
        "unix://", "rediss://a?ca=/no/such/file",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(ShowgroundError) as caught:
        parse_url(url)
    assert caught.value.code == "misconfigured"


def test_a_password_is_not_in_what_gets_printed() -> None:
    assert "secret" not in repr(parse_url("redis://u:secret@h"))
