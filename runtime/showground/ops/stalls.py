"""Says where the event loop is stuck while it is stuck: a thread of its own looks, because nothing on the loop can."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Self

from showground.clock import Clock

log = logging.getLogger("showground.ops.stalls")

LOOK_S = 0.25


class StallWatch:
    """Call `beat` from the loop again and again; when it stays away for *limit_s*, the loop's stack is logged, once per stall.

    Enter and leave it on the loop's thread.
    """

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._last = clock.monotonic()
        self._told = False
        self._end = threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="showground-stall-watch", daemon=True)

    def beat(self) -> None:
        self._last = self._clock.monotonic()
        self._told = False

    def __enter__(self) -> Self:
        self._watched = threading.get_ident()
        self.beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join(timeout=2 * LOOK_S)

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            stuck_s = self._clock.monotonic() - self._last
            if stuck_s <= self._limit_s or self._told:
                continue
            self._told = True
            frame = sys._current_frames().get(self._watched)
            where = "".join(traceback.format_stack(frame)) if frame is not None else "(its thread is gone)"
            log.error("the event loop has been stuck for %.1f s, here:\n%s", stuck_s, where)
