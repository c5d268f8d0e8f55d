"""When a cron expression fires, in any time zone: croniter counts in wall time, this module maps wall time to real time.

croniter is only ever given wall time without a zone, because with a zone it fires a fixed-time job twice when clocks go
back (7.0.0, seen 2026-11-24). What happens around a change of the clocks is Debian cron's rule (`man 8 cron`, Debian
section of "daylight saving time"):

* A **fixed-time** expression (no time field starts with `*`) runs once per matching wall time. In the hour that clocks
  skip, it runs once right after the change; in the hour that they repeat, it runs in the first pass only.
* A **wildcard** expression (seconds, minutes or hours start with `*`) follows real time: it runs at every real instant
  whose wall time matches, so never in the skipped hour, and in both passes of the repeated one.

`docs/scheduler.md` has the table; the tests compare it with cronsim over every change of every zone, 2000 to 2040.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter

from showground.crontab import parse_crontab
from showground.errors import ShowgroundError

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall time has no zone


def zone(name: str) -> tzinfo:
    """The IANA zone *name*; raises `invalid` with a remedy when tzdata has none such."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ShowgroundError(
            "invalid", f"{name!r} is not a time zone", "timezone", "Use an IANA name such as Europe/Berlin, or UTC."
        ) from None


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression in a zone. Not for use by several threads at once: croniter keeps its place in itself."""

    expression: str
    timezone: tzinfo
    fixed: bool
    """No time field starts with `*`, so each matching wall time is one run."""
    _wall: croniter = field(repr=False, compare=False)

    @classmethod
    def parse(cls, expression: str, timezone: str = "UTC") -> Cron:
        """Read *expression*; raises `invalid` for what is not cron, for what never fires, and for an unknown zone."""
        where = zone(timezone)
        fields, wall = parse_crontab(expression)
        return cls(expression, where, not any(f.startswith("*") for f in fields[:3]), wall)

    def next_after(self, at_ms: int) -> int | None:
        """The first slot strictly after *at_ms*, both in milliseconds since 1970 UTC; None beyond the year 9990."""
        # 25 to 170 us (croniter 7.0.0, measured 2026-11-24), so callers compute a slot only when they need it.
        second = at_ms // 1000
        try:
            if self.timezone is UTC:
                return self._next_wall(second) * 1000
            found = self._next_fixed(second) if self.fixed else self._next_real(second)
        except (CroniterBadDateError, OverflowError, ValueError):
            return None
        return found * 1000

    def _next_wall(self, wall: int) -> int:
        self._wall.set_current(float(wall))
        return int(self._wall.get_next(float))

    def _next_fixed(self, now: int) -> int:
        wall = now + _offset(now, self.timezone)
        while True:
            wall = self._next_wall(wall)
            found = self._first_instant(wall)
            # Equal or earlier: a wall time of the repeated hour, or of the skipped hour, that has had its run.
            if found > now:
                return found

    def _next_real(self, now: int) -> int:
        # Nothing matches between now and segment, which moves from one change of the clocks to the next.
        segment = now
        inclusive = False
        while True:
            offset = _offset(segment, self.timezone)
            wall = self._next_wall(segment + offset - (1 if inclusive else 0))
            found = wall - offset
            change = _repeat_after(segment, self.timezone)
            if change is not None and found >= change:
                # The first pass of a repeated hour is over; the second starts with wall times that were seen already.
                segment, inclusive = change, True
                continue
            if _offset(found, self.timezone) == offset:
                return found
            early, late = (_utc(wall, self.timezone, fold) for fold in (0, 1))
            real = [t for t in (early, late) if t > now and t + _offset(t, self.timezone) == wall]
            if real:
                return min(real)
            # A wall time that is skipped: go on from the end of the gap.
            after = _change_between(early - abs(early - late), early, self.timezone)
            segment, inclusive = after, True

    def _first_instant(self, wall: int) -> int:
        """The instant of a wall time: its first pass where it is repeated, the end of the gap where it is skipped."""
        early = _utc(wall, self.timezone, 0)
        if early + _offset(early, self.timezone) == wall:
            return early
        late = _utc(wall, self.timezone, 1)
        return _change_between(min(early, late), max(early, late), self.timezone)


def _offset(second: int, where: tzinfo) -> int:
    """Seconds that *where* is ahead of UTC at the instant *second*."""
    delta = datetime.fromtimestamp(second, where).utcoffset()
    assert delta is not None
    return int(delta.total_seconds())


def _utc(wall: int, where: tzinfo, fold: int) -> int:
    """The instant that the offset before (`fold=0`) or after (`fold=1`) a change gives to a wall time (PEP 495)."""
    delta = (_EPOCH + timedelta(seconds=wall)).replace(tzinfo=where, fold=fold).utcoffset()
    assert delta is not None
    return wall - int(delta.total_seconds())


def _change_between(before: int, after: int, where: tzinfo) -> int:
    """The first second in (before, after] that has the offset of *after*; there is one change between the two."""
    target = _offset(after, where)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, where) == target:
            after = middle
        else:
            before = middle
    return after


def _repeat_after(second: int, where: tzinfo) -> int | None:
    """When the second pass begins, if *second* is in the first pass of a repeated stretch of wall time."""
    offset = _offset(second, where)
    again = _utc(second + offset, where, 1)
    if again <= second or again + _offset(again, where) != second + offset:
        return None
    return _change_between(second, again, where)
