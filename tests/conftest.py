"""All tests run on uvloop, as hosts and workers do: its transports and errors differ from asyncio's own in ways that matter."""

import asyncio

import uvloop


def pytest_configure() -> None:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
