"""What counts as a cron expression: five fields, or six with seconds first. The author's checker and the scheduler share it.

Cron proper and nothing more (`man 5 crontab`): `*`, numbers, names, ranges, steps over a range, lists. croniter takes much that
is not cron, such as `5/10`, `L` or `@daily`; an app that used it would depend on one scheduler's library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from croniter import CroniterBadDateError, CroniterError, croniter

from showground.errors import ShowgroundError

MAX_EXPRESSION = 256
"""Characters; more than any sensible expression, and a bound on what parsing can cost."""

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, tuple(MONTHS)),
    _Field("day of week", 0, 7, tuple(WEEKDAYS)),
)

_TERM = re.compile(r"(?:\*|(?P<low>[0-9]{1,2}|[a-z]{3})(?:-(?P<high>[0-9]{1,2}|[a-z]{3}))?)(?:/(?P<step>[0-9]{1,2}))?")


def _refuse(expression: str, reason: str) -> ShowgroundError:
    # "Invalid crontab" is Devvit's own text; the remedy is ours.
    return ShowgroundError("invalid", "Invalid crontab", f"cron {expression!r}", reason)


def _check(expression: str) -> list[str]:
    """The six fields, lower case, or `invalid`. Stricter than croniter, which takes much that is not cron."""
    if len(expression) > MAX_EXPRESSION:
        raise _refuse(expression[:40] + "…", f"Use at most {MAX_EXPRESSION} characters.")
    parts = expression.lower().split()
    if len(parts) not in (5, 6):
        raise _refuse(
            expression, "Give five fields (minute hour day month weekday), or six with seconds first; no @daily."
        )
    if len(parts) == 5:
        parts.insert(0, "0")
    for part, spec in zip(parts, _FIELDS, strict=True):
        for term in part.split(","):
            reason = _fault(term, spec)
            if reason:
                raise _refuse(expression, f"In {spec.name}, {term!r}: {reason}")
    return parts


def _fault(term: str, spec: _Field) -> str | None:
    match = _TERM.fullmatch(term)
    if match is None:
        return "use *, a number, a range a-b, with /step, in a comma list; L, W, #, ?, H and R are not cron."
    numbers = []
    for text in (match["low"], match["high"]):
        if text is None:
            continue
        if text.isdigit():
            numbers.append(int(text))
        elif text in spec.names:
            numbers.append(spec.names.index(text) + spec.low)
        else:
            return f"{text!r} is not a name of a {spec.name}."
    if any(not spec.low <= n <= spec.high for n in numbers):
        return f"use {spec.low} to {spec.high}."
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        return "a range goes upwards; write the two parts as a list."
    if match["step"] is not None:
        if not 1 <= int(match["step"]) <= spec.high:
            return f"use a step of 1 to {spec.high}."
        if len(numbers) == 1:
            return f"a step needs a range: {match['low']}-{spec.high}/{match['step']}."
    return None


def parse_crontab(expression: str) -> tuple[list[str], croniter]:
    """The six fields of *expression*, and its iterator over wall time without a zone, from 1970 on.

    Raises `invalid` for what is not cron, and for what never fires.
    """
    fields = _check(expression)
    try:
        wall = croniter(" ".join(fields), 0.0, second_at_beginning=True, implement_cron_bug=True)
        wall.get_next(float)
    except CroniterBadDateError:
        raise _refuse(expression, "It never fires: no month has that day.") from None
    except (CroniterError, ValueError) as error:
        raise _refuse(expression, str(error)) from None
    return fields, wall
