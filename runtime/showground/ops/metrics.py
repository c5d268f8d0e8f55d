"""Prometheus metrics, fed by the same `observe` hook that every plugin may implement.

Names have base units and end in `_total` or `_seconds`. Labels are bounded: app, kind, outcome, event; never a user, a post or
a community. A label that takes more values than its bound counts the rest as `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from showground.hookspecs import hookimpl
from showground.model import HostEvent
from showground.ops.tallies import CounterTally, SecondsTally

CONTENT_TYPE = CONTENT_TYPE_LATEST
FAST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
BOUNDS: Mapping[str, int] = {"app": 200, "kind": 20, "outcome": 50, "event": 200}
OTHER = "other"


class Metrics:
    """One registry per host, no global one; registered as a plugin called `metrics`."""

    def __init__(self, version: str = "") -> None:
        self.registry = CollectorRegistry()
        self._seen: dict[str, set[str]] = {name: set() for name in BOUNDS}
        ProcessCollector(registry=self.registry)
        Gauge(
            "showground_build_info", "Always 1; the version is its label.", ["version"], registry=self.registry
        ).labels(version).set(1)
        self._invocations = CounterTally(
            "showground_invocations_total",
            "Calls of app code that ended, by outcome: `ok` or an error code.",
            ["app", "kind", "outcome"],
        )
        self._invocation_seconds = SecondsTally(
            "showground_invocation_duration_seconds",
            "From the call of app code to its answer.",
            ["app", "kind"],
            FAST_SECONDS,
        )
        self._deliveries = CounterTally(
            "showground_deliveries_total",
            "Attempts at deliveries of events and jobs that ended, by outcome.",
            ["app", "kind", "outcome"],
        )
        self._delivery_seconds = SecondsTally(
            "showground_delivery_duration_seconds",
            "One attempt at a delivery, from claim to answer.",
            ["kind"],
            FAST_SECONDS,
        )
        self._delivery_wait_seconds = SecondsTally(
            "showground_delivery_wait_seconds", "From when a delivery was due to its claim.", ["kind"], WAIT_SECONDS
        )
        for tally in (
            self._invocations,
            self._invocation_seconds,
            self._deliveries,
            self._delivery_seconds,
            self._delivery_wait_seconds,
        ):
            self.registry.register(tally)
        self._scheduler_lateness_seconds = Histogram(
            "showground_scheduler_lateness_seconds",
            "From a slot's time to when it was enqueued.",
            buckets=WAIT_SECONDS,
            registry=self.registry,
        )
        self._log_lines_dropped = Counter(
            "showground_app_log_lines_dropped_total",
            "Lines that apps printed faster than they could be kept.",
            ["app"],
            registry=self.registry,
        )
        self._events = Counter(
            "showground_host_events_total",
            "Everything else that the host and its plugins report, by name: what was dropped, fenced, refused or lost.",
            ["event"],
            registry=self.registry,
        )

    @hookimpl
    def observe(self, event: HostEvent) -> None:
        match event.name:
            case "invocation":
                self._ended(event, self._invocations, self._invocation_seconds, of_app=True)
            case "delivery":
                self._ended(event, self._deliveries, self._delivery_seconds, of_app=False)
            case "delivery_waited":
                self._delivery_wait_seconds.add((self._label(event, "kind"),), max(0.0, event.value))
            case "scheduler_lateness_s":
                self._scheduler_lateness_seconds.observe(max(0.0, event.value))
            case _:
                self._events.labels(self._bounded("event", event.name)).inc(max(0.0, event.value))

    def log_lines_dropped(self, app: str, lines: int) -> None:
        """Count dropped log lines: what `AppLogs` takes as `on_drop`."""
        self._log_lines_dropped.labels(self._bounded("app", app)).inc(lines)

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A value that is read when somebody asks: `showground_installations`, `showground_event_loop_lag_seconds`."""
        Gauge(name, meaning, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """All of it in the text format 0.0.4 or what `CONTENT_TYPE` says."""
        return generate_latest(self.registry)

    def _ended(self, event: HostEvent, counter: CounterTally, seconds: SecondsTally, of_app: bool) -> None:
        labels = event.labels
        key = labels.get("app", ""), labels.get("kind", ""), labels.get("outcome", "")
        if key not in counter.counts:
            key = self._label(event, "app"), self._label(event, "kind"), self._label(event, "outcome")
        counter.add(key)
        seconds.add(key[:2] if of_app else key[1:2], event.value)

    def _label(self, event: HostEvent, name: str) -> str:
        return self._bounded(name, event.labels.get(name, ""))

    def _bounded(self, name: str, value: str) -> str:
        seen = self._seen[name]
        if value in seen:
            return value
        if len(seen) >= BOUNDS[name]:
            return OTHER
        seen.add(value)
        return value
