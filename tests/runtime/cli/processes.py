"""Commands as what they are: processes with arguments, output, exit codes and signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from showground.testing.host import HostUnderTest

PATIENCE_S = 40.0


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would point a command at another host."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SHOWGROUND_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **more}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document that `--json` prints."""
        [line] = self.out.splitlines()
        return json.loads(line)


async def run(*arguments: str, cwd: Path | None = None, stdin: bytes = b"", **more: str) -> Ended:
    """Run `showground …` to its end, with *more* in the environment."""
    with TemporaryFile() as given:  # a command may end before it reads, which would break a pipe
        given.write(stdin)
        given.seek(0)
        process = await _start(arguments, cwd, environment(**more), given)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def on(host: HostUnderTest, *arguments: str, stdin: bytes = b"") -> Ended:
    """Run a command against *host* with its root token."""
    token = host.host.root_token
    return await run(*arguments, stdin=stdin, SHOWGROUND_URL=host.host.url, SHOWGROUND_TOKEN=token)


async def _start(
    arguments: tuple[str, ...],
    cwd: Path | None,
    env: Mapping[str, str],
    stdin: IO[bytes] | None = None,
    source: str | None = None,
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *(("-m", "showground") if source is None else ("-c", source)),
        *arguments,
        cwd=cwd,
        env=dict(env),
        stdin=stdin or asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )


class Running:
    """A command that goes on until it is told to stop."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def documents(self) -> AsyncIterator[dict[str, Any]]:
        """What it prints under `--json`, line by line."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            yield json.loads(line)

    async def next(self, **wanted: object) -> dict[str, Any]:
        """The next document in which the fields of *wanted* are as given."""
        async with asyncio.timeout(PATIENCE_S):
            async for document in self.documents():
                if all(document.get(name) == value for name, value in wanted.items()):
                    return document
        raise AssertionError(f"it ended before it printed {wanted}: {await self.errors()}")

    async def says(self, words: str) -> str:
        """Wait for *words* on standard error; returns the line."""
        assert self.process.stderr is not None
        seen = []
        async with asyncio.timeout(PATIENCE_S):
            async for line in self.process.stderr:
                seen.append(line.decode())
                if words in seen[-1]:
                    return seen[-1]
        raise AssertionError(f"it ended before it said {words!r}:\n{''.join(seen)}")

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def running(
    *arguments: str, cwd: Path | None = None, source: str | None = None, **more: str
) -> AsyncIterator[Running]:
    """A command with *more* in its environment; or the program *source*, which gets its arguments."""
    process = await _start(arguments, cwd, environment(**more), source=source)
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
