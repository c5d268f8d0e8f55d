"""`showground doctor` on machines and deployments with and without faults."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.runtime.cli.processes import Ended, on, run

from showground.apps.secrets import new_key
from showground.cli.isolation import escapes
from showground.clock import SystemClock
from showground.escapes import attempt_escapes
from showground.keys import KeySpace
from showground.redis.api import Redis
from showground.testing.host import running_host
from showground.testing.waiting import eventually


def found(ended: Ended) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in ended.json["checks"]}


async def doctor(data_dir: Path, *arguments: str, prefix: str = "sg") -> Ended:
    arguments = ("doctor", "--json", "--data-dir", str(data_dir), *arguments)
    return await run(*arguments, SHOWGROUND_REDIS_PREFIX=prefix)


async def of_a_host(look: Callable[[], Awaitable[Ended]]) -> Ended:
    """What doctor says, once it says no more that this machine had the host wait, which a host tells for ten seconds."""
    found: list[Ended] = []

    async def says_something_else() -> bool:
        found[:] = [await look()]
        return (
            re.search(r"not ready: event_loop: something blocked it for [\d.]+ s; the limit is 1 s(?!;)", found[0].out)
            is None
        )

    await eventually(says_something_else, 60)
    return found[0]


async def test_a_fresh_machine_has_no_faults_and_nothing_is_made_on_it(tmp_path: Path) -> None:
    ended = await doctor(tmp_path / "new")
    checks = found(ended)
    assert (ended.code, ended.json["ok"]) == (0, True), ended.out
    assert checks["isolation"]["status"] in ("ok", "warn")  # as this kernel allows
    if "does not work here" in checks["isolation"]["text"]:
        assert "escapes" not in checks
    else:
        assert re.fullmatch(r"\d+ attempts .* all held", checks["escapes"]["text"])
    assert "embedded" in checks["redis"]["text"]
    assert "redis_kv by redis" in checks["providers"]["text"]
    assert not (tmp_path / "new").exists()


async def test_each_attempt_that_got_out_is_named_with_its_remedy_and_fails() -> None:
    outcomes = await attempt_escapes(SystemClock(), ["files"], level="process")  # without walls
    summary, *named = escapes(outcomes, 0.4)
    out = [outcome.name for outcome in outcomes if not outcome.held]
    assert summary.text.endswith(f"{len(outcomes) - len(out)} held, {len(out)} got out")
    assert [finding.name for finding in named] == [f"escape: files: {name}" for name in out]
    assert {finding.status for finding in (summary, *named)} == {"fail"}
    assert all("Landlock" in finding.remedy for finding in named)


async def test_a_deployment_that_runs_is_looked_at_too(tmp_path: Path, redis_url: str, keys: KeySpace) -> None:
    async with running_host(tmp_path, redis_url, keys.prefix) as host:
        arguments = ("doctor", "--json", "--data-dir", str(tmp_path), "--redis-url", redis_url)
        await asyncio.to_thread((tmp_path / "secret.key").chmod, 0o600)
        ended = await of_a_host(partial(run, *arguments, SHOWGROUND_REDIS_PREFIX=keys.prefix))
        checks = found(ended)
        assert ended.code == 0, ended.out
        assert "ready at" in checks["host"]["text"]
        assert "process" in checks["hosts"]["text"]
        assert "the same" in checks["secret key of the deployment"]["text"]
        assert "ms for a round trip" in checks["redis latency"]["text"]
        plain = await of_a_host(partial(on, host, "doctor", "--data-dir", str(tmp_path)))
        assert [line.split()[0] for line in plain.out.splitlines() if not line.startswith(" ")].count("fail") == 0


async def test_every_fault_is_told_with_its_remedy_and_the_exit_code_is_1(
    tmp_path: Path, redis: Redis, redis_url: str, keys: KeySpace
) -> None:
    async with running_host(tmp_path / "host", redis_url, keys.prefix):
        pass
    here = tmp_path / "here"
    here.mkdir()
    here.chmod(0o777)
    (here / "secret.key").write_text(new_key())
    (here / "secret.key").chmod(0o644)
    (here / "host.json").write_text('{"url": "http://127.0.0.1:9", "token": "t"}')
    (tmp_path / "bad.toml").write_text('[host]\nport = "many"\nprot = 1\n')
    ended = await doctor(here, "--redis-url", redis_url, prefix=keys.prefix)
    checks = found(ended)
    assert ended.code == 1
    failed = {name for name, check in checks.items() if check["status"] == "fail"}
    assert failed == {"data folder", "secret.key", "host.json", "secret key of the deployment"}
    assert all(checks[name]["remedy"] for name in failed)
    assert checks["host"]["status"] == "warn"
    ended = await doctor(tmp_path / "new", "--settings", str(tmp_path / "bad.toml"))
    assert (ended.code, found(ended)["settings"]["status"]) == (1, "fail")
    ended = await doctor(tmp_path / "new", "--redis-url", "redis://127.0.0.1:9")
    assert (ended.code, found(ended)["redis"]["status"]) == (1, "fail")


async def test_a_provider_that_nobody_offers_is_found_before_a_start(tmp_path: Path) -> None:
    (tmp_path / "showground.toml").write_text('[providers]\nrealtime = "pigeon"\n')
    ended = await doctor(tmp_path / "new", "--settings", str(tmp_path / "showground.toml"))
    assert (ended.code, found(ended)["plugins"]["status"]) == (1, "fail")
    assert "pigeon" in found(ended)["plugins"]["text"]
