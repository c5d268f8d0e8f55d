"""Counters and histograms for what happens thousands of times a second.

prometheus_client's own take a lock for each number and look labels up by a tuple of strings made anew: 1 µs for an invocation,
where these take 0.3 (2026-11-24). All of a host's are fed by its event loop, and read by whoever asks for the metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class CounterTally(Collector):
    """Counts by labels. Whoever feeds it bounds their number."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str]) -> None:
        self._name, self._meaning, self._labels = name, meaning, labels
        self.counts: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        counts = self.counts
        counts[labels] = counts.get(labels, 0.0) + amount

    def describe(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._meaning, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, count in list(self.counts.items()):
            family.add_metric(labels, count)
        return [family]


class SecondsTally(Collector):
    """A histogram by labels; *bounds* are the upper ends of its buckets in seconds, ascending, without infinity."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self._name, self._meaning, self._labels, self._bounds = name, meaning, labels, tuple(bounds)
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        self._ends = [*(str(bound) for bound in self._bounds), "+Inf"]

    def add(self, labels: Labels, seconds: float) -> None:
        buckets = self._buckets.get(labels)
        if buckets is None:
            buckets = self._buckets[labels] = [0] * (len(self._bounds) + 1)
            self._sums[labels] = 0.0
        buckets[bisect_left(self._bounds, seconds)] += 1
        self._sums[labels] += seconds

    def describe(self) -> Iterable[Metric]:
        return [HistogramMetricFamily(self._name, self._meaning, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, buckets in list(self._buckets.items()):
            family.add_metric(labels, _cumulated(self._ends, buckets), self._sums[labels])
        return [family]


def _cumulated(ends: Sequence[str], buckets: Sequence[int]) -> list[tuple[str, float]]:
    told, total = [], 0
    for end, count in zip(ends, buckets, strict=True):
        total += count
        told.append((end, float(total)))
    return told
