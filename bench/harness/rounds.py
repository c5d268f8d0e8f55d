"""Benchmarks, their rounds, and the ratios that are held against floors and targets."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from harness.processes import busy_s

Figures = Mapping[str, float]
"""Name → value, as measured in one round."""


@dataclass(frozen=True)
class Goal:
    """One row of the table. *ratio* is taken within a round, between things that were measured seconds apart."""

    row: str
    what: str
    ratio: Callable[[Figures], float]
    floor: float
    target: float
    low: bool = False
    """Less is better."""
    unit: str = ""

    def verdict(self, value: float) -> str:
        def reached(limit: float) -> bool:
            return value <= limit if self.low else value >= limit

        return "target" if reached(self.target) else "floor" if reached(self.floor) else "MISSED"


@dataclass(frozen=True)
class Scale:
    """How long everything takes: `--quick` shortens it."""

    folder: Path
    seconds: float = 2.0
    jobs: int = 5000
    presses: int = 120
    quick: bool = False


@dataclass(frozen=True)
class Benchmark:
    name: str
    about: str
    goals: Sequence[Goal]
    open: Callable[[Scale], AbstractContextManager[Callable[[], Figures]]]
    """Starts everything that is compared; what it gives runs one round."""


@dataclass
class Found:
    """All rounds of one benchmark."""

    benchmark: Benchmark
    rounds: list[Figures] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    error: str = ""

    def figure(self, name: str) -> list[float]:
        return [r[name] for r in self.rounds if name in r]

    def ratios(self, goal: Goal) -> list[float]:
        found = []
        for figures in self.rounds:
            try:
                found.append(goal.ratio(figures))
            except (KeyError, ZeroDivisionError):
                continue
        return found


def over(ours: str, theirs: str) -> Callable[[Figures], float]:
    return lambda figures: figures[ours] / figures[theirs]


def value(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name]


def measure(benchmark: Benchmark, scale: Scale, rounds: int) -> Found:
    """Run *rounds* rounds. What is missing or fails ends this benchmark only."""
    found = Found(benchmark)
    try:
        with benchmark.open(scale) as one_round:
            for number in range(rounds):
                began = time.monotonic()
                found.load.append(os.getloadavg()[0])
                found.rounds.append(dict(one_round()))
                took = time.monotonic() - began
                print(f"  {benchmark.name}: round {number + 1} of {rounds}, {took:.0f} s", file=sys.stderr, flush=True)
    except Exception as error:
        found.error = f"{type(error).__name__}: {error}"
        print(f"  {benchmark.name}: {found.error}", file=sys.stderr, flush=True)
    return found


def wait_for_quiet(longest_s: float = 3.0) -> None:
    """Wait until the machine is less than a quarter of a core busy, but not for ever."""
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline:
        before = busy_s()
        time.sleep(0.3)
        if (busy_s() - before) / 0.3 < 0.25:
            return


def middle(values: Sequence[float]) -> float:
    return median(values)
