"""All tests run on uvloop, as hosts and workers do: its transports and errors differ from asyncio's own in ways that matter."""

import asyncio

import uvloop
from hypothesis import settings


def pytest_configure() -> None:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


settings.register_profile("long", max_examples=2000, deadline=None)
"""`./run test --hypothesis-profile=long`: twenty times as many random examples where a test uses `showground.testing.fuzz`."""
