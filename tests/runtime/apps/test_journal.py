"""Leases on changes of installations."""

from __future__ import annotations

import pytest

from showground.apps.journal import Journal
from showground.errors import ShowgroundError
from showground.keys import KeySpace, installation_id
from showground.redis.api import Redis
from showground.testing.clock import ManualClock

ONE = installation_id("counter", "playground")


async def test_who_looks_for_unfinished_changes_is_in_nobodys_way(redis: Redis, keys: KeySpace) -> None:
    """The change that was seen unfinished has ended meanwhile, and the next may begin at any moment."""
    journal = Journal(redis, keys, ManualClock())
    with pytest.raises(ShowgroundError) as caught:
        await journal.acquire(ONE, unfinished=True)
    assert caught.value.code == "conflict"
    assert (await journal.acquire(ONE)).fence == 1
