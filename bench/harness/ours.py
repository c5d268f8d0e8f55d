"""A real host in a process of its own, started as an operator starts it, with the benchmark's bundle installed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import processes
from harness.work import BUNDLE

COMMUNITY = "bench"
APP = "bench-app"


@dataclass(frozen=True)
class Host:
    url: str
    token: str
    process: subprocess.Popen[bytes]
    data_dir: Path

    def call(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path,
            data=data,
            method=method,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": content_type},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else None

    def invoke(self, event: str, payload: object, app: str = APP) -> Any:
        return self.call("POST", self.path(event, app), payload)

    @staticmethod
    def path(event: str, app: str = APP) -> str:
        return f"/api/v1/communities/{COMMUNITY}/apps/{app}/invoke/{event}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    def install(self, folder: Path = BUNDLE, name: str = APP) -> None:
        self.call("POST", "/api/v1/apps", zipped(folder, name), "application/zip")
        self.call("PUT", f"/api/v1/communities/{COMMUNITY}/apps/{name}", {})

    def tree(self) -> dict[str, list[int]]:
        """Process ids by what they are: the host, its Redis, the zygote, workers."""
        found: dict[str, list[int]] = {"host": [self.process.pid], "redis": [], "zygote": [], "workers": []}
        for child in processes.children(self.process.pid):
            if "valkey" in processes.command_line(child) or "redis-server" in processes.command_line(child):
                found["redis"].append(child)
            else:
                found["zygote"].append(child)
                found["workers"] += processes.children(child)
        return found


def zipped(folder: Path, name: str) -> bytes:
    """The bundle in *folder* as an upload, under another *name*."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            data = file.read_bytes()
            if file.name == "app.json":
                data = json.dumps({**json.loads(data), "name": name}).encode()
            archive.writestr(file.relative_to(folder).as_posix(), data)
    return out.getvalue()


@contextmanager
def host(
    folder: Path,
    isolation: str = "process",
    sections: Mapping[str, Mapping[str, object]] | None = None,
    name: str = "host",
) -> Iterator[Host]:
    """`showground serve` with an embedded Redis (append-only file, fsync each second), logs at warning."""
    data_dir = folder / name
    settings = folder / f"{name}.toml"
    settings.write_text(toml({"logs": {"level": "warning"}, **(sections or {})}))
    log = folder / f"{name}.log"
    command = [sys.executable, "-m", "showground", "--data-dir", str(data_dir), "serve", "--port", "0"]
    command += ["--isolation", isolation, "--settings", str(settings)]
    with processes.process(command, log, cwd=folder) as child:
        file = data_dir / "host.json"
        deadline = time.monotonic() + processes.PATIENCE_S
        while not file.exists():
            if child.poll() is not None or time.monotonic() > deadline:
                raise processes.NotReady(f"the host did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        told = json.loads(file.read_text())
        made = Host(told["url"], told["token"], child, data_dir)
        made.install()
        yield made


def toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    return "\n".join(
        f"[{section}]\n" + "\n".join(f"{name} = {json.dumps(value)}" for name, value in fields.items())
        for section, fields in sections.items()
    )
