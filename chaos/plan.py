"""What is done to the system, and when: a function of the seed alone, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Deployment = Literal["single", "sentinel", "cluster"]
"""Which Redis the hosts are on: one server, one that Sentinels watch with a replica of it, or three primaries with replicas."""

Kind = Literal[
    "kill host", "freeze host", "stop host", "kill worker", "kill zygote", "clock jump",
    "upgrade app", "reinstall app", "fill quota",
    "cut line", "slow line", "kill redis", "freeze redis", "redis away", "kill all", "disk full",
    "fail over", "kill primary", "move slots",
]  # fmt: skip

WEIGHT: dict[Kind, int] = {
    "kill host": 4, "freeze host": 3, "stop host": 2, "kill worker": 5, "kill zygote": 3, "clock jump": 4,
    "upgrade app": 3, "reinstall app": 1, "fill quota": 1,
    "cut line": 5, "slow line": 3, "kill redis": 3, "freeze redis": 3, "redis away": 1, "kill all": 1, "disk full": 2,
    "fail over": 4, "kill primary": 3, "move slots": 8,
}  # fmt: skip
EVERYWHERE: tuple[Kind, ...] = (
    "kill host", "freeze host", "stop host", "kill worker", "kill zygote", "clock jump",
    "upgrade app", "reinstall app", "fill quota",
)  # fmt: skip
KINDS: dict[Deployment, tuple[Kind, ...]] = {
    "single": (
        *EVERYWHERE, "cut line", "slow line", "kill redis", "freeze redis", "redis away", "kill all", "disk full",
    ),
    "sentinel": (*EVERYWHERE, "fail over", "kill primary"),
    "cluster": (*EVERYWHERE, "fail over", "kill primary", "move slots"),
}  # fmt: skip
"""Hosts learn the addresses of Sentinel and cluster by themselves, so there is no line to them that could be cut."""

LONG: tuple[Kind, ...] = ("redis away", "freeze redis", "kill all", "disk full")
"""These take longer than all the rest of a short run."""


@dataclass(frozen=True, slots=True)
class Fault:
    at_s: float
    """Since the load began."""
    kind: Kind
    host: int
    """Which host, where it concerns one: a number to be taken modulo those that can be disturbed."""
    lasts_s: float
    shift_s: float = 0.0
    """By how much a clock is put forward, or back."""


def plan(seed: int, seconds: float, hosts: int, kinds: Sequence[Kind] = KINDS["single"]) -> list[Fault]:
    """Each of *kinds* once, in random order, as far as the time reaches; then more at random. Faults overlap."""
    rng = random.Random(seed)
    is_short = seconds < 60
    kinds = [kind for kind in kinds if kind not in LONG or not is_short]
    first = rng.sample(kinds, len(kinds))
    weights = [WEIGHT[kind] for kind in kinds]
    faults: list[Fault] = []
    at = 1.0 if is_short else 2.0
    while at < seconds - 3.0:
        kind = first.pop() if first else rng.choices(kinds, weights)[0]
        faults.append(Fault(at, kind, rng.randrange(hosts), _duration(rng, kind), _shift(rng)))
        at += rng.uniform(0.3, 0.9) if is_short else rng.uniform(0.8, 3.0)
    return faults


def _shift(rng: random.Random) -> float:
    """Seconds to several minutes, either way."""
    return rng.choice((-1, 1)) * rng.choice((rng.uniform(1, 10), rng.uniform(50, 70), rng.uniform(100, 600)))


def _duration(rng: random.Random, kind: Kind) -> float:
    match kind:
        case "freeze host":
            return rng.uniform(3.5, 6.0)  # the lease is 3 s
        case "freeze redis":
            return rng.uniform(1.0, 6.0)  # hosts give a command 3 s, and cut a silent connection after 6
        case "redis away":
            return 9.0  # the limit of /readyz is 5 s
        case "disk full":
            return rng.uniform(2.0, 9.0)
        case "kill redis":
            return rng.uniform(0.1, 1.5)
        case "slow line":
            return rng.uniform(2.0, 5.0)
        case "clock jump":
            return rng.uniform(1.0, 8.0)
        case _:
            return rng.uniform(0.2, 3.0)
