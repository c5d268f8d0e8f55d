"""`showground serve`, but for its clock: `python -m chaos.host SETTINGS CLOCK`, where CLOCK is a file of `chaos.clock`."""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop

from chaos.clock import WrongClock
from showground.cli.serve import serve_until_stopped
from showground.errors import ShowgroundError
from showground.settings import load_settings


def main(settings: str, clock: str) -> int:
    try:
        return uvloop.run(serve_until_stopped(load_settings(Path(settings)), clock=WrongClock(Path(clock))))
    except ShowgroundError as error:
        print(f"the host gives up: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
