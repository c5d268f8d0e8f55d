"""`use_state`: a value per view that lasts as long as the view."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar, overload

from showground.ui.events import Event
from showground.ui.render import Interrupt
from showground.ui.run import Run, current, rendering
from showground.ui.values import fresh, json_value

T = TypeVar("T")


class Setter(Generic[T]):
    """Sets the value of one `use_state`. Two setters of the same hook are equal."""

    __slots__ = ("id",)

    def __init__(self, hook: str) -> None:
        self.id = hook

    def __call__(self, value: T | Callable[[T], T]) -> None:
        """Set a value, or what a function makes of the present one. It counts at once for later setters and the next
        render; the value that the handler captured stays as it was. After the hook has gone it does nothing."""
        run = current("a setter of use_state")
        now = run.state.get(self.id, _ABSENT)
        if now is _ABSENT:
            return
        run.state[self.id] = json_value(value(fresh(now)) if callable(value) else value, f"the value of {self.id}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setter) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    async def handle(self, run: Run, event: Event) -> None:
        """No event is addressed to a state."""


_ABSENT: Any = object()


@overload
def use_state(initial: Callable[[], Awaitable[T]]) -> tuple[T, Setter[T]]: ...


@overload
def use_state(initial: Callable[[], T]) -> tuple[T, Setter[T]]: ...


@overload
def use_state(initial: T) -> tuple[T, Setter[T]]: ...


def use_state(initial: Any) -> tuple[Any, Setter[Any]]:
    """`value, set_value = use_state(initial)`. *initial* is a JSON value, or a function (plain or async) that makes it once.

    An async function is awaited before the post is drawn at all; `use_async` draws first. The value is the caller's own copy:
    changing a list in place changes nothing until it is set.
    """
    run, render = rendering("use_state")
    hook = render.hook_id("state")
    value = run.state.get(hook, _ABSENT)
    if value is _ABSENT:
        made = initial
        if callable(initial):
            reads = run.reads()
            made = initial()
            run.made_state(reads)
        what = f"{render.component}: the initial value of use_state"
        if inspect.isawaitable(made):
            raise Interrupt(partial(_load, run, hook, made, what))
        value = run.state[hook] = json_value(made, what)
    setter: Setter[Any] = Setter(hook)
    render.add(setter)
    return fresh(value), setter


async def _load(run: Run, hook: str, value: Awaitable[Any], what: str) -> None:
    reads = run.reads()
    run.state[hook] = json_value(await value, what)
    run.made_state(reads)
