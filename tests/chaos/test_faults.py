"""The chaos driver over real hosts: a short run each time, long ones with `-m proof`."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.overload import run_overload
from chaos.plan import KINDS, plan
from chaos.run import run_with_faults
from chaos.storm import run_storm


def test_a_seed_names_one_plan_and_a_long_one_has_every_fault() -> None:
    assert plan(7, 120, 5) == plan(7, 120, 5) != plan(8, 120, 5)
    assert {fault.kind for fault in plan(7, 120, 5)} == set(KINDS)
    assert all(fault.at_s <= 117 and 0 <= fault.host < 5 for fault in plan(7, 120, 5))


@pytest.mark.timeout(120)
async def test_nothing_acknowledged_is_lost_while_two_hosts_are_harmed(tmp_path: Path) -> None:
    report = await run_with_faults(tmp_path, seed=5, seconds=7, hosts=2, jobs=30)
    assert report.passed, report.text()


@pytest.mark.proof
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("seed", "hosts"), [(2, 2), (3, 5)])
async def test_nothing_acknowledged_is_lost_in_two_minutes_of_harm(tmp_path: Path, seed: int, hosts: int) -> None:
    report = await run_with_faults(tmp_path, seed=seed, seconds=120, hosts=hosts)
    assert report.passed, report.text()
    assert set(report.faults) == set(KINDS)


@pytest.mark.proof
@pytest.mark.timeout(200)
async def test_a_flooded_installation_leaves_its_neighbour_served(tmp_path: Path) -> None:
    report = await run_overload(tmp_path, seed=1, seconds=30)
    assert report.passed, report.text()


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_two_thousand_viewers_move_from_host_to_host_and_lose_nothing(tmp_path: Path) -> None:
    report = await run_storm(tmp_path, seed=1, viewers=2000)
    assert report.passed, report.text()
