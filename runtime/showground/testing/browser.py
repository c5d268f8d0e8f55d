"""A real Chromium for tests. Import the fixtures by name, or name this module in `pytest_plugins`.

* `browser`: one Chromium per test process; skipped, with the reason, where Chromium or playwright is missing.
* `open_page`: opens a tab with a profile of its own: `await open_page(width=390, color_scheme="dark")`. When the test is
  over it fails if a page reported an error that nobody caught.

`SHOWGROUND_CHROMIUM` names the browser; without it `chromium`, `chromium-browser` and `google-chrome` are looked for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


PATIENCE_MS = 30_000
"""For a page, a locator, or what is expected of one. As long as `eventually` waits, and for the same reason: no test claims
that it comes as soon as that, and a busy machine takes its time. What must be quick is measured, or asked of `page.clock`."""


class OpenPage(Protocol):
    async def __call__(self, *, width: int = 800, height: int = 700, **context: Any) -> Page: ...


def find_chromium() -> str | None:
    """The path of a Chromium, or None."""
    named = os.environ.get("SHOWGROUND_CHROMIUM")
    found = (named, *(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")))
    return next((path for path in found if path), None)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium with an empty profile, on the test's own loop."""
    playwright = pytest.importorskip(
        "playwright.async_api", reason="playwright is not installed: pip install playwright"
    )
    path = find_chromium()
    if path is None:
        pytest.skip("there is no Chromium: install it, or name one in SHOWGROUND_CHROMIUM")
    playwright.expect.set_options(timeout=PATIENCE_MS)
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    failures: list[str] = []

    async def open_page(*, width: int = 800, height: int = 700, **context: Any) -> Page:
        profile = await browser.new_context(viewport={"width": width, "height": height}, **context)
        profile.set_default_timeout(PATIENCE_MS)
        page = await profile.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        return page

    yield open_page
    for profile in browser.contexts:
        await profile.close()
    assert not failures, f"scripts failed: {failures}"
