"""What is done to the system, and when: a function of the seed alone, so that a run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "kill host", "freeze host", "stop host", "kill worker", "kill zygote", "kill redis", "freeze redis", "redis away",
    "kill all", "cut line",
    "slow line", "upgrade app", "reinstall app",
]  # fmt: skip

KINDS: tuple[Kind, ...] = get_args(Kind)
WEIGHT: dict[Kind, int] = {
    "kill host": 4, "freeze host": 3, "stop host": 2, "kill worker": 5, "kill zygote": 3, "kill redis": 3, "freeze redis": 3,
    "redis away": 1, "kill all": 1,
    "cut line": 5, "slow line": 3, "upgrade app": 3, "reinstall app": 1,
}  # fmt: skip


LONG: tuple[Kind, ...] = ("redis away", "freeze redis", "kill all")
"""These take longer than all the rest of a short run."""


@dataclass(frozen=True, slots=True)
class Fault:
    at_s: float
    """Since the load began."""
    kind: Kind
    host: int
    """Which host, where it concerns one: a number to be taken modulo those that can be disturbed."""
    lasts_s: float


def plan(seed: int, seconds: float, hosts: int) -> list[Fault]:
    """Each kind once, in random order, as far as the time reaches; then more at random. Faults overlap."""
    rng = random.Random(seed)
    first = rng.sample(KINDS, len(KINDS))
    is_short = seconds < 60
    if is_short:
        first = [kind for kind in first if kind not in LONG]
    faults: list[Fault] = []
    at = 1.0 if is_short else 2.0
    while at < seconds - 3.0:
        kind = (
            first.pop() if first else rng.choices(KINDS, [0 if k in LONG and is_short else WEIGHT[k] for k in KINDS])[0]
        )
        faults.append(Fault(at, kind, rng.randrange(hosts), _duration(rng, kind)))
        at += rng.uniform(0.3, 0.9) if is_short else rng.uniform(0.8, 3.0)
    return faults


def _duration(rng: random.Random, kind: Kind) -> float:
    match kind:
        case "freeze host":
            return rng.uniform(3.5, 6.0)  # the lease is 3 s
        case "freeze redis":
            return rng.uniform(1.0, 6.0)  # hosts give a command 3 s, and cut a silent connection after 6
        case "redis away":
            return 9.0  # the limit of /readyz is 5 s
        case "kill redis":
            return rng.uniform(0.1, 1.5)
        case "slow line":
            return rng.uniform(2.0, 5.0)
        case _:
            return rng.uniform(0.2, 3.0)
