"""Where benchmarks live and what they need from outside: peers in environments of their own, never in the project's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BENCH = Path(__file__).parent.parent
WORK = BENCH / ".work"
RESULTS = BENCH / "results"
SERVERS = BENCH / "servers"
BUNDLE = BENCH / "bundle"
PEERS = WORK / "venv"
PEERS_PYTHON = PEERS / "bin" / "python"
SHIPPED = WORK / "shipped"
CELERY = WORK / "celery"
REACTPY = WORK / "reactpy"
NODE_MODULES = WORK / "node_modules"

ENVIRONMENTS: Mapping[Path, tuple[str, ...]] = {
    PEERS: (
        "aiohttp==3.14.5", "uvloop==0.23.0", "msgspec==0.22.0", "functions-framework==3.10.2", "uvicorn[standard]==0.54.0",
        "fastapi==0.165.0", "arq==0.28.0", "hiredis==3.5.0", "apscheduler==3.11.3", "nicegui==3.18.0",
        "playwright==1.65.2",
    ),
    # with only what it brings: beside uvloop and httptools its server takes them, and is three times as fast
    SHIPPED: ("functions-framework==3.10.2",),
    # arq holds redis-py below 6, celery wants it above
    CELERY: ("celery[redis]==5.7.0",),
    # its last release speaks to Starlette before 1.0
    REACTPY: ("reactpy==1.1.0", "starlette==0.46.2", "uvicorn[standard]==0.54.0"),
}  # fmt: skip
NODE_PEERS = ("workerd@1.20261117.1", "ws@8.23.0", "socket.io@4.8.4")


class Unavailable(RuntimeError):
    """Something from outside is missing; the rows that need it are left out, and the table says so."""


def which(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not installed (on Debian: apt-get install {name})")
    return found


def set_up() -> None:
    """Install what is missing, once: peers from PyPI and npm into bench/.work, wrk from Debian where we may."""
    WORK.mkdir(exist_ok=True)
    for folder, packages in ENVIRONMENTS.items():
        done = folder / "complete"
        if done.exists() and done.read_text() == " ".join(packages):
            continue
        print(f"installing {', '.join(packages)} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", *packages], check=True)
        done.write_text(" ".join(packages))
    if shutil.which("npm") and not all((NODE_MODULES / name.partition("@")[0]).exists() for name in NODE_PEERS):
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(WORK), *NODE_PEERS], check=True
        )
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for step in (["update", "-qq"], ["install", "-y", "-qq", "wrk"]):
            subprocess.run(
                ["apt-get", *step],
                check=False,
                capture_output=True,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )


def peer_versions() -> dict[str, str]:
    """Name → version of everything that runs beside us."""
    pinned = (package for packages in ENVIRONMENTS.values() for package in packages)
    versions = dict(sorted(package.split("==") for package in pinned))
    return versions | dict(sorted(package.split("@") for package in NODE_PEERS))
