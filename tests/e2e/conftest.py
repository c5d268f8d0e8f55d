"""A Chromium; a host with the example apps in this process; and one in a process of its own that may be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.e2e.served import ServedHost

from showground.keys import KeySpace
from showground.testing.browser import browser, open_page
from showground.testing.host import HostUnderTest, running_host

__all__ = ["browser", "open_page"]


@pytest.fixture
async def demo(tmp_path: Path, redis_url: str, keys: KeySpace) -> AsyncIterator[HostUnderTest]:
    """A host in demo mode, where anybody may sign in as a test member."""
    async with running_host(tmp_path, redis_url, keys.prefix, host={"demo": True}) as host:
        yield host


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedHost]:
    """`showground serve` in demo mode, on a Redis of its own."""
    async with ServedHost(tmp_path) as served:
        yield served
