"""HTTP load from wrk: one thread, keep-alive, a fixed body, or bodies that a Lua script makes."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.work import Unavailable, which

BODY = json.dumps(
    {"post": {"id": "t3_1", "title": "A title of an ordinary length", "author": "t2_9"}, "score": 12, "tags": ["a"]}
)

_REPORT = """
done = function(summary, latency, requests)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("RESULT %d %d %d %.1f %.1f %d", summary.requests, summary.duration, bad,
    latency:percentile(50), latency:percentile(99), summary.errors.status))
end
"""


@dataclass(frozen=True)
class Load:
    per_s: float
    requests: int
    p50_ms: float
    p99_ms: float


def post_script(body: str, headers: dict[str, str]) -> str:
    """A Lua script that POSTs *body* again and again."""
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    return "\n".join(['wrk.method = "POST"', f"wrk.body = [==[{body}]==]", *lines])


def wrk(url: str, script: str, folder: Path, connections: int, seconds: float) -> Load:
    """Raises when a single request failed: a figure with errors in it measures something else."""
    file = folder / "load.lua"
    file.write_text(script + _REPORT)
    command = [
        which("wrk"),
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--latency",
        "-s",
        str(file),
        url,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", done.stdout)
    if found is None:
        raise Unavailable(f"wrk said: {done.stdout[-400:]} {done.stderr[-400:]}")
    requests, duration_us, bad, p50_us, p99_us, refused = (float(part) for part in found.groups())
    if bad or refused or not requests:
        raise RuntimeError(f"{url}: {bad:.0f} errors and {refused:.0f} refusals in {requests:.0f} requests")
    return Load(requests / duration_us * 1e6, int(requests), p50_us / 1000, p99_us / 1000)
