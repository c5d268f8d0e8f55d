"""`playtest`: an app in a community, renewed at each save, with its log."""

from __future__ import annotations

import json
import math
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from showground.bundle import archive
from showground.bundle.check import check_folder
from showground.bundle.manifest import FILE
from showground.bundle.schema import load_manifest
from showground.errors import ShowgroundError
from showground.hookspecs import Session

QUIET_MS = 300
"""Saves closer together than this are taken together: an editor writes several files, and some of them twice."""
FIRST_LOOK_MS = 1000
KEPT = 2
"""Playtest versions that stay: the one that runs, and the one that a rollback returns to."""
LOG_PAUSE_S = 1.0

PLAYTEST = re.compile(r"[-.]playtest\.(\d+)$")


@click.command(short_help="Install a folder again at each save.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("community", default="playground")
@click.pass_obj
def playtest(session: Session, folder: Path, community: str) -> None:
    """Install the bundle in FOLDER into COMMUNITY (playground), again at each save, and show its log, until Ctrl-C.

    Each save becomes a version of its own, such as 1.2.0-playtest.7, which never counts as the newest where a release is
    there. A save with faults changes nothing: they are told, and the last good version runs on. Open posts redraw themselves.
    """
    from watchfiles import watch  # a native module, which no other command needs

    rounds = Playtest(session, folder, community)
    rounds.say_what_runs()
    try:
        rounds.play()
        looks = watch(folder, debounce=QUIET_MS, step=50, rust_timeout=FIRST_LOOK_MS, yield_on_timeout=True)
        # The first look comes in any case, for a save between the first round and the start of the watch.
        for number, changes in enumerate(looks):
            if changes or number == 0 or rounds.unsettled:
                rounds.play()
    except KeyboardInterrupt:
        pass
    finally:
        rounds.say_goodbye()


class Playtest:
    """One session of `playtest`: what was tried last, what runs, and how to go back."""

    def __init__(self, session: Session, folder: Path, community: str) -> None:
        self._session = session
        self._folder = folder
        self._community = community
        self._tried = ""
        self._told = ""
        self._app = ""
        self._before: str | None = None
        self._made: list[str] = []
        self._running = ""
        self._following = False
        self.unsettled = False
        """Whether the last round failed for a reason that may pass by itself, such as a host that restarts."""

    def say_what_runs(self) -> None:
        """Remember the version that the playtest takes the place of."""
        try:
            self._app = load_manifest(self._folder).name
            self._before = self._session.get(self._path(self._app))["version"]
        except ShowgroundError as error:
            if error.code not in ("bundle_invalid", "not_found"):
                raise

    def play(self) -> None:
        """Check, upload and install what the folder holds now, unless that was tried already. Faults are told, not raised."""
        try:
            digest = archive.digest(self._folder)
            if digest == self._tried and not self.unsettled:
                return
            self._tried, self.unsettled = digest, False
            problems = check_folder(self._folder)
            if problems:
                raise ShowgroundError("bundle_invalid", "the bundle has faults", str(self._folder), details=problems)
            self._install()
        except FileNotFoundError:
            self.unsettled = True  # an editor took a file away, or put another in its place, while they were read
        except ShowgroundError as error:
            # What the bundle itself does to a worker, such as running into its deadline at import, would come again.
            self.unsettled = (error.kind.temporary and error.kind.fault == "system") or error.code == "conflict"
            if str(error) == self._told and self.unsettled:
                return
            self._told = str(error)
            still = f"\n{self._app} {self._running} runs on." if self._running else ""
            document = {"type": "faults", "running": self._running or None, **error.to_json()}
            self._session.show(document, f"Not installed: {error}{still}")

    def _install(self) -> None:
        began = time.monotonic()
        app, version = self._numbered()
        with renumbered(self._folder, version) as packed:
            self._session.post("/api/v1/apps", packed)
        self._made.append(version)
        self._session.put(self._path(app), {"version": version})
        self._app, self._running, self._told = app, version, ""
        self._drop_older(app)
        self._session.show(
            {"type": "installed", "app": app, "version": version, "community": self._community},
            f"{app} {version} runs in {self._community}",
        )
        if not self._following:
            self._following = True
            threading.Thread(target=self._follow, args=(app, began), name="playtest: log", daemon=True).start()

    def _numbered(self) -> tuple[str, str]:
        """The app's name, and a version that no upload has had yet."""
        manifest = load_manifest(self._folder)
        base = manifest.version.partition("+")[0]
        joint = "." if "-" in base else "-"
        try:
            known = self._session.get(f"/api/v1/apps/{manifest.name}")["versions"]
        except ShowgroundError as error:
            if error.code != "not_found":
                raise
            known = []
        numbers = [
            int(match[1])
            for version in (*(v["version"] for v in known), *self._made)
            if version.startswith(f"{base}{joint}playtest.") and (match := PLAYTEST.search(version))
        ]
        return manifest.name, f"{base}{joint}playtest.{max(numbers, default=0) + 1}"

    def _drop_older(self, app: str) -> None:
        """Delete what nothing returns to, so that an afternoon of saves leaves two versions and not two hundred."""
        while len(self._made) > KEPT:
            old = self._made.pop(0)
            with suppress(ShowgroundError):  # it runs in another community, too, or the host is away: then it stays
                self._session.delete(f"/api/v1/apps/{app}/versions/{old}")

    def _follow(self, app: str, began: float) -> None:
        """Show the app's log since *began*, a monotonic time; a host that is away is waited for."""
        last, shown = 0, set[str]()
        while True:
            try:
                since = 10 if last else math.ceil(time.monotonic() - began)
                for line in self._session.lines(f"{self._path(app)}/logs", follow=1, since=f"{since}s"):
                    if not line or line in shown:
                        continue
                    entry = json.loads(line)
                    if entry["at_ms"] < last:
                        continue
                    shown = shown | {line} if entry["at_ms"] == last else {line}
                    last = entry["at_ms"]
                    self._session.show({"type": "log", **entry}, f"  {entry['level']:<8} {entry['text']}")
            except (ShowgroundError, ValueError):
                pass
            time.sleep(LOG_PAUSE_S)

    def say_goodbye(self) -> None:
        if not self._running:
            return
        app, last = self._app, self._running
        back = f"showground install {self._community} {app}"
        if self._before is None:
            text = f"Next: showground upload {self._folder} && {back}, or showground uninstall {self._community} {app}"
        elif PLAYTEST.search(self._before):
            text = f"Back to the newest release: {back}"
        else:
            text = f"Back to what ran before: {back}@{self._before}"
        document = {"type": "end", "app": app, "version": last, "community": self._community, "before": self._before}
        self._session.show(document, f"{app} {last} stays in {self._community}. {text}")

    def _path(self, app: str) -> str:
        return f"/api/v1/communities/{self._community}/apps/{app}"


@contextmanager
def renumbered(folder: Path, version: str) -> Iterator[bytes]:
    """The packed bundle of *folder* under another version; the folder itself is left alone."""
    with tempfile.TemporaryDirectory(prefix="showground-playtest-") as scratch:
        copy = Path(scratch, "bundle")
        archive.unpack(folder, copy)
        manifest: dict[str, Any] = json.loads((copy / FILE).read_bytes())
        manifest["version"] = version
        (copy / FILE).write_text(json.dumps(manifest, indent=2, ensure_ascii=False), "utf-8")
        yield archive.pack(copy)[0]


COMMANDS: tuple[click.Command, ...] = (playtest,)
