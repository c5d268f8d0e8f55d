"""A whole deployment as one file: every key under the prefix, as Redis dumps it, with its expiry.

The file: a line of JSON (the header), then frames, each 4 bytes big-endian length and a msgpack array `[key, expiry, dump]`,
where *key* has no prefix and *expiry* is Unix milliseconds or -1. A frame of length 0 ends them; 32 bytes follow, the SHA-256 of
everything before. Redis checks each dump by itself, too (a CRC64 in its footer).
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import IO, Any, Final

import msgspec

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.model import Frozen
from showground.ops.formats import Speech
from showground.redis.api import CommandRefused, Redis

FORMAT: Final = 1
KEYS_AT_ONCE: Final = 200
BYTES_AT_ONCE: Final = 16 * 1024 * 1024
MAX_FRAME: Final = 1024**3
MAX_HEADER: Final = 64 * 1024

_LENGTH = struct.Struct(">I")


class BackupHeader(Frozen, frozen=True, kw_only=True):
    showground_backup: int
    """The format's number; also what tells such a file from others."""
    version: str
    shards: int
    made_at_ms: int
    redis_version: str = ""
    data_format: int = 1
    """Of what is in it (`showground.ops.formats`)."""


class Frame(msgspec.Struct, frozen=True, array_like=True):
    key: bytes
    expires_at_ms: int
    dump: bytes


@dataclass(frozen=True, slots=True)
class Copied:
    keys: int
    bytes: int


class BackupWriter:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.bytes += len(data)

    def frame(self, frame: Frame) -> None:
        body = msgspec.msgpack.encode(frame)
        self.write(_LENGTH.pack(len(body)) + body)

    def end(self) -> None:
        self.write(_LENGTH.pack(0))
        self._file.write(self._hash.digest())
        self._file.flush()


async def back_up(redis: Redis, keys: KeySpace, clock: Clock, file: IO[bytes]) -> Copied:
    """Write every key under the prefix to *file*. Keys are read one after the other: keep hosts out for a consistent whole."""
    writer = BackupWriter(file)
    header = BackupHeader(
        showground_backup=FORMAT,
        version=metadata.version("showground"),
        shards=keys.shards,
        made_at_ms=clock.now_ms(),
        redis_version=await server_version(redis),
        data_format=int(await redis.call("HGET", keys.host("format"), "format") or 1),
    )
    writer.write(msgspec.json.encode(header) + b"\n")
    count = 0
    async for names in _groups(redis, keys):
        asked = [command for name in names for command in (("PEXPIRETIME", name), ("DUMP", name))]
        replies = await redis.pipeline(asked)
        for name, expires, dump in zip(names, replies[::2], replies[1::2], strict=True):
            for reply in (expires, dump):
                if isinstance(reply, CommandRefused):
                    raise ShowgroundError("store_unavailable", f"Redis refused to dump {name!r}: {reply}", "backup")
            if dump is not None:  # it expired meanwhile
                writer.frame(Frame(name[len(keys.prefix) + 1 :], expires, dump))
                count += 1
    writer.end()
    return Copied(count, writer.bytes)


def verify(file: IO[bytes]) -> tuple[BackupHeader, Copied]:
    """Read the whole file from its start; raises `invalid` when it is no backup, was cut off, or was changed."""
    file.seek(0)
    header, digest = _header(file)
    count = size = 0
    for frame, raw in _frames(file):
        digest.update(raw)
        count += frame is not None
        size += len(raw)
    if file.read(33) != digest.digest():
        raise _damaged("its checksum does not fit")
    return header, Copied(count, size)


def refuse_unfit(header: BackupHeader, keys: KeySpace) -> None:
    """Raises `conflict` when hosts of this version could not run on what is in the backup. Nothing was changed yet."""
    if header.shards != keys.shards:
        raise ShowgroundError(
            "conflict",
            f"the backup is of a deployment with {header.shards} shards, this one has {keys.shards}",
            "redis.shards",
            f"Set shards = {header.shards} in the section [redis].",
        )
    speech = Speech()
    fault = speech.fault(header.data_format, header.version)
    if fault:
        raise ShowgroundError("conflict", fault, "restore", speech.remedy(header.data_format))


