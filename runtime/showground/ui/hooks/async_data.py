"""`use_async`: data that is loaded beside the post, which is drawn at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from showground.errors import ShowgroundError
from showground.ui.calls import call
from showground.ui.events import Event
from showground.ui.run import Run, rendering
from showground.ui.values import fresh, json_value

T = TypeVar("T")
log = logging.getLogger("showground.app")

LOADING, LOADED, FAILED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class AsyncError:
    message: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class AsyncData(Generic[T]):
    """What is known now. At most one of `data` and `error` is there; while loading, neither."""

    data: T | None
    loading: bool
    error: AsyncError | None


Answer = list[Any]
"""`[depends, status, value or message]`"""


class AsyncHook:
    """State: `[depends, status, value or message]`."""

    __slots__ = ("_finally", "_load", "depends", "id")

    def __init__(
        self, hook: str, load: Callable[[], Awaitable[Any]], finally_: Callable[..., Any] | None, depends: Any
    ) -> None:
        self.id = hook
        self.depends = depends
        self._load = load
        self._finally = finally_

    def pending(self, run: Run) -> bool:
        return bool(run.state[self.id][1] == LOADING)

    async def load(self) -> Answer:
        """Run the app's function; an error is an answer too. The viewer sees its text, the log its traceback."""
        try:
            return [self.depends, LOADED, json_value(await call(self._load), f"the data of {self.id}")]
        except ShowgroundError as error:
            log.warning("%s failed: %s", self.id, error)
            return [self.depends, FAILED, error.message]
        except Exception as error:
            log.exception("%s failed", self.id)
            return [self.depends, FAILED, f"{type(error).__name__}: {error}"]

    async def take(self, run: Run, answer: Answer) -> None:
        """Store an answer and call `finally_`. An answer for other `depends`, or a second one, is ignored."""
        if not self.pending(run) or answer[0] != self.depends:
            return
        run.state[self.id] = answer
        if self._finally is not None:
            _, status, value = answer
            data = fresh(value) if status == LOADED else None
            await call(self._finally, data, AsyncError(value) if status == FAILED else None)

    async def handle(self, run: Run, event: Event) -> None:
        """`async`: load and take at once."""
        if self.pending(run):
            await self.take(run, await self.load())


def use_async(
    load: Callable[[], Awaitable[T]],
    *,
    depends: Any = None,
    finally_: Callable[[T | None, AsyncError | None], Any] | None = None,
) -> AsyncData[T]:
    """Load data without holding up the post: `user = use_async(load_user)`, then `user.data if not user.loading else …`.

    Loaded anew when *depends* (JSON) changes; an answer that comes after that is dropped. Setters called in *load* do nothing:
    use *finally_* `(data, error)` for that.
    """
    run, render = rendering("use_async")
    asked = json_value(depends, f"{render.component}: depends of use_async")
    hook = AsyncHook(render.hook_id("async"), load, finally_, asked)
    entry = run.state.get(hook.id)
    if entry is None or entry[0] != asked:
        entry = run.state[hook.id] = [asked, LOADING, None]
    render.add(hook)
    _, status, value = entry
    return AsyncData(
        fresh(value) if status == LOADED else None,
        status == LOADING,
        AsyncError(value) if status == FAILED else None,
    )
