"""`context.ui`: what the viewer is shown besides the post. Nothing is sent before the handler has ended well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

from showground.ui.effects import Effects
from showground.ui.faults import fault
from showground.ui.forms import normalise_form
from showground.ui.names import nearest
from showground.ui.values import fresh, json_value

APPEARANCES = ("neutral", "success")
MAX_TOAST = 500
MAX_URL = 2048


class HasForm(Protocol):
    """`showground.Form`, as far as it matters here."""

    @property
    def form(self) -> Any: ...


class Ui:
    """For menu items and forms. Posts get the same with forms of their own, see `showground.context.post`."""

    def __init__(self, forms: Mapping[str, HasForm]) -> None:
        self._forms = forms
        self._collected = Effects()

    @property
    def collected(self) -> Effects:
        return self._collected

    @property
    def effects(self) -> list[dict[str, Any]]:
        """JSON, in the order in which they are shown (`docs/browser-protocol.md`)."""
        return self.collected.all()

    @property
    def web_view(self) -> WebViews:
        """Messages to the page of a `webview` block or `use_web_view`."""
        return WebViews(self.collected)

    def show_toast(self, toast: str | Mapping[str, Any], *, appearance: str = "neutral") -> None:
        """Show a short text for a moment: `show_toast("Saved", appearance="success")`, or Devvit's object."""
        if isinstance(toast, Mapping):
            text, appearance = toast.get("text"), toast.get("appearance", appearance)
        else:
            text = toast
        if not isinstance(text, str) or not 0 < len(text) <= MAX_TOAST:
            raise fault(f"show_toast got the text {text!r:.60}", f"Give it 1 to {MAX_TOAST} characters.")
        if appearance not in APPEARANCES:
            raise fault(f"show_toast got the appearance {appearance!r}", "It is neutral or success.")
        self.collected.add({"type": "toast", "text": text, "appearance": appearance})

    def show_form(self, key: str, data: Any = None) -> None:
        """Show the form of that key; *data* goes to the function that makes it. Raises `app_error` for an unknown key."""
        self.collected.add({"type": "form", "id": key, "form": self._form(key, data)}, f"form {key}")

    def _form(self, key: str, data: Any) -> dict[str, Any]:
        known = self._forms.get(key)
        if known is None:
            hint = nearest(str(key), self._forms) or "Make it with Devvit.create_form at the top level of a module."
            raise fault(f"Form does not exist: {key!r}", hint)
        if callable(known.form):
            return normalise_form(known.form(fresh(json_value(data, "the data of show_form")) or {}))
        return normalise_form(known.form)

    def navigate_to(self, target: Any) -> None:
        """Open an http(s) address, a path of this host (`/c/…`), or a thing with a `url` or `permalink` (a post, a comment)."""
        url = target if isinstance(target, str) else _url_of(target)
        parts = urlsplit(url) if isinstance(url, str) and len(url) <= MAX_URL else None
        if parts is None or not (_is_web(parts) or _is_path(parts)) or _unprintable(parts.geturl()):
            raise fault(
                f"navigate_to got {url!r:.80}",
                "Give an https: address, a path of this host, or a thing that has a url.",
            )
        self.collected.add({"type": "navigate", "url": parts.geturl(), "target": "_blank"}, f"navigate {url}")


def _is_web(parts: SplitResult) -> bool:
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_path(parts: SplitResult) -> bool:
    """`//elsewhere` and `/\\elsewhere` would lead to another host (WHATWG URL section 4.4)."""
    return not parts.scheme and not parts.netloc and parts.path[:1] == "/" and parts.path[1:2] not in ("/", "\\")


def _unprintable(url: str) -> bool:
    return any(c.isspace() or not c.isprintable() for c in url)


def _url_of(thing: Any) -> Any:
    for name in ("url", "permalink"):
        found = thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
        if isinstance(found, str) and found:
            return found
    return thing


class WebViews:
    """`context.ui.web_view`."""

    def __init__(self, collected: Effects) -> None:
        self._collected = collected

    def post_message(self, *arguments: Any) -> None:
        """`post_message(message)` to the page on screen, or `post_message(hook_id, message)`. JSON, in order."""
        if not 1 <= len(arguments) <= 2:
            raise fault(
                f"web_view.post_message got {len(arguments)} arguments", "Give a message, or an id and a message."
            )
        hook = arguments[0] if len(arguments) == 2 else ""
        message = json_value(arguments[-1], "the message to the web view")
        effect = {"type": "web_view", "hook": hook, "action": "message", "message": message}
        self._collected.add(effect, f"message {hook} {len(self._collected)}")
