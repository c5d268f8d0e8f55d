"""Every page of the community passes axe-core's rules, in light and in dark, and fits a phone."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from tests.e2e.examples import APPS, EXAMPLES, sign_in

from showground.testing.browser import OpenPage
from showground.testing.host import HostUnderTest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_pages_have_no_accessibility_violations_and_fit(
    demo: HostUnderTest, open_page: OpenPage, scheme: str, width: int
) -> None:
    posts = [await demo.submit_post(await demo.install(APPS / example.folder)) for example in EXAMPLES]
    page = await open_page(width=width, color_scheme=scheme)
    await sign_in(page, demo.host.url, "Ada", "/c/playground")
    paths = ["/", "/c/playground", "/sign-in", f"/demo?post={posts[0]}", "/c/playground/posts/t3_none"]
    paths += [f"/c/playground/posts/{post}" for post in posts]
    faults = []
    for path in paths:
        await page.goto(demo.host.url + path)
        await page.wait_for_function(
            "() => document.querySelectorAll('[data-showground-view][aria-busy]').length === 0"
        )
        found = await Axe().run(page)
        faults += [
            f"{path}: {v['id']}: {v['help']}: {[node['html'] for node in v['nodes'][:3]]}"
            for v in found.response["violations"]
        ]
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            faults.append(f"{path}: {wide} px wider than the window")
    assert not faults, "\n".join(faults)
