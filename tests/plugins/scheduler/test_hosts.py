"""Many hosts, one Redis, all of them real processes that are killed, stopped and restarted: every slot runs, and runs once.

The queue is the real one. Afterwards one runner empties it and counts, so what is compared is what apps would have seen.
"""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from showground.capabilities import Job
from showground.clock import Clock, SystemClock
from showground.deliveries.queue import RedisDeliveries
from showground.deliveries.runner import Runner
from showground.keys import KeySpace, installation_id
from showground.model import Delivery
from showground.redis.deployment import open_redis
from showground.redis.server import ServerProcess
from showground.testing.redis import running_server
from showground.testing.services import services
from showground.testing.waiting import eventually
from showground_scheduler.redis_store import RedisStore
from showground_scheduler.scheduler import JobScheduler

HOST = Path(__file__).with_name("host_process.py")
KEYS = KeySpace("hosts")
COMMUNITIES = [installation_id("clock", f"c{n}") for n in range(50)]
JOBS_EACH = 10


@dataclass
class Hosts:
    """Host processes, and the signals that befall them. Each is known by its pid."""

    url: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, str(HOST), self.url, KEYS.prefix]
        host = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.running.append(host)
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"

    def kill(self, number: int) -> None:
        host = self.running.pop(number)
        host.send_signal(signal.SIGKILL)
        self._reap(host)

    def end(self) -> None:
        """Let every host finish its turn."""
        for host in self.running:
            host.send_signal(signal.SIGCONT)
            host.terminate()
        while self.running:
            host = self.running.pop()
            self._reap(host)
            assert host.returncode == 0

    def close(self) -> None:
        while self.running:
            self.kill(0)

    @staticmethod
    def _reap(host: subprocess.Popen[bytes]) -> None:
        host.wait(15)
        assert host.stdout is not None
        host.stdout.close()


@contextmanager
def hosts_on(server: ServerProcess) -> Iterator[Hosts]:
    hosts = Hosts(server.url)
    try:
        yield hosts
    finally:
        hosts.close()


async def next_second(clock: Clock) -> None:
    """Return when the next second of wall time begins, and with it the next slot of every job."""
    await clock.sleep(1 - clock.now_ms() % 1000 / 1000)


async def misfortunes(
    hosts: Hosts, server: ServerProcess, scheduler: JobScheduler, seconds: float, rng: random.Random
) -> None:
    """Kill, stop until others have done the work, and restart, as long as *seconds*; Redis is killed once, in the middle,
    and misses a slot.

    Each blow falls within the first moments of a second, when the hosts are at work.
    """
    clock, count = SystemClock(), len(hosts.running)
    end, redis_falls = time.monotonic() + seconds, time.monotonic() + seconds / 2
    while time.monotonic() < end:
        await next_second(clock)
        await clock.sleep(rng.uniform(0, 0.04))
        victim = rng.randrange(len(hosts.running))
        if rng.random() < 0.5:
            hosts.kill(victim)
            await asyncio.to_thread(hosts.start)
        else:
            stopped = hosts.running[victim]
            stopped.send_signal(signal.SIGSTOP)
            await eventually(partial(all_past, scheduler, clock.now_ms() + 500))
            stopped.send_signal(signal.SIGCONT)
        if time.monotonic() > redis_falls:
            redis_falls = end + 1
            server.kill()
            await next_second(clock)
            server.start()
            await asyncio.to_thread(server.wait_ready, 30)
    assert len(hosts.running) == count


async def every_slot_runs_once(folder: Path, count: int, seconds: float) -> None:
    rng = random.Random(count)
    with running_server(folder, fsync="always") as server, hosts_on(server) as hosts:
        async with open_redis(server.url, folder) as redis:
            clock, ran = SystemClock(), Counter[str]()
            queue = RedisDeliveries(redis, KEYS, clock)
            lent = services(redis=redis, keys=KEYS, clock=clock, deliveries=queue, host_id="parent")
            # Never entered, so it has no loop: only the host processes turn time into deliveries.
            scheduler = JobScheduler(RedisStore(redis, KEYS), lent)
            jobs = [Job(id="", name="tick", installation=i, cron="* * * * * *", overlap="allow") for i in COMMUNITIES]
            await asyncio.gather(*(scheduler.run_job(job) for job in jobs * JOBS_EACH))
            first = {j.id: j.next_run_ms for i in COMMUNITIES for j in await scheduler.list_jobs(i)}
            await asyncio.gather(*(asyncio.to_thread(hosts.start) for _ in range(count)))
            await misfortunes(hosts, server, scheduler, seconds, rng)
            settled_ms = clock.now_ms()
            await eventually(lambda: all_past(scheduler, settled_ms))
            hosts.end()
            ended_ms = clock.now_ms()
            last = {j.id: j.next_run_ms for i in COMMUNITIES for j in await scheduler.list_jobs(i)}

            async def handle(delivery: Delivery, attempt: int) -> bytes:
                ran[delivery.id] += 1
                return b""

            expected = {
                f"{job_id}@{slot}"
                for job_id, start in first.items()
                for slot in range(start or 0, last[job_id] or 0, 1000)
            }
            # What a host had enqueued when it was ended, and not yet noted: the next host would have done it again.
            unnoted = {f"{job_id}@{slot}" for job_id, at in last.items() for slot in range(at or 0, ended_ms, 1000)}
            async with Runner(queue, handle, host_id="parent"):
                while not expected <= ran.keys():
                    seen = len(ran)
                    await eventually(lambda seen=seen: len(ran) > seen)  # type: ignore[misc]
    assert len(first) == len(COMMUNITIES) * JOBS_EACH
    assert len(expected) >= len(first) * (seconds - 1)
    lost, extra = expected - set(ran), set(ran) - expected
    assert (len(lost), len(extra - unnoted)) == (0, 0)
    assert set(ran.values()) == {1}


async def all_past(scheduler: JobScheduler, at_ms: int) -> bool:
    jobs = [job for installation in COMMUNITIES for job in await scheduler.list_jobs(installation)]
    return all((job.next_run_ms or 0) > at_ms for job in jobs)


@pytest.mark.parametrize("count", [2, 5])
async def test_every_slot_runs_once_on_hosts_that_are_killed_and_stopped_while_redis_restarts(
    tmp_path: Path, count: int
) -> None:
    await every_slot_runs_once(tmp_path, count, seconds=6)


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [2, 5])
async def test_every_slot_runs_once_through_two_minutes_of_misfortune(tmp_path: Path, count: int) -> None:
    await every_slot_runs_once(tmp_path, count, seconds=120)
