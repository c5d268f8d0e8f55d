"""`doctor`: what is right with this machine and this deployment, what is not, and what to do about it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from showground.cli.findings import Finding
from showground.cli.isolation import isolation
from showground.cli.serve import SETTINGS_FILE, read
from showground.cli.session import HttpSession
from showground.errors import ShowgroundError
from showground.settings import Settings

PINGS = 20
SLOW_MS = 5.0
"""A round trip longer than this is felt in every press and event."""
CLOCK_S = 1.0
"""Hosts and Redis further apart than this confuse people who read logs; the queue itself goes by Redis' time."""
SCARCE_BYTES = 1024**3
FEW_VIEWERS = 2000
BORN_S = 1_767_225_600
"""2026-01-01: a clock before it was never set."""


@click.command(short_help="Say what this machine lacks, and what to do.")
@click.option("--settings", "file", type=click.Path(path_type=Path), help=f"Settings file; else {SETTINGS_FILE}.")
@click.option("--redis-url", metavar="URL", help="The external Redis or Valkey, if there is one.")
@click.pass_obj
def doctor(session: HttpSession, /, **flags: Any) -> int:
    """Say what this machine and this deployment have to run on: isolation, Redis, files, keys, plugins, the host.

    One line each: ok, warn, or fail with what to do. Exits with 1 when anything fails. Nothing is changed. The escape suite is
    run in a confined worker of this machine; an attempt that gets out is named, and fails.
    """
    findings: list[Finding] = []
    try:
        settings = read(session, flags)
        findings.append(Finding("settings", "ok", "the settings have no fault"))
    except ShowgroundError as error:
        findings.append(Finding.of("settings", error))
        settings = Settings()
    findings += asyncio.run(_examine(session, settings))
    failed = any(f.status == "fail" for f in findings)
    lines = [f"{f.status:<5} {f.name}: {f.text}" + (f"\n      {f.remedy}" if f.remedy else "") for f in findings]
    session.show({"ok": not failed, "checks": [asdict(f) for f in findings]}, "\n".join(lines))
    return 1 if failed else 0


COMMANDS: tuple[click.Command, ...] = (doctor,)


async def _examine(session: HttpSession, settings: Settings) -> list[Finding]:
    found = [finding async for finding in isolation(settings.workers.isolation)]
    found.append(_clients())
    found += _files(settings)
    found += [finding async for finding in _redis(settings)]
    found += _plugins(settings)
    found += await asyncio.to_thread(lambda: list(_host(session)))
    return found


def _clients() -> Finding:
    from showground.ops.open_files import Capacity, attainable

    limit = attainable()
    views = Capacity.of(limit).views
    text = f"{limit} open files are allowed: room for {views} viewers"
    if views < FEW_VIEWERS:
        return Finding(
            "open files", "warn", text, "Raise the hard limit: LimitNOFILE= of systemd, --ulimit nofile= of Docker."
        )
    return Finding("open files", "ok", text)


def _files(settings: Settings) -> Iterator[Finding]:
    from showground.apps.secrets import FILE, VARIABLE, SecretBox

    folder = settings.data_dir
    if not folder.is_dir():
        yield Finding("data folder", "ok", f"{folder} is not there yet; the first start makes it")
        return
    at = folder.stat()
    if at.st_uid != os.geteuid():
        yield Finding("data folder", "fail", f"{folder} belongs to another user", "Run as its owner, or chown it.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("data folder", "fail", f"{folder} can't be written", f"chmod 700 {folder}")
    elif at.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding("data folder", "fail", f"others may write into {folder}", f"chmod 700 {folder}")
    else:
        yield Finding("data folder", "ok", str(folder))
    free = shutil.disk_usage(folder).free
    if free < SCARCE_BYTES:
        yield Finding(
            "disk", "warn", f"{free // 1024**2} MB are free", "Redis stops when its append-only file can't grow."
        )
    for name in (FILE, "host.json", "host.token"):
        path = folder / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding(name, "fail", f"others may read {path}", f"chmod 600 {path}")
    try:
        if os.environ.get(VARIABLE):
            SecretBox.load(folder)
            yield Finding("secret key", "ok", f"from {VARIABLE}")
        elif (folder / FILE).exists():
            SecretBox.load(folder)
            yield Finding("secret key", "ok", f"from {folder / FILE}; keep a copy of it elsewhere")
    except (ShowgroundError, OSError) as error:
        told = error if isinstance(error, ShowgroundError) else ShowgroundError("misconfigured", str(error))
        yield Finding.of("secret key", told)


async def _redis(settings: Settings) -> AsyncIterator[Finding]:
    from showground.redis.deployment import open_redis
    from showground.redis.server import find_binary

    if time.time() < BORN_S:
        yield Finding("clock", "fail", "this machine's clock was never set", "Set it, and keep it by NTP.")
    if not settings.redis.url:
        try:
            binary = find_binary()
            command = [str(binary), "--version"]
            said = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=10, check=False)
            version = said.stdout.decode("utf-8", "replace").partition(" sha=")[0].strip()
            yield Finding("redis", "ok", f"embedded: {version}, fsync {settings.redis.fsync}")
        except (ShowgroundError, OSError, subprocess.SubprocessError) as error:
            told = error if isinstance(error, ShowgroundError) else ShowgroundError("misconfigured", str(error))
            yield Finding.of("redis", told)
        return
    try:
        async with open_redis(settings.redis.url, settings.data_dir, deadline_s=settings.redis.deadline_s) as redis:
            async for finding in _server(redis, settings):
                yield finding
    except ShowgroundError as error:
        yield Finding.of("redis", error)


