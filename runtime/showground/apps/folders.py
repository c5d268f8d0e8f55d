"""Unpacked bundles on this machine: `<data_dir>/bundles/<digest>/`, made once, verified, read-only, shared by every process.

A folder appears under its name by one rename, so it is complete or not there. Two processes that unpack the same bundle at
once each do it aside; the second finds the name taken and throws its own away.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from showground.bundle import archive
from showground.bundle.manifest import Manifest, manifest_bytes
from showground.bundle.schema import check_manifest, load_manifest
from showground.errors import ShowgroundError

log = logging.getLogger("showground.apps.folders")


LEFT_BEHIND_S = 3600.0


class Folders:
    """Blocking, because files are: call from a thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._verified: set[str] = set()

    def path(self, digest: str) -> Path:
        """Where the bundle of *digest* is, or will be. Raises `not_found` for what is no digest."""
        if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
            raise ShowgroundError("not_found", "that is no digest of a bundle", "digest")
        return self._root / digest

    def ready(self, digest: str) -> bool:
        """Whether this process has seen the folder complete and unchanged; a look into memory, so it never blocks."""
        return digest in self._verified

    def adopt(self, source: bytes | Path) -> tuple[str, Manifest, bytes]:
        """Take a bundle in: its digest, its manifest, and its packed form for the store. Raises `bundle_invalid`, `too_large`."""
        with self._aside() as scratch:
            folder = scratch / "bundle"
            archive.unpack(source, folder)
            check_manifest(manifest_bytes(folder))
            manifest = load_manifest(folder)
            packed, digest = archive.pack(folder)
            self._settle(digest, folder)
        return digest, manifest, packed

    def materialise(self, digest: str, packed: bytes) -> None:
        """Make the folder of *digest* from its packed form, unless it is there already and unchanged."""
        path = self.path(digest)
        if path.is_dir():
            if archive.digest(path) == digest:
                self._verified.add(digest)
                return
            # Somebody changed a file, or a disk did. Out of the way first: a worker may still have it open.
            log.error("the bundle in %s does not match its name and is made again", path)
            self._discard(path)
        with self._aside() as scratch:
            folder = scratch / "bundle"
            if archive.unpack(packed, folder).digest != digest:
                raise ShowgroundError(
                    "internal", f"the stored bundle {digest[:12]} does not match its digest", digest, "Upload it again."
                )
            self._settle(digest, folder)

    def tidy(self, now_s: float) -> None:
        """Remove what processes that were killed in the middle of unpacking left behind an hour ago or earlier."""
        if not self._root.is_dir():
            return
        for entry in self._root.iterdir():
            if not entry.name.startswith("."):
                continue
            with suppress(FileNotFoundError):  # an upload that ends just now takes its own away
                if now_s - entry.stat().st_mtime > LEFT_BEHIND_S:
                    _remove(entry)

    def _settle(self, digest: str, folder: Path) -> None:
        _make_read_only(folder)
        path = self.path(digest)
        # Renaming a read-only folder is allowed only within one parent.
        beside = self._root / f".{digest}.{secrets.token_hex(8)}"
        folder.chmod(0o755)
        folder.rename(beside)
        beside.chmod(0o555)
        try:
            beside.rename(path)
        except OSError:
            if not path.is_dir():
                raise
            _remove(beside)
        self._verified.add(digest)

    def _discard(self, path: Path) -> None:
        grave = self._root / f".broken.{secrets.token_hex(8)}"
        path.rename(grave)
        _remove(grave)

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
        scratch = self._root / f".new.{secrets.token_hex(8)}"
        scratch.mkdir(mode=0o700)
        try:
            yield scratch
        finally:
            _remove(scratch)


def _make_read_only(folder: Path) -> None:
    for parent, folders, files in os.walk(folder):
        for name in files:
            os.chmod(os.path.join(parent, name), 0o444)
        for name in folders:
            os.chmod(os.path.join(parent, name), 0o555)  # noqa: S103 - workers run as other users and must read it


def _remove(folder: Path) -> None:
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
