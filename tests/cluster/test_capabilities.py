"""The built-in providers keep their promises on a cluster: nothing of them assumes one node."""

from __future__ import annotations

import pytest
from tests.plugins.realtime import test_redis as realtime
from tests.plugins.redis_kv import test_conformance as redis_kv
from tests.plugins.scheduler import test_redis as scheduler


@pytest.fixture
def redis_kind() -> str:
    return "cluster"


class TestRedisKv(redis_kv.TestRedis):
    pass


class TestRealtime(realtime.TestRedis):
    pass


class TestScheduler(scheduler.TestRedisScheduler):
    pass
