"""Where benchmarks live and what they need from outside: peers in environments of their own, never in the project's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent
WORK = BENCH / ".work"
RESULTS = BENCH / "results"
SERVERS = BENCH / "servers"
BUNDLE = BENCH / "bundle"
PEERS = WORK / "venv"
PEERS_PYTHON = PEERS / "bin" / "python"
SHIPPED = WORK / "shipped"
"""functions-framework with only what it brings: where uvloop and httptools are, its server takes them and is three times as fast."""
NODE_MODULES = WORK / "node_modules"

PYTHON_PEERS = (
    "aiohttp", "uvloop", "msgspec", "functions-framework", "gunicorn", "uvicorn[standard]", "fastapi",
    "arq", "celery", "apscheduler", "redis", "hiredis", "nicegui", "reactpy", "playwright",
)  # fmt: skip
NODE_PEERS = ("workerd", "ws", "socket.io")


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
    if not (PEERS / "complete").exists():
        print("installing the peers into bench/.work …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(PEERS_PYTHON), "-m", "pip", "install", "-q", *PYTHON_PEERS], check=True)
        subprocess.run([sys.executable, "-m", "venv", str(SHIPPED)], check=True)
        subprocess.run(
            [str(SHIPPED / "bin" / "python"), "-m", "pip", "install", "-q", "functions-framework"], check=True
        )
        (PEERS / "complete").touch()
    if shutil.which("npm") and not all((NODE_MODULES / name).exists() for name in NODE_PEERS):
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
    asked = "import importlib.metadata as m, sys\nfor n in sys.argv[1:]: print(n, m.version(n.split('[')[0]))"
    listed = subprocess.run(
        [str(PEERS_PYTHON), "-c", asked, *PYTHON_PEERS], capture_output=True, text=True, check=False
    )
    versions = dict(line.split() for line in listed.stdout.splitlines())
    for name in NODE_PEERS:
        package = NODE_MODULES / name / "package.json"
        if package.exists():
            versions[name] = next(
                line.split('"')[3] for line in package.read_text().splitlines() if line.strip().startswith('"version"')
            )
    return versions
