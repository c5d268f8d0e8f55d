"""`use_web_view`: a page of the bundle's assets, shown over the post in a sandboxed frame, and messages to and from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from showground.ui.attributes import wire_attributes
from showground.ui.calls import call
from showground.ui.events import Event
from showground.ui.run import Run, current, rendering
from showground.ui.values import json_value


class WebView:
    """State: whether the page is on screen."""

    __slots__ = ("_on_message", "_on_unmount", "_url", "id")

    def __init__(
        self,
        hook: str,
        url: str,
        on_message: Callable[[Any, WebView], Any],
        on_unmount: Callable[[], Any] | None,
    ) -> None:
        self.id = hook
        self._url = url
        self._on_message = on_message
        self._on_unmount = on_unmount

    def mount(self) -> None:
        """Show the page. Mounting it again while it is shown does nothing."""
        run = current("WebView.mount")
        if run.state.get(self.id):
            return
        run.state[self.id] = True
        run.effects.add(
            {"type": "web_view", "hook": self.id, "action": "mount", "url": run.address(self._url)}, f"mount {self.id}"
        )

    def unmount(self) -> None:
        run = current("WebView.unmount")
        run.effects.add({"type": "web_view", "hook": self.id, "action": "unmount"}, f"mount {self.id}")

    def post_message(self, message: Any) -> None:
        """Send JSON to the page, which gets `{type: "devvit-message", data: {message}}`, as in Devvit. In order."""
        run = current("WebView.post_message")
        run.effects.add(
            {
                "type": "web_view",
                "hook": self.id,
                "action": "message",
                "message": json_value(message, "the message to the web view"),
            },
            f"message {self.id} {len(run.effects)}",
        )

    async def handle(self, run: Run, event: Event) -> None:
        if event.visible is not None:
            was = bool(run.state.get(self.id))
            run.state[self.id] = event.visible
            if was and not event.visible and self._on_unmount is not None:
                await call(self._on_unmount)
        else:
            await call(self._on_message, msgspec.json.decode(event.data or b"null"), self)


def use_web_view(
    *,
    on_message: Callable[[Any, WebView], Any],
    url: str = "index.html",
    on_unmount: Callable[[], Any] | None = None,
) -> WebView:
    """A page that `mount()` shows over the post. *on_message* gets `(message, web_view)`."""
    run, render = rendering("use_web_view")
    wire_attributes("webview", ("url",), url)  # the same rule for addresses as the block's
    view = WebView(render.hook_id("webview"), url, on_message, on_unmount)
    run.state.setdefault(view.id, False)
    render.add(view)
    return view
