"""All tests run on uvloop, as hosts and workers do: its transports and errors differ from asyncio's own in ways that matter.

How fast random examples are made says something of the machine only, so nothing is asked of it.
"""

import asyncio

import uvloop
from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("usual")
settings.register_profile("long", settings.get_profile("usual"), max_examples=2000)
"""`./run test --hypothesis-profile=long`: twenty times as many random examples where a test uses `showground.testing.fuzz`."""