async def restore(redis: Redis, keys: KeySpace, clock: Clock, file: IO[bytes]) -> Copied:
    """Write every key of the verified *file* under the prefix, over what is there; keys that expired since are left out."""
    await asyncio.to_thread(file.seek, 0)
    header, _ = await asyncio.to_thread(_header, file)
    refuse_unfit(header, keys)
    frames = _frames(file)
    count = size = 0
    while batch := await asyncio.to_thread(_some, frames):
        now_ms = clock.now_ms()
        lasting = [frame for frame in batch if frame.expires_at_ms < 0 or frame.expires_at_ms > now_ms]
        commands: list[Sequence[Any]] = []
        for frame in lasting:
            name = keys.prefix.encode() + b":" + frame.key
            expiry = ("0",) if frame.expires_at_ms < 0 else (frame.expires_at_ms,)
            absolute = () if frame.expires_at_ms < 0 else ("ABSTTL",)
            commands.append(("RESTORE", name, *expiry, frame.dump, "REPLACE", *absolute))
        for frame, reply in zip(lasting, await redis.pipeline(commands), strict=True):
            if isinstance(reply, CommandRefused):
                raise ShowgroundError(
                    "conflict",
                    f"Redis {await server_version(redis)} refused {frame.key!r}, dumped by {header.redis_version}: {reply}",
                    "restore",
                    "Restore into the version of Redis or Valkey that was backed up, or a newer one.",
                )
        count += len(lasting)
        size += sum(len(frame.dump) for frame in lasting)
    return Copied(count, size)


async def is_empty(redis: Redis, keys: KeySpace) -> bool:
    async for _ in _batches(redis, keys):
        return False
    return True


async def erase(redis: Redis, keys: KeySpace) -> None:
    """Delete every key under the prefix."""
    async for names in _batches(redis, keys):
        await redis.pipeline([("UNLINK", name) for name in names])


async def server_version(redis: Redis) -> str:
    try:
        info = bytes(await redis.call("INFO", "server")).decode("utf-8", "replace")
    except CommandRefused:
        return ""
    found = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    return found.get("valkey_version") or found.get("redis_version", "")


async def _groups(redis: Redis, keys: KeySpace) -> AsyncIterator[list[bytes]]:
    """As `_batches`, in groups whose values are not larger together than can be held at once, unless one alone is."""
    async for names in _batches(redis, keys):
        group: list[bytes] = []
        held = 0
        for name, size in zip(names, await redis.pipeline([("MEMORY", "USAGE", n) for n in names]), strict=True):
            held += size if isinstance(size, int) else 0
            if group and held > BYTES_AT_ONCE:
                yield group
                group, held = [], 0
            group.append(name)
        yield group


async def _batches(redis: Redis, keys: KeySpace) -> AsyncIterator[list[bytes]]:
    """The names of the deployment's keys, each once; without those that belong to the moment (`showground.ops.presence`)."""
    passing = {keys.host("maintenance").encode()}
    prefix = keys.host("hosts", "").encode()
    seen: set[bytes] = set()
    batch: list[bytes] = []
    async for name in redis.scan(_literal(keys.prefix) + ":*"):
        if name in seen or name in passing or name.startswith(prefix):
            continue
        seen.add(name)
        batch.append(name)
        if len(batch) == KEYS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _literal(prefix: str) -> str:
    return "".join("\\" + c if c in "*?[]\\" else c for c in prefix)


def _header(file: IO[bytes]) -> tuple[BackupHeader, hashlib._Hash]:
    line = file.readline(MAX_HEADER)
    try:
        header = msgspec.json.decode(line, type=BackupHeader)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _damaged("it has no header of one") from None
    if header.showground_backup != FORMAT:
        raise _damaged(f"its format is {header.showground_backup}, and this version reads {FORMAT}")
    return header, hashlib.sha256(line)


def _frames(file: IO[bytes]) -> Iterator[tuple[Frame | None, bytes]]:
    """Each frame with its bytes; None for the mark of the end."""
    while True:
        head = file.read(4)
        if len(head) < 4:
            raise _damaged("it ends too early")
        (length,) = _LENGTH.unpack(head)
        if length == 0:
            yield None, head
            return
        body = file.read(length) if length <= MAX_FRAME else b""
        if len(body) < length:
            raise _damaged("it ends too early")
        try:
            yield msgspec.msgpack.decode(body, type=Frame), head + body
        except msgspec.DecodeError:
            raise _damaged("a part of it was changed") from None


def _some(frames: Iterator[tuple[Frame | None, bytes]]) -> list[Frame]:
    found: list[Frame] = []
    size = 0
    for frame, _ in frames:
        if frame is None:
            break
        found.append(frame)
        size += len(frame.dump)
        if len(found) == KEYS_AT_ONCE or size > BYTES_AT_ONCE:
            break
    return found


def _damaged(why: str) -> ShowgroundError:
    return ShowgroundError(
        "invalid", f"this is no sound backup: {why}", "file", "Use another copy. Nothing was changed."
    )
