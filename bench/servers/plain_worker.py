"""The yardstick of a worker: a fresh Python that imports what a worker needs, loads the bundle, makes a loop and answers."""

import sys
from pathlib import Path

import uvloop

from showground.author.loading import load_bundle
from showground.worker import serving  # noqa: F401  # as every worker has it

bundle = load_bundle(Path(sys.argv[1]))


async def answer() -> None:
    sys.stdin.readline()
    print("ready", flush=True)
    sys.stdin.readline()  # stay until the end


uvloop.run(answer())
