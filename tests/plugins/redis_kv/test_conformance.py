"""Both providers keep the promises of the capability."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from showground.capabilities import KeyValue
from showground.testing.conformance.key_value import KeyValueConformance, OpenKeyValue
from showground_redis_kv.memory.provider import open_memory
from showground_redis_kv.redis import open_redis


class TestRedis(KeyValueConformance):
    @pytest.fixture
    def takes_asked(self, redis_kind: str) -> bool:
        return redis_kind == "single"  # in a cluster a command may have to follow its key

    @pytest.fixture
    async def provider(self, open_key_value: OpenKeyValue) -> AsyncIterator[KeyValue]:
        async with open_key_value(open_redis, quota_bytes=100_000) as provider:
            yield provider


class TestMemory(KeyValueConformance):
    @pytest.fixture
    async def provider(self, open_key_value: OpenKeyValue) -> AsyncIterator[KeyValue]:
        async with open_key_value(open_memory, quota_bytes=100_000) as provider:
            yield provider
