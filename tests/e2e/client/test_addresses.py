"""What a hostile host or app puts into a tree: the modules by themselves, in a real browser."""

from typing import Any

import pytest
from tests.e2e.client.conftest import Gallery
from tests.e2e.client.test_presses import at

from showground.testing.browser import OpenPage

pytestmark = pytest.mark.browser

BAD_IMAGES: list[Any] = [
    "javascript:window.pwned=1", " javascript:window.pwned=1", "java\nscript:window.pwned=1",
    "data:text/html,<script>pwned=1</script>",
    "http://example.com/a.png", "//evil.example/a.png@", "blob:https://example.com/1", "file:///etc/passwd", "", None, 7, {},
]  # fmt: skip
BAD_COLORS: list[Any] = [
    "url(https://evil.example)", "red;position:fixed", "expression(alert(1))", "var(--x)", "#12", "#12345", "rgb(1,2,3);x", "RED",
    "image-set(x)", None, 5, ["red"], ["red", "url(x)"], "hsl(1,2,3) url(x)",
]  # fmt: skip


async def test_addresses_and_colours_that_lead_astray_are_left_out(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("text"))
    found = await page.evaluate(
        """async ([images, colors]) => {
          const { imageAddress, pageAddress, linkAddress, color, size } = await import("/static/style.js");
          return {
            images: images.filter((image) => imageAddress(image) && !imageAddress(image).startsWith("https://")),
            pages: [...images, "/static/client.js", "/assets/../api", "https://evil.example/assets/a"].filter(pageAddress),
            links: images.filter((link) => linkAddress(link) && !/^https?:/.test(linkAddress(link).protocol)),
            colors: colors.filter(color),
            sizes: ["1e3px", "-1px", "calc(1px)", "50", "50vw", "1px;x", null, 3].filter(size),
          };
        }""",
        [BAD_IMAGES, BAD_COLORS],
    )
    relative = [image for image in found["images"] if image not in ("", None, 7)]
    assert found | {"images": relative} == {"images": [], "pages": [], "links": [], "colors": [], "sizes": []}


async def test_an_app_cannot_frame_or_lead_anywhere_it_likes(open_page: OpenPage, gallery: Gallery) -> None:
    page = await at(open_page, await gallery("text"))
    found = await page.evaluate(
        """async () => {
          const { build } = await import("/static/patch.js");
          const { Painter } = await import("/static/blocks.js");
          const { showEffects } = await import("/static/client.js");
          const painter = new Painter({ add() {}, drop() {} });
          const stack = {
            style: "x", onclick: "window.pwned=1", width: "1px;x", background_color: "url(x)", gap: '"]x', press: { a: 1 },
          };
          const root = build(["blocks", {}, [
            ["webview", { url: "javascript:window.pwned=1" }],
            ["webview", { url: "https://evil.example/" }],
            ["vstack", stack],
            ["image", { url: "javascript:window.pwned=1" }],
            ["script", { text: "window.pwned=1" }],
            ["icon", { name: "x#y' onload='window.pwned=1" }],
          ]], painter);
          document.body.append(root.el);
          painter.settle();
          showEffects([{ type: "navigate", url: "javascript:window.pwned=1" }, { type: "navigate", url: "data:text/html,x" }]);
          return [root.el.outerHTML, window.pwned ?? null, document.querySelectorAll(".sg-toast").length];
        }"""
    )
    html, pwned, toasts = found
    assert pwned is None
    assert toasts == 0
    for word in ("javascript:", "evil", "onclick", "url(", "onload", "<script"):
        assert word not in html
