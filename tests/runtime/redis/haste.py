"""A client of Redis that is patient until a test is about its patience."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from showground.redis.api import Redis
from showground.redis.client import SingleRedis


@contextmanager
def hurried(redis: Redis, deadline_s: float) -> Iterator[None]:
    """Meanwhile *redis* waits *deadline_s* for an answer, for a connection that is down, and for its turn with a transaction.

    What it opens waits as long as ever, so that a machine that stands still fails nothing before the test has begun.
    """
    assert isinstance(redis, SingleRedis)
    with pytest.MonkeyPatch.context() as patch:
        for part in (redis._connection, redis._connection._wire, redis._lender):
            if part is not None:
                patch.setattr(part, "_deadline_s", deadline_s)
        yield
