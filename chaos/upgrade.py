"""A rolling upgrade under load: hosts of an earlier commit are replaced one by one, and nobody loses anything."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

from chaos.cluster import Cluster
from chaos.earlier import check_out
from chaos.judge import Judge, Rule
from chaos.load import Promises
from chaos.report import Report
from chaos.run import under_load

DRAIN_S = 60.0
"""Within which a host that was told to stop must have ended."""


async def run_upgrade(folder: Path, *, seed: int, seconds: float, hosts: int, jobs: int, ref: str | None) -> Report:
    """*seconds* are shared out evenly: before the first host is replaced, between each and the next, and after the last."""
    rng = random.Random(seed)
    of = f" --from {ref}" if ref else ""
    report = Report(
        f"./run chaos --scenario upgrade{of} --seed {seed} --seconds {seconds:g} --hosts {hosts} --jobs {jobs}"
    )
    python = None if ref is None else await asyncio.to_thread(check_out, ref, folder / "earlier")
    promises = Promises()
    replaced = Rule("each host ended by itself within its time and its successor was ready, while the others served")
    async with AsyncExitStack() as exits:
        cluster = await exits.enter_async_context(Cluster(folder, hosts, random.Random(rng.random()), python=python))
        judge = Judge(cluster, promises)
        exits.callback(judge.close)
        pause_s = seconds / (hosts + 1)

        async def replace_all() -> None:
            for host in cluster.hosts:
                await asyncio.sleep(pause_s)
                code = await host.stop(DRAIN_S)
                replaced.expect(code == 0, f"host {host.number} ended with {code}: {host.last_words()}")
                host.python = None
                host.start()
                await host.ready(cluster.client)
                replaced.expect(host.pid is not None, f"host {host.number} is gone: {host.last_words()}")
            await asyncio.sleep(pause_s)

        rules = await under_load(cluster, judge, promises, rng, replace_all, seconds, jobs, exits)
        report.rules = [replaced, *rules]
    return report
