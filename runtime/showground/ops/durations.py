"""Lengths of time as people write them: `15s`, `30m`, `1w2d12h`, as in Devvit's `logs --since`."""

from __future__ import annotations

import re

from showground.errors import ShowgroundError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_WHOLE = re.compile(r"([0-9]{1,9}[smhdw])+")
_PART = re.compile(r"([0-9]+)([smhdw])")


def duration_s(text: str, where: str) -> int:
    """Seconds; raises `invalid`, which names *where*."""
    if not _WHOLE.fullmatch(text):
        raise ShowgroundError(
            "invalid", f"{text!r} is no length of time", where, "Write a number and s, m, h, d or w: 15s, 30m, 1w2d."
        )
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
