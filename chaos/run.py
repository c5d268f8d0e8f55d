"""One run with faults: start, load, harm, wait for quiet, judge."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from chaos.app_faults import GLUTTON, GUEST
from chaos.cluster import Cluster
from chaos.faults import Faults
from chaos.jobs import Jobs, invoke
from chaos.judge import Judge, Rule
from chaos.load import Crowd, Events, Listener, Member, Promises, Publisher
from chaos.plan import KINDS, Deployment, plan
from chaos.report import Report

COMMUNITIES = ["alpha", "beta", "gamma"]
QUIET_S = 90.0
CALM_S = 4.0
"""Between the last fault and the end of the jobs: a slot is late by `scheduler.claim_s`, 2 s, when its host failed with it."""
QUOTA = 10_000_000
"""Bytes of an installation: much more than the load needs, and soon filled."""
VIEWERS, LISTENERS = 3, 2
"""Of each community."""


async def run_with_faults(
    folder: Path, *, seed: int, seconds: float, hosts: int, jobs: int = 500, deployment: Deployment = "single"
) -> Report:
    """Raises only when the run itself could not be made; what the system does wrong is in the report."""
    rng = random.Random(seed)
    where = "" if deployment == "single" else f" --redis {deployment}"
    report = Report(f"./run chaos{where} --seed {seed} --seconds {seconds:g} --hosts {hosts} --jobs {jobs}")
    promises = Promises()
    async with AsyncExitStack() as exits:
        cluster = await exits.enter_async_context(
            Cluster(folder, hosts, random.Random(rng.random()), deployment, quota_bytes=QUOTA)
        )
        judge = Judge(cluster, promises)
        exits.callback(judge.close)
        faults = Faults(cluster, promises, COMMUNITIES, random.Random(rng.random()))
        harm = plan(seed, seconds, hosts, KINDS[deployment])
        report.rules = await under_load(cluster, judge, promises, rng, lambda: faults.run(harm), seconds, jobs, exits)
        report.faults, report.skipped = {**faults.done}, {**faults.skipped}
        report.seen = {**faults.seen}
    return report


async def under_load(
    cluster: Cluster,
    judge: Judge,
    promises: Promises,
    rng: random.Random,
    happen: Callable[[], Awaitable[None]],
    seconds: float,
    jobs: int,
    exits: AsyncExitStack,
) -> list[Rule]:
    """Let *happen* be under load of every kind, which goes on for *seconds* at least; then wait for quiet, and judge."""
    await cluster.upload("1.0.0")
    await asyncio.gather(*(cluster.install(community, "1.0.0") for community in (*COMMUNITIES, GLUTTON, GUEST)))
    planned = Jobs(cluster)
    await planned.plan(COMMUNITIES, jobs, seconds, rng)

    senders, hearers = Crowd(), Crowd()
    members: list[Member] = []
    exits.push_async_callback(_close_all, members)
    listeners: list[Listener] = []
    common: Any = (cluster, promises)
    for community in COMMUNITIES:
        for source in (
            Events(*common, random.Random(rng.random()), community=community),
            Publisher(*common, random.Random(rng.random()), community=community),
        ):
            senders.start(source, source.run)
        post = await invoke(cluster, community, "chaos.open", {})
        for number in range(VIEWERS):
            streams = number == 0
            member = Member(*common, random.Random(rng.random()), community=community, post=post, streams=streams)
            members.append(member)
            senders.start(member, member.run)
        for _ in range(LISTENERS):
            listener = Listener(*common, random.Random(rng.random()), community=community)
            listeners.append(listener)
            hearers.start(listener, listener.run)
    open_files = {host.number: host.open_files() for host in cluster.hosts}

    started = asyncio.get_running_loop().time()
    await happen()
    await asyncio.sleep(max(0.0, started + seconds - asyncio.get_running_loop().time()))

    await asyncio.sleep(CALM_S)
    for late in await senders.stop():
        promises.breach(late)
    await planned.stop(COMMUNITIES)
    quiet = await _quiet(judge, members, listeners)
    rules = [
        quiet,
        await judge.events(),
        await judge.jobs(planned),
        judge.published(),
        judge.listeners(listeners),
        judge.members(members),
        judge.views_heard(members),
    ]
    for late in await hearers.stop():
        promises.breach(late)
    await _close_all(members)
    await asyncio.sleep(0.5)
    after = {host.number: (open_files[host.number], host.open_files()) for host in cluster.hosts}
    gone = [f"/api/v1/communities/{community}/apps/ledger" for community in (*COMMUNITIES, GLUTTON, GUEST)]
    await asyncio.gather(*(cluster.insist("DELETE", path, good=(200, 202, 204)) for path in gone))
    for host in cluster.hosts:
        code = await host.stop()
        if code != 0:
            promises.breach(f"host {host.number} ended with {code} at the end: {host.last_words()}")
    return [*rules, await judge.leaks(after), judge.conduct()]


async def _close_all(members: list[Member]) -> None:
    for member in members:
        await member.close()


async def _quiet(judge: Judge, members: list[Member], listeners: list[Listener]) -> Rule:
    """Wait until nothing is under way any more: no delivery outstanding, every listener and view at the end of its channel."""
    rule = Rule(f"everything came to rest within {QUIET_S:g} s")
    deadline = asyncio.get_running_loop().time() + QUIET_S
    while True:
        for member in members:
            if member.viewer.farewell is not None:
                await member._connect()
        left = judge.outstanding()
        behind = [*judge.listeners(listeners).breaches, *judge.views_heard(members).breaches] if not left else []
        if not left and not behind:
            break
        if asyncio.get_running_loop().time() > deadline:
            rule.expect(not left, f"{left} deliveries are still outstanding")
            rule.expect(not behind, "; ".join(behind[:3]))
            return rule
        await asyncio.sleep(0.3)
    rule.expect(True, "")
    return rule
