"""A rolling upgrade over real hosts, short, and with this commit's code on both sides: a shallow checkout has no other."""

from __future__ import annotations

from pathlib import Path

from chaos.upgrade import run_upgrade


async def test_hosts_are_replaced_one_by_one_under_load_and_nobody_loses_anything(tmp_path: Path) -> None:
    report = await run_upgrade(tmp_path, seed=3, seconds=6, hosts=2, jobs=30, ref=None)
    assert report.passed, report.text()
    assert sum(rule.notes.get("reconnects", 0) for rule in report.rules) > 0
