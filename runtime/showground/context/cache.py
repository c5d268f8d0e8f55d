"""`await context.cache(fetch, key="weather", ttl_ms=60_000)`: one caller fetches, all others get what was kept.

The semantics of Devvit's `context.cache`, with these differences, each deliberate: nothing is kept in a view's state (that is
ours, not the client's, and would go stale with it); a fetched error is kept for its five seconds' pause and then tried afresh
without dice; and the refresh before the expiry is decided by the lock alone, so one caller refreshes, not one in a hundred.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast
from uuid import uuid4

import msgspec

from showground.context.call import Call
from showground.context.redis import Redis
from showground.errors import ShowgroundError

log = logging.getLogger("showground.cache")

T = TypeVar("T")

LEAST_TTL_MS = 5000
STALE_MS = 30_000
"""How long an entry past its time may still be served while somebody refreshes it."""
EARLY_MS = 3000
"""Refreshing starts this long before the entry's time is up."""
POLL_MS = 300
ERROR_MS = 1000


class Kept(msgspec.Struct, omit_defaults=True):
    """One entry as it is in Redis."""

    expires_ms: int
    value: Any = None
    error: str | None = None


class Cache:
    """Keeps results under `__autocache__<key>` of the installation, as JSON."""

    def __init__(self, call: Call, now_ms: Callable[[], int] | None = None) -> None:
        self._redis = Redis(call)
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)

    async def __call__(self, fetch: Callable[[], Awaitable[T]], *, key: str, ttl_ms: int) -> T:
        """The kept result of *fetch* under *key*, at most *ttl_ms* old (at least 5000), or up to 30 s older while one refreshes.

        Over all workers and hosts one caller at a time fetches. Who comes while nothing is kept waits for it up to a second,
        then gets `deadline_exceeded`. The result must be what JSON can say. An error of *fetch* is raised to the caller
        that fetched, and to the others for a second as `app_error`.
        """
        if ttl_ms < LEAST_TTL_MS:
            log.warning("cache ttl of %s ms for key %r was raised to %s ms", ttl_ms, key, LEAST_TTL_MS)
            ttl_ms = LEAST_TTL_MS
        kept = await self._read(key)
        if kept is not None and self._is_fresh(kept):
            return cast("T", self._result(kept, key))
        token = uuid4().hex
        if await self._redis.set(f"__lock__{key}", token, px=ttl_ms // 2, nx=True):
            return await self._refresh(fetch, key, ttl_ms, token)
        if kept is not None and kept.error is None:
            return cast("T", self._result(kept, key))
        return cast("T", await self._wait(key, min(ttl_ms, 1000)))

    async def _read(self, key: str) -> Kept | None:
        text = await self._redis.get(f"__autocache__{key}")
        try:
            return None if text is None else msgspec.json.decode(text, type=Kept)
        except msgspec.DecodeError:
            return None

    def _is_fresh(self, kept: Kept) -> bool:
        return self._now_ms() < kept.expires_ms - (0 if kept.error else EARLY_MS)

    @staticmethod
    def _result(kept: Kept, key: str) -> Any:
        if kept.error is not None:
            raise ShowgroundError("app_error", kept.error, f"cache {key!r}")
        return kept.value

    async def _refresh(self, fetch: Callable[[], Awaitable[T]], key: str, ttl_ms: int, token: str) -> T:
        try:
            kept = await self._read(key)  # whoever had the lock before us may have written since we looked
            if kept is not None and self._is_fresh(kept):
                return cast("T", self._result(kept, key))
            try:
                value = await fetch()
            except Exception as error:
                message = str(error) or type(error).__name__
                await self._write(key, Kept(self._now_ms() + ERROR_MS, error=message), ERROR_MS)
                raise
            await self._write(key, Kept(self._now_ms() + ttl_ms, value), ttl_ms + STALE_MS)
            return value
        finally:
            await self._unlock(key, token)

    async def _write(self, key: str, kept: Kept, keep_ms: int) -> None:
        try:
            text = msgspec.json.encode(kept)
        except (TypeError, ValueError) as error:
            raise ShowgroundError(
                "invalid", f"the result cannot be written as JSON: {error}", f"cache {key!r}"
            ) from None
        await self._redis.set(f"__autocache__{key}", text, px=keep_ms)

    async def _unlock(self, key: str, token: str) -> None:
        """Give the lock back, unless its time was up and somebody else has it."""
        async with self._redis.watch(f"__lock__{key}") as transaction:
            if await transaction.get(f"__lock__{key}") == token:
                transaction.multi()
                await transaction.delete(f"__lock__{key}")
                await transaction.exec()

    async def _wait(self, key: str, wait_ms: int) -> Any:
        waited = 0
        while waited < wait_ms:
            await asyncio.sleep(POLL_MS / 1000)
            waited += POLL_MS
            kept = await self._read(key)
            if kept is not None:
                return self._result(kept, key)
        raise ShowgroundError(
            "deadline_exceeded", f"Cache request timed out trying to get data at key: {key}", f"cache {key!r}"
        )
