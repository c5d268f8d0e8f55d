from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from showground.model import HostEvent
from showground.ops.metrics import BOUNDS, Metrics


def _fed() -> Metrics:
    metrics = Metrics("0.1.0")
    labels = {"app": "counter", "kind": "trigger", "outcome": "ok"}
    metrics.observe(HostEvent(name="invocation", at_ms=0, labels=labels, value=0.012))
    metrics.observe(HostEvent(name="delivery", at_ms=0, labels=labels, value=0.2))
    metrics.observe(HostEvent(name="delivery_waited", at_ms=0, labels={"kind": "job"}, value=2.0))
    metrics.observe(HostEvent(name="scheduler_lateness_s", at_ms=0, value=0.02))
    metrics.observe(HostEvent(name="dead_letters_dropped", at_ms=0, value=3.0))
    metrics.log_lines_dropped("counter", 5)
    metrics.gauge("showground_installations", "Installations of the deployment.", lambda: 4)
    metrics.gauge("showground_event_loop_lag_seconds", "Worst lateness of the loop within ten seconds.", lambda: 0.001)
    return metrics


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_events_become_counters_and_histograms() -> None:
    metrics = _fed()
    assert _value(metrics, "showground_invocations_total", app="counter", kind="trigger", outcome="ok") == 1
    assert _value(metrics, "showground_invocation_duration_seconds_sum", app="counter", kind="trigger") == 0.012
    assert _value(metrics, "showground_deliveries_total", app="counter", kind="trigger", outcome="ok") == 1
    assert _value(metrics, "showground_delivery_wait_seconds_sum", kind="job") == 2
    assert _value(metrics, "showground_host_events_total", event="dead_letters_dropped") == 3
    assert _value(metrics, "showground_installations") == 4


def test_two_hosts_in_one_process_do_not_share_metrics() -> None:
    _fed()
    assert _value(Metrics(), "showground_host_events_total", event="dead_letters_dropped") is None


def test_labels_are_bounded_however_many_apps_there_are() -> None:
    metrics = Metrics()
    for n in range(BOUNDS["app"] + 50):
        labels = {"app": f"app-{n}", "kind": "view", "outcome": "ok", "user": f"t2_{n}"}
        metrics.observe(HostEvent(name="invocation", at_ms=0, labels=labels, value=0.001))
    assert _value(metrics, "showground_invocations_total", app="other", kind="view", outcome="ok") == 50
    assert "t2_" not in metrics.exposition().decode()


def test_names_follow_the_rules_of_prometheus() -> None:
    """https://prometheus.io/docs/practices/naming/: base units, `_total` on counters and on nothing else, help for each."""
    families = list(text_string_to_metric_families(_fed().exposition().decode()))
    assert len(families) > 15
    for family in families:
        assert re.fullmatch(r"(showground|process)_[a-z0-9_]+", family.name)
        assert family.documentation
        assert not re.search(r"_(ms|milliseconds|us|minutes|hours|kb|mb)(_|$)", family.name)
        names = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert all(name.endswith(("_total", "_created")) for name in names)
        else:
            assert not any(name.endswith("_total") for name in names)
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_promtool_accepts_them() -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    checked = subprocess.run([tool, "check", "metrics"], input=_fed().exposition(), capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