async def _server(redis: Any, settings: Settings) -> AsyncIterator[Finding]:
    from showground.keys import KeySpace
    from showground.ops.backup import server_version
    from showground.ops.formats import Speech
    from showground.ops.presence import hosts
    from showground.redis.api import CommandRefused

    keys = KeySpace(settings.redis.prefix, settings.redis.shards)
    yield Finding("redis", "ok", f"version {await server_version(redis)}")
    config: dict[str, str] = {}
    for name in ("appendonly", "maxmemory", "maxmemory-policy"):
        try:
            reply = await redis.call("CONFIG", "GET", name)
            pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
            config |= {bytes(k).decode(): bytes(v).decode() for k, v in pairs}
        except CommandRefused:
            yield Finding("redis configuration", "warn", f"{name} can't be read (ACL)", "Look at it yourself.")
    if config.get("appendonly", "yes") != "yes":
        text = "there is no append-only file: what was acknowledged is lost when Redis dies"
        yield Finding("redis persistence", "warn", text, "Set appendonly yes.")
    elif config:
        yield Finding("redis persistence", "ok", "append-only file")
    if config.get("maxmemory", "0") != "0" and config.get("maxmemory-policy", "noeviction") != "noeviction":
        text = f"Redis may throw keys away ({config['maxmemory-policy']})"
        yield Finding("redis eviction", "fail", text, "Set maxmemory-policy noeviction.")
    times = [await redis.ping() * 1000 for _ in range(PINGS)]
    latency = statistics.median(times)
    text = f"{latency:.2f} ms for a round trip (median of {PINGS}; worst {max(times):.2f})"
    slow = latency > SLOW_MS
    yield Finding("redis latency", "warn" if slow else "ok", text, "Bring hosts and Redis closer." if slow else "")
    seconds, micros = await redis.call("TIME")
    apart = time.time() - (int(seconds) + int(micros) / 1e6)
    far = abs(apart) > CLOCK_S
    text = f"{abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} Redis"
    yield Finding("clock", "warn" if far else "ok", text, "Keep both by NTP." if far else "")
    yield await _agreement(redis, keys, settings)
    in_use = int(await redis.call("HGET", keys.host("format"), "format") or 1)
    speech = Speech()
    fault = speech.fault(in_use, "")
    if fault:
        yield Finding("data format", "fail", fault, speech.remedy(in_use))
    else:
        yield Finding("data format", "ok", f"{in_use}; this version reads {speech.oldest} to {speech.newest}")
    mark = await redis.call("GET", keys.host("maintenance"))
    if mark is not None:
        text = f"maintenance goes on, or was cut off: {bytes(mark).decode()}"
        yield Finding("maintenance", "warn", text, "A restore that was cut off is done again with --force.")
    running = await hosts(redis, keys)
    yield Finding("hosts", "ok", "; ".join(running) if running else "none runs")


async def _agreement(redis: Any, keys: Any, settings: Settings) -> Finding:
    """Whether this machine's secret key is the deployment's. Looks only: `prove` would write where nothing is."""
    from showground.apps.secrets import FILE, VARIABLE, SecretBox

    sealed = await redis.call("GET", keys.host("secret-key"))
    if sealed is None:
        return Finding("secret key of the deployment", "ok", "none yet: the first host brings it")
    if not os.environ.get(VARIABLE) and not (settings.data_dir / FILE).exists():
        text = "this machine has no key, and a new one would not be the deployment's"
        return Finding("secret key of the deployment", "fail", text, f"Copy {FILE} here, or set {VARIABLE}.")
    try:
        SecretBox.load(settings.data_dir).open("deployment", "proof", bytes(sealed).decode())
    except ShowgroundError as error:
        return Finding.of("secret key of the deployment", error)
    return Finding("secret key of the deployment", "ok", "this machine has the same")


def _plugins(settings: Settings) -> Iterator[Finding]:
    from showground.plugins import Plugins, find_plugins

    try:
        plugins = Plugins(find_plugins(settings.disabled_plugins))
        chosen = plugins.choose(settings.providers)
    except ShowgroundError as error:
        yield Finding.of("plugins", error)
        return
    yield Finding("plugins", "ok", ", ".join(plugins.names))
    providers = ", ".join(f"{capability} by {name}" for capability, (name, _) in sorted(chosen.items()))
    yield Finding("providers", "ok", providers)


def _host(session: HttpSession) -> Iterator[Finding]:
    address = session.address()
    if address is None:
        yield Finding("host", "ok", "none runs on this data folder")
        return
    try:
        ready = _readyz(address)
    except (OSError, ValueError) as error:
        text = f"no host answers at {address}: {getattr(error, 'reason', error)}"
        yield Finding("host", "warn", text, "Start it; a host.json that a killed host left goes away with that.")
        return
    facts = ", ".join(f"{name} {value}" for name, value in sorted(ready.get("facts", {}).items()))
    red = [f"{check['name']}: {check['reason']}" for check in ready["checks"] if not check.get("ok")]
    if ready.get("ready"):
        yield Finding("host", "ok", f"ready at {address} ({facts})")
    else:
        yield Finding("host", "fail", f"{address} is not ready: {'; '.join(red)}", "Each check says what it waits for.")


def _readyz(address: str) -> Mapping[str, Any]:
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/readyz", timeout=5) as answer:  # noqa: S310 - our own host
            raw = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            raw = error.read()
    document = json.loads(raw)
    if not isinstance(document, dict) or "checks" not in document:
        raise ValueError("it is no Showground host")
    return document
