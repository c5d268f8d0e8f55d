"""The five examples in real browsers: what one member does the others see, whatever breaks in between."""

from __future__ import annotations

import pytest
from playwright.async_api import expect
from tests.e2e.examples import APPS, EXAMPLES, Example, Party, party
from tests.e2e.served import ServedHost

from showground.testing.browser import OpenPage
from showground.testing.host import HostUnderTest

pytestmark = pytest.mark.browser

each_example = pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.folder)


@each_example
async def test_what_one_does_the_others_see_also_after_a_reload_and_a_lost_network(
    demo: HostUnderTest, open_page: OpenPage, kind: type[Example]
) -> None:
    example = kind()
    await demo.install(APPS / example.folder)
    three = await party(open_page, demo.host.url, demo.call, example)
    for actor in range(3):
        await example.step(three, actor)

    await three.pages[1].reload()
    await three.are_live()
    await example.step(three, 1)

    await three.pages[2].context.set_offline(True)
    await expect(three.pages[2].locator(".sg-status")).to_contain_text("offline")
    together = Party(three.pages[:2], three.call, three.step + 1)
    await example.act(together, 0)
    await three.pages[2].context.set_offline(False)
    three.step += 1
    await three.are_live()
    if kind.folder != "server_push":
        await example.check(three)
    await example.step(three, 2)


@each_example
async def test_the_picture_is_right_after_workers_host_and_redis_were_killed(
    served: ServedHost, open_page: OpenPage, kind: type[Example]
) -> None:
    example = kind()
    await served.install(APPS / example.folder)
    three = await party(open_page, served.url, served.call, example)
    await example.step(three, 0)

    assert served.kill_workers() > 0
    await example.step(three, 1)

    await served.restart_redis()
    await served.is_ready_again()
    await three.come_back()
    await example.step(three, 2)

    await served.kill_host()
    await served.start()
    await three.come_back()
    await example.step(three, 0)
