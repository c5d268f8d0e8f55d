"""What tests stand on."""

import asyncio


async def test_tests_run_on_the_loop_that_hosts_run_on() -> None:
    assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
