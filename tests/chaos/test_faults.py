"""The chaos driver over real hosts: a short run each time, long ones with `-m proof`."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.clock import WrongClock, set_clock
from chaos.overload import run_overload
from chaos.plan import KINDS, Deployment, Kind, plan
from chaos.run import run_with_faults
from chaos.storm import run_storm
from showground.clock import SystemClock


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_a_seed_names_one_plan_and_a_long_one_has_every_fault(kinds: tuple[Kind, ...]) -> None:
    made = plan(7, 120, 5, kinds)
    assert made == plan(7, 120, 5, kinds) != plan(8, 120, 5, kinds)
    assert {fault.kind for fault in made} == set(kinds)
    assert all(fault.at_s <= 117 and 0 <= fault.host < 5 and 1 <= abs(fault.shift_s) <= 600 for fault in made)


def test_a_clock_that_is_set_is_wrong_at_once_for_whoever_has_it_and_its_monotonic_time_is_not(tmp_path: Path) -> None:
    real = SystemClock()
    set_clock(tmp_path / "clock", 0.0)
    wrong = WrongClock(tmp_path / "clock")
    for ahead_s in (300.0, -61.5, 0.0):
        set_clock(tmp_path / "clock", ahead_s)
        before_ms, shown_ms, after_ms = real.now_ms(), wrong.now_ms(), real.now_ms()
        assert before_ms <= shown_ms - round(ahead_s * 1000) <= after_ms
        before_s, shown_s, after_s = real.monotonic(), wrong.monotonic(), real.monotonic()
        assert before_s <= shown_s <= after_s


async def test_nothing_acknowledged_is_lost_while_two_hosts_are_harmed(tmp_path: Path) -> None:
    report = await run_with_faults(tmp_path, seed=5, seconds=7, hosts=2, jobs=30)
    assert report.passed, report.text()


@pytest.mark.proof
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("seed", "hosts"), [(2, 2), (3, 5)])
async def test_nothing_acknowledged_is_lost_in_two_minutes_of_harm(tmp_path: Path, seed: int, hosts: int) -> None:
    report = await run_with_faults(tmp_path, seed=seed, seconds=120, hosts=hosts)
    assert report.passed, report.text()
    assert set(report.faults) == set(KINDS["single"])


@pytest.mark.proof
@pytest.mark.timeout(400)
@pytest.mark.parametrize("deployment", ["sentinel", "cluster"])
async def test_nothing_acknowledged_is_lost_when_redis_fails_over(tmp_path: Path, deployment: Deployment) -> None:
    report = await run_with_faults(tmp_path, seed=4, seconds=90, hosts=2, jobs=300, deployment=deployment)
    assert report.passed, report.text()
    assert {"fail over", "kill primary"} <= set(report.faults)


@pytest.mark.proof
async def test_a_flooded_installation_leaves_its_neighbour_served(tmp_path: Path) -> None:
    report = await run_overload(tmp_path, seed=1, seconds=30)
    assert report.passed, report.text()


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_two_thousand_viewers_move_from_host_to_host_and_lose_nothing(tmp_path: Path) -> None:
    report = await run_storm(tmp_path, seed=1, viewers=2000)
    assert report.passed, report.text()
