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
        self._of_invocations: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        ProcessCollector(registry=self.registry)
        Gauge(
            "showground_build_info", "Always 1; the version is its label.", ["version"], registry=self.registry
        ).labels(version).set(1)
        self._invocations = Counter(
            "showground_invocations_total",
            "Calls of app code that ended, by outcome: `ok` or an error code.",
            ["app", "kind", "outcome"],
            registry=self.registry,
        )
        self._invocation_seconds = Histogram(
            "showground_invocation_duration_seconds",
            "From the call of app code to its answer.",
            ["app", "kind"],
            buckets=FAST_SECONDS,
            registry=self.registry,
        )
        self._deliveries = Counter(
            "showground_deliveries_total",
            "Attempts at deliveries of events and jobs that ended, by outcome.",
            ["app", "kind", "outcome"],
            registry=self.registry,
        )
        self._delivery_seconds = Histogram(
            "showground_delivery_duration_seconds",
            "One attempt at a delivery, from claim to answer.",
            ["kind"],
            buckets=FAST_SECONDS,
            registry=self.registry,
        )
        self._delivery_wait_seconds = Histogram(
            "showground_delivery_wait_seconds",
            "From when a delivery was due to its claim.",
            ["kind"],
            buckets=WAIT_SECONDS,
            registry=self.registry,
        )
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
                counter, histogram = self._of_invocation(event)
                counter.inc()
                histogram.observe(event.value)
            case "delivery":
                app, kind = self._label(event, "app"), self._label(event, "kind")
                self._deliveries.labels(app, kind, self._label(event, "outcome")).inc()
                self._delivery_seconds.labels(kind).observe(event.value)
            case "delivery_waited":
                self._delivery_wait_seconds.labels(self._label(event, "kind")).observe(max(0.0, event.value))
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

    def _of_invocation(self, event: HostEvent) -> tuple[Counter, Histogram]:
        """Kept, because finding them by their labels costs more than counting, and this is asked at every call."""
        labels = event.labels
        asked = labels.get("app", ""), labels.get("kind", ""), labels.get("outcome", "")
        kept = self._of_invocations.get(asked)
        if kept is None:
            app, kind, outcome = (self._label(event, name) for name in ("app", "kind", "outcome"))
            kept = self._invocations.labels(app, kind, outcome), self._invocation_seconds.labels(app, kind)
            if (app, kind, outcome) == asked:  # what counts as `other` would make this grow without bound
                self._of_invocations[asked] = kept
        return kept

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
