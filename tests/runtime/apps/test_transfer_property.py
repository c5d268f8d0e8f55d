"""Whatever an installation holds, an import of its export gives back: keys of every type with expiries, settings, jobs."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.apps.hosts import World
from tests.runtime.apps.hosts import host as lone_host

from showground.apps.replacement import Replacement
from showground.apps.secrets import SecretBox, new_key
from showground.apps.settings import AppSettings
from showground.apps.transfer import Transfer
from showground.capabilities import KEY_VALUE, SCHEDULER, Job
from showground.clock import SystemClock
from showground.hookspecs import Providers
from showground.keys import KeySpace
from showground.model import Installation, JobSpec, Json, Registration, SettingSpec
from showground.ops.redaction import Redactor
from showground.plugins import Plugins, find_plugins
from showground.redis.api import Redis
from showground.testing.services import services

FAR_MS = 4_000_000_000_000
REGISTRATION = Registration(
    jobs=(JobSpec(name="tick"),),
    settings=(SettingSpec(name="words", type="string"), SettingSpec(name="many", type="number")),
)

blobs = st.one_of(st.text(max_size=20).map(str.encode), st.binary(max_size=20))
words = st.binary(min_size=1, max_size=8)
scores = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False)).map(lambda n: repr(float(n)))
values = st.one_of(
    blobs.map(lambda value: [("SET", value)]),
    st.dictionaries(words, blobs, min_size=1, max_size=5).map(lambda d: [("HSET", *(w for p in d.items() for w in p))]),
    st.lists(blobs, min_size=1, max_size=6).map(lambda items: [("RPUSH", *items)]),
    st.sets(words, min_size=1, max_size=6).map(lambda items: [("SADD", *items)]),
    st.dictionaries(words, scores, min_size=1, max_size=5).map(
        lambda d: [("ZADD", *(w for member, score in d.items() for w in (score, member)))]
    ),
    st.lists(st.lists(blobs, min_size=2, max_size=2), min_size=1, max_size=4).map(
        lambda entries: [("XADD", f"{n}-{n}", *entry) for n, entry in enumerate(entries, 1)]
    ),
)
keyed = st.dictionaries(words, st.tuples(values, st.none() | st.integers(FAR_MS, FAR_MS + 10**6)), max_size=6)
jobs = st.lists(
    st.fixed_dictionaries(
        {
            "cron": st.sampled_from(["0 3 * * *", "30 4 1 1 *", "0 0 5 * * 1"]),
            "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
            "data": st.none() | st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.text(max_size=3)),
            "overlap": st.sampled_from(["skip", "queue", "allow"]),
        }
    ),
    max_size=4,
)
chosen: st.SearchStrategy[dict[str, Json]] = st.fixed_dictionaries(
    {}, optional={"words": st.text(max_size=10), "many": st.integers(-(2**53), 2**53)}
)


async def test_what_comes_in_is_what_went_out_whatever_it_is(redis: Redis, keys: KeySpace) -> None:
    world = World()
    made = world.upload("1.0.0", app="keeper")
    world.versions["1.0.0"] = msgspec.structs.replace(made, registration=REGISTRATION)
    async with AsyncExitStack() as exits:
        lone = await exits.enter_async_context(lone_host(redis, keys, world, poll_s=0.002))
        plugins = Plugins(find_plugins())
        lent = services(redis=redis, keys=keys)
        await plugins.enter(exits, {"scheduler": "memory"}, lambda capability: lent)
        app_settings = AppSettings(redis, keys, SecretBox([new_key()]), Redactor(), _nobody)
        providers: Providers = plugins.provider
        replacement = Replacement(redis, keys, app_settings, providers)
        transfer = Transfer(lone.lifecycle, replacement, app_settings, providers, SystemClock())
        here = await lone.lifecycle.install("here", "keeper")
        there = await lone.lifecycle.install("there", "keeper")

        async def carried(stored: Any, planned: list[dict[str, Any]], values: dict[str, Json]) -> None:
            kv, scheduler = providers(KEY_VALUE), providers(SCHEDULER)
            await kv.clear(here.id)
            for name, (commands, expiry) in stored.items():
                for command, *arguments in commands:
                    [reply] = await kv.execute(here.id, [(command, name, *arguments)])
                    assert not isinstance(reply, Exception), reply
                if expiry is not None:
                    await kv.execute(here.id, [("PEXPIREAT", name, expiry)])
            for job in await scheduler.list_jobs(here.id):
                await scheduler.cancel_job(here.id, job.id)
            for plan in planned:
                await scheduler.load(Job(id="", name="tick", installation=here.id, **plan))
            await app_settings.load(here.version, values, here)

            exported = await _export(transfer, here)
            await transfer.import_(there, io.BytesIO(exported))
            assert _content(await _export(transfer, there), ids=False) == _content(exported, ids=False)
            await kv.clear(here.id)
            await transfer.import_(here, io.BytesIO(exported))
            assert _content(await _export(transfer, here)) == _content(exported)

        loop = asyncio.get_running_loop()

        @settings(max_examples=40, suppress_health_check=list(HealthCheck))
        @given(keyed, jobs, chosen)
        def each(stored: Any, planned: list[dict[str, Any]], values: dict[str, Json]) -> None:
            asyncio.run_coroutine_threadsafe(carried(stored, planned, values), loop).result(30)

        await asyncio.to_thread(each)


async def _nobody(installation: Installation, name: str, value: Json) -> str | None:
    return None


async def _export(transfer: Transfer, installation: Installation) -> bytes:
    return b"".join([line async for line in transfer.export(installation)])


def _content(exported: bytes, *, ids: bool = True) -> list[str]:
    """The records in one order, without when and where they were made."""
    found = []
    for record in map(json.loads, exported.splitlines()[1:]):
        if record["record"] == "job":
            kept = {} if ids else {"id": ""}
            record["job"] |= {"installation": "", "next_run_ms": 0, **kept}
        if record.get("type") == "set":
            record["value"].sort(key=json.dumps)
        if record.get("type") == "hash":
            record["value"].sort(key=json.dumps)
        found.append(json.dumps(record, sort_keys=True))
    return sorted(found)
