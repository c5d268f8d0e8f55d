"""A real Chromium presses buttons. A line on stdin (`{"pages": {name: [counter, grid]}, "presses": n}`) runs a round.

Times are taken in the page, from the click: until the change is in the document and laid out, and until the frame after that
is painted. A headless Chromium paints 60 frames a second and no more, whatever its flags; so every page keeps painting, and
presses come at moments spread evenly between two frames, the same for every page: what is painted waits for the next frame, and
left to chance that wait would differ more between two pages than they do.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from playwright.sync_api import Browser, Page, WebSocket, sync_playwright

FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ),
    *("--disable-component-update", "--disable-sync"),
)

KEEP_PAINTING = "() => { const paint = () => requestAnimationFrame(paint); paint() }"

PRESS = """([button, wanted, after]) => new Promise((done, failed) => {
  const isSelector = text => text.startsWith('[')
  const there = () => isSelector(wanted) ? document.querySelector(wanted) : document.body.textContent.includes(wanted)
  const pressed = isSelector(button) ? document.querySelector(button)
    : [...document.querySelectorAll('button')].find(b => b.textContent.trim() === button)
  if (!pressed) { failed(new Error('no ' + button)); return }
  if (there()) { failed(new Error(wanted + ' is there already')); return }
  const late = setTimeout(() => failed(new Error('no ' + wanted)), 5000)
  let laidOut = 0, began = 0
  const observer = new MutationObserver(() => {
    if (laidOut || !began || !there()) return
    document.body.getBoundingClientRect()
    laidOut = performance.now() - began
    observer.disconnect()
    clearTimeout(late)
    requestAnimationFrame(() => {
      const after = new MessageChannel()
      after.port1.onmessage = () => done([laidOut, performance.now() - began])
      after.port2.postMessage(0)
    })
  })
  observer.observe(document.documentElement, {subtree: true, childList: true, characterData: true, attributes: true})
  requestAnimationFrame(() => setTimeout(() => {
    began = performance.now()
    pressed.click()
  }, after))
})"""
FRAME_MS = 1000 / 60
GOLDEN = 0.618034
"""Its multiples, without their whole parts, fill the space from 0 to 1 evenly, however many there are."""


class Traffic:
    """Bytes of WebSocket messages, both ways."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        for direction in ("framesent", "framereceived"):
            socket.on(direction, self._count)

    def _count(self, payload: str | bytes) -> None:
        self.bytes += len(payload if isinstance(payload, bytes) else payload.encode())


def measure(browser: Browser, counter: str, grid: str, presses: int) -> dict[str, Any]:
    """Presses on the counter, then on one cell after the other."""
    found: dict[str, Any] = {}
    for kind, address in (("counter", counter), ("grid", grid)):
        page = browser.new_page()
        traffic = Traffic(page)
        page.goto(address)
        page.wait_for_selector("text=add" if kind == "counter" else '[aria-label="cell 63 white"]')
        page.evaluate(KEEP_PAINTING)
        page.wait_for_timeout(1000)
        times = []
        for n in range(presses + 5):
            if n == 5:  # what only the first presses cost is behind us
                traffic.bytes = 0
            k, red = n % 64, (n // 64) % 2 == 0
            button = "add" if kind == "counter" else f'[aria-label="cell {k} {"white" if red else "red"}"]'
            wanted = f"count {n + 1}" if kind == "counter" else f'[aria-label="cell {k} {"red" if red else "white"}"]'
            times.append(page.evaluate(PRESS, [button, wanted, n * GOLDEN % 1 * FRAME_MS]))
        page.wait_for_timeout(300)
        found[f"{kind} laid out ms"] = sorted(t[0] for t in times[5:])
        found[f"{kind} painted ms"] = sorted(t[1] for t in times[5:])
        found[f"{kind} bytes"] = traffic.bytes / presses
        page.close()
    return found


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=list(FLAGS))
        for line in sys.stdin:
            order = json.loads(line)
            told = {name: measure(browser, *pages, order["presses"]) for name, pages in order["pages"].items()}
            print(json.dumps(told), flush=True)
        browser.close()


main()
