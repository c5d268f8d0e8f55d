"""Cron expressions: what is cron, what never fires, and when the rest fires around every change of the clocks.

The oracle is cronsim, which shares no code with us and holds to Debian cron; where the clocks do not change, so does croniter.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from showground.errors import ShowgroundError
from showground_scheduler.cron import Cron

FIXED = (
    "30 2 * * *",
    "0 0 * * *",
    "0,30 2,3 * * *",
    "15 1-3 * * *",
    "0 3 * * 0",
    "5 0,23 * * *",
    "59 23 1-31 * *",
)
WILDCARD = (
    "* * * * *",
    "*/15 * * * *",
    "*/30 2 * * *",
    "0 * * * *",
    "30 */2 * * *",
    "*/20 1-3 * * 0,6",
    "10-50/20 */3 * * *",
)
SECONDS = ("*/20 * 0-3 * * *", "*/30 59,0,1 * * * *")
SAMPLED = (
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Africa/Casablanca",
    "Antarctica/Troll",
)


START = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime(2041, 1, 1, tzinfo=UTC).timestamp())
STEP = 12 * 3600


def _offset(second: int, zone: ZoneInfo) -> int:
    delta = datetime.fromtimestamp(second, zone).utcoffset()
    assert delta is not None
    return int(delta.total_seconds())


def transitions(zone: ZoneInfo) -> Iterator[int]:
    """The first second of each new offset, 2000 to 2040, found by asking the zone, so that it depends on no list."""
    for before, after in pairwise(range(START, END, STEP)):
        if _offset(before, zone) == _offset(after, zone):
            continue
        low, high = before, after
        while high - low > 1:
            middle = (low + high) // 2
            if _offset(middle, zone) == _offset(high, zone):
                high = middle
            else:
                low = middle
        yield high


def at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def runs(expression: str, zone: str, start: str, count: int) -> list[str]:
    cron, now, found = Cron.parse(expression, zone), at(start, zone), []
    for _ in range(count):
        following = cron.next_after(now)
        assert following is not None
        now = following
        found.append(datetime.fromtimestamp(now / 1000, ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        # The table of docs/scheduler.md, row by row. Berlin skips 02:00-03:00 on 29 March 2026 …
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("0,30 2 * * *", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("30 2,3 * * *", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00"]),
        ("0 3 * * *", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T03:00+02:00"]),
        ("0 * * * *", "2026-03-29T00:30", ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]),
        ("*/30 2 * * *", "2026-03-28T12:00", ["2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00"]),
        ("*/30 * * * *", "2026-03-29T01:29", ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"]),
        # … and repeats it on 25 October 2026.
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        (
            "0,30 2 * * *",
            "2026-10-25T01:59",
            ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:00+01:00"],
        ),
        ("30 2,3 * * *", "2026-10-25T01:59", ["2026-10-25T02:30+02:00", "2026-10-25T03:30+01:00"]),
        ("*/30 * * * *", "2026-10-25T02:29", ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00"]),
        ("0 3 * * *", "2026-10-24T12:00", ["2026-10-25T03:00+01:00", "2026-10-26T03:00+01:00"]),
        (
            "*/30 2 * * *",
            "2026-10-24T12:00",
            ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00"],
        ),
        (
            "0 * * * *",
            "2026-10-25T01:59",
            ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"],
        ),
        ("0 30 2 * * *", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    ],
)
def test_the_written_table_of_clock_changes_is_what_happens(expression: str, start: str, expected: list[str]) -> None:
    assert runs(expression, "Europe/Berlin", start, len(expected)) == expected


def oracle(expression: str, zone: ZoneInfo, start: int, end: int) -> Iterator[int]:
    last = start
    for when in CronSim(expression, datetime.fromtimestamp(start, zone)):
        second = int(when.timestamp())
        if second > end:
            return
        if second > last:
            # cronsim gives the end of a gap once per skipped wall time; Debian runs the job once.
            yield second
        last = max(last, second)


def minute_by_minute(expression: str, zone: ZoneInfo, start: int, end: int) -> Iterator[int]:
    """What a wildcard job means, spelt out: every real second whose wall time matches. The judge where cronsim 2.8 errs: it
    loses the slot that follows a change of half an hour (Lord Howe)."""
    matcher = CronSim(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - only its sets are used
    for second in range(start + 1, end + 1):
        wall = datetime.fromtimestamp(second, zone)
        weekday = wall.isoweekday() in matcher.weekdays or (wall.isoweekday() == 7 and 0 in matcher.weekdays)
        if wall.second in matcher.seconds and wall.minute in matcher.minutes and wall.hour in matcher.hours and weekday:
            yield second


def ours(expression: str, zone: str, start: int, end: int) -> Iterator[int]:
    cron, now = Cron.parse(expression, zone), start * 1000
    while (following := cron.next_after(now)) is not None and following <= end * 1000:
        now = following
        yield now // 1000


def differences(zone: str, expressions: tuple[str, ...], seen: set[tuple[int, int, int]]) -> list[str]:
    """Where we differ around the changes of *zone* that are not in *seen*; many zones change at one moment in one way."""
    found = []
    place = ZoneInfo(zone)
    for change in transitions(place):
        before, after = _offset(change - 1, place), _offset(change, place)
        if (change, before, after) in seen:
            continue
        seen.add((change, before, after))
        start, end = change - 2 * 3600 - 1, change + 2 * 3600 + abs(after - before)
        for expression in expressions:
            # cronsim 2.8 never returns for some expressions where a change is not at a full hour (Goose Bay, 00:01).
            odd = (change + before) % 3600 or (after - before) % 3600
            judge = minute_by_minute if odd and expression not in FIXED else oracle
            expected, actual = list(judge(expression, place, start, end)), list(ours(expression, zone, start, end))
            if expected != actual and expression not in FIXED:
                # It loses slots that follow a gap at midnight, too, where weekdays are restricted (Damascus 2000).
                expected = list(minute_by_minute(expression, place, start, end))
            if expected != actual:
                when = datetime.fromtimestamp(change, UTC)
                found.append(f"{zone} {when} {expression}: expected {expected}, got {actual}")
    return found


@pytest.mark.parametrize("zone", SAMPLED)
def test_around_clock_changes_of_a_sampled_zone_we_agree_with_cronsim(zone: str) -> None:
    assert differences(zone, ("30 2 * * *", "0,30 2,3 * * *", "*/30 2 * * *", "0 * * * *"), set()) == []


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_around_every_clock_change_of_every_zone_we_agree_with_cronsim() -> None:
    seen: set[tuple[int, int, int]] = set()
    every = FIXED + WILDCARD + SECONDS
    found = [d for zone in sorted(available_timezones()) for d in differences(zone, every, seen)]
    assert found == []
    assert len(seen) > 3000


@given(
    st.sampled_from(FIXED + WILDCARD + ("0 0 */2 * 1", "0 0 13 * 5", "0 0 29 2 *", "0 12 31 * *", "5 4 */10 2 */3")),
    st.integers(946684800, 2208988800),
    st.sampled_from(SAMPLED),
)
def test_from_any_moment_the_next_slot_is_that_of_cronsim(expression: str, start: int, zone: str) -> None:
    place = ZoneInfo(zone)
    expected = next(oracle(expression, place, start, 10**11))
    following = Cron.parse(expression, zone).next_after(start * 1000)
    assert following == expected * 1000


def test_a_slot_is_strictly_later_and_milliseconds_are_cut_off() -> None:
    cron = Cron.parse("*/10 * * * * *")
    assert cron.next_after(9_999) == 10_000
    assert cron.next_after(10_000) == 20_000
    assert cron.next_after(10_001) == 20_000


def test_six_fields_begin_with_seconds() -> None:
    assert Cron.parse("15 0 0 1 1 *").next_after(0) == 15_000
    assert Cron.parse("0 0 1 1 *").next_after(0) == 365 * 86_400_000


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 0 0 1 1 * 2030", "five fields"),
        ("@daily", "five fields"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 2,4,6,9,11 *", "never fires"),
        ("0 0 L * *", "not cron"),
        ("0 0 1W * *", "not cron"),
        ("0 0 * * 5#3", "not cron"),
        ("H * * * *", "not cron"),
        ("0 0 ? * *", "not cron"),
        ("5/10 * * * *", "5-59/10"),
        ("0 22-2 * * *", "upwards"),
        ("60 * * * *", "0 to 59"),
        ("0 24 * * *", "0 to 23"),
        ("0 0 0 * *", "1 to 31"),
        ("*/0 * * * *", "step"),
        ("*/90 * * * *", "step"),
        ("0 0 * * foo", "not a name"),
        ("0 0 * * ,", "not cron"),
        ("-1 * * * *", "not cron"),
        ("\u0661 * * * *", "not cron"),
        ("* " * 200, "at most 256"),
    ],
)
def test_what_is_not_cron_is_refused_with_a_reason(expression: str, reason: str) -> None:
    with pytest.raises(ShowgroundError, match=r"(?s)Invalid crontab.*" + reason) as refused:
        Cron.parse(expression)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "", "europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ShowgroundError, match="is not a time zone"):
        Cron.parse("* * * * *", name)


@given(st.text(alphabet="0123456789*/,-lL#?abcdefjn ", max_size=24))
def test_any_text_is_either_refused_or_has_a_next_slot(text: str) -> None:
    try:
        cron = Cron.parse(text)
    except ShowgroundError:
        return
    assert cron.next_after(1_700_000_000_000) is not None
