"""The leak guard: whatever a test leaves in Redis must go away by itself, or be of a kind that is meant to stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import redis


def bare(key: str, prefix: str) -> str:
    """*key* without its deployment prefix and hash tag, as the permanent list names it: `sg:{a:b}:kv:x` → `kv:x`."""
    rest = key.removeprefix(prefix + ":")
    if rest.startswith("{"):
        rest = rest[rest.index("}") + 1 :].removeprefix(":")
    return rest


def leaked(client: redis.Redis, prefix: str, permanent: Iterable[str]) -> Sequence[str]:
    """The keys below *prefix* that have no expiry and match none of the patterns *permanent*."""
    patterns = tuple(permanent)
    names = list(client.scan_iter(match=f"{prefix}:*", count=1000))
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.pttl(name)
        expiries = pipe.execute()
    lasting = sorted(name.decode("utf-8", "replace") for name, ms in zip(names, expiries, strict=True) if ms == -1)
    return [key for key in lasting if not any(fnmatchcase(bare(key, prefix), pattern) for pattern in patterns)]


def remove(client: redis.Redis, prefix: str) -> None:
    """Delete every key below *prefix*."""
    names = list(client.scan_iter(match=f"{prefix}:*", count=1000))
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.unlink(name)
        pipe.execute()
