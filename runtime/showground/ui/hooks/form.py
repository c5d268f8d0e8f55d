"""`use_form`: a form that belongs to a live post."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from showground.ui.calls import call
from showground.ui.events import Event
from showground.ui.forms import Form, normalise_form, validate
from showground.ui.run import Run, rendering
from showground.ui.values import fresh, json_value


class FormHook:
    """State, once shown: `[data]`, from which the form is made again to check what was submitted."""

    __slots__ = ("_form", "_on_cancel", "_on_submit", "id")

    def __init__(
        self,
        hook: str,
        form: Mapping[str, Any] | Callable[..., Any],
        on_submit: Callable[[dict[str, Any]], Any],
        on_cancel: Callable[[], Any] | None,
    ) -> None:
        self.id = hook
        self._form = form
        self._on_submit = on_submit
        self._on_cancel = on_cancel

    def show(self, run: Run, data: Any) -> Form:
        """The form for *data*; remembers that it was shown."""
        kept = json_value(data, "the data of show_form")
        form = self._make(kept)
        run.state[self.id] = [kept]
        return form

    def _make(self, data: Any) -> Form:
        return normalise_form(self._form(fresh(data) or {}) if callable(self._form) else self._form)

    async def handle(self, run: Run, event: Event) -> None:
        shown = run.state.pop(self.id, None)
        if shown is None:
            return  # never shown, or answered already
        if event.type == "form_cancelled":
            if self._on_cancel is not None:
                await call(self._on_cancel)
            return
        values, errors = validate(self._make(shown[0]), msgspec.json.decode(event.data or b"{}"))
        if errors:
            run.state[self.id] = shown
            run.effects.add({"type": "form_errors", "id": self.id, "errors": errors})
            return
        await call(self._on_submit, values)


def use_form(
    form: Mapping[str, Any] | Callable[..., Any],
    on_submit: Callable[[dict[str, Any]], Any],
    on_cancel: Callable[[], Any] | None = None,
) -> str:
    """The key for `context.ui.show_form(key, data)`. *form* is a form, or a function that makes one of `data`.

    *on_submit* gets the checked values, once for each time that the form was shown. Devvit tells nobody of a cancelled form;
    *on_cancel* does.
    """
    _, render = rendering("use_form")
    hook = FormHook(render.hook_id("form"), form, on_submit, on_cancel)
    render.add(hook)
    return hook.id
