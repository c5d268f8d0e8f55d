"""`use_interval`: a timer in the viewer's browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from showground.ui.calls import call
from showground.ui.events import Event
from showground.ui.run import Run, current, rendering

MIN_MS = 100
MAX_MS = 24 * 3600 * 1000


class Interval:
    """State: `[milliseconds, running]`."""

    __slots__ = ("_callback", "_ms", "id")

    def __init__(self, hook: str, callback: Callable[[], Any], ms: int) -> None:
        self.id = hook
        self._callback = callback
        self._ms = ms

    def start(self) -> None:
        """Tick from now on. Calling it at each render is the idiom and harmless."""
        current("Interval.start").state[self.id] = [self._ms, True]

    def stop(self) -> None:
        current("Interval.stop").state[self.id] = [self._ms, False]

    async def handle(self, run: Run, event: Event) -> None:
        if run.state.get(self.id, (0, False))[1]:
            await call(self._callback)


def use_interval(callback: Callable[[], Any], milliseconds: int) -> Interval:
    """Call *callback* (plain or async) every *milliseconds* once `start()` has been called, while the post is on screen.

    At least 100 ms. Several intervals of one post may run at once. Ticks are not made up for.
    """
    run, render = rendering("use_interval")
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool) or not MIN_MS <= milliseconds <= MAX_MS:
        raise run.fault(
            f"{render.component}: use_interval got {milliseconds!r} ms",
            f"Write a whole number from {MIN_MS} to {MAX_MS}.",
        )
    interval = Interval(render.hook_id("interval"), callback, milliseconds)
    was = run.state.get(interval.id)
    if was is None or was[0] != milliseconds:
        run.state[interval.id] = [milliseconds, was is not None and was[1]]
    render.add(interval)
    return interval
