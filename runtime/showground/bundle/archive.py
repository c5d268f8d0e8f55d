"""A bundle's content, whether it comes as a folder or as a zip: its digest, a reproducible zip, and safe unpacking.

An archive is a stranger's input. Its names, sizes and kinds of entries are checked before and its real bytes are counted while
it is unpacked, into a folder that becomes visible only when all was well.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final

from showground.bundle.names import DEFAULT_LIMITS, ArchiveLimits, name_problems, printable
from showground.errors import Problem, ShowgroundError

IGNORED: Final = frozenset(
    {
        "__pycache__",
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "node_modules",
        ".DS_Store",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".idea",
        ".vscode",
        ".env",
        "Thumbs.db",
    }
)
"""Names that are never part of a bundle. `.env` is among them because it holds secrets."""
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can state; every entry gets it, so that equal content makes equal archives."""
CHUNK: Final = 64 * 1024
_FLAG_ENCRYPTED: Final = 0x1
_FLAG_UTF8: Final = 0x800


@dataclass(frozen=True, slots=True)
class Unpacked:
    digest: str
    files: int
    bytes: int


def digest(folder: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> str:
    """SHA-256, in hex, of the sorted paths and their bytes: the same for a folder and for any zip of it."""
    return _digest_of((name, folder / name) for name in content_files(folder, limits))


def content_files(folder: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> list[str]:
    """The bundle's files as sorted relative paths with `/`. Raises `bundle_invalid` naming each link, device or bad name."""
    problems: list[Problem] = []
    names: list[str] = []
    total = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f not in IGNORED]
        base = Path(place)
        for name in [f for f in folders if (base / f).is_symlink()]:
            problems.append(_not_a_file((base / name).relative_to(folder).as_posix()))
            folders.remove(name)
        for name in files:
            path = base / name
            relative = path.relative_to(folder).as_posix()
            if name in IGNORED or name.endswith(".pyc"):
                continue
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                problems.append(_not_a_file(relative))
                continue
            total += status.st_size
            if status.st_size > limits.file_bytes:
                problems.append(
                    Problem(relative, f"it has {status.st_size} bytes", f"The limit is {limits.file_bytes}.")
                )
            names.append(relative)
    problems += name_problems(names, limits)
    if total > limits.total_bytes:
        problems.append(Problem("", f"the bundle has {total} bytes", f"The limit is {limits.total_bytes}."))
    _refuse(problems)
    return sorted(names)


def pack(folder: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> tuple[bytes, str]:
    """A zip of the bundle in *folder*, and its digest; equal content gives equal bytes (with the same zlib)."""
    names = content_files(folder, limits)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in names:
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, (folder / name).read_bytes())
    return target.getvalue(), _digest_of((name, folder / name) for name in names)


def unpack(source: bytes | BinaryIO | Path, target: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Unpacked:
    """Unpack a zip (bytes, an open file or a path) into the new folder *target*, which appears whole or not at all.

    A path of a folder is copied under the same rules.

    Raises `bundle_invalid` with every bad entry in `details`, or `too_large` at the first limit that the bytes cross.
    Nothing is left behind then, and nothing was ever written outside of a temporary folder beside *target*.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise ShowgroundError("conflict", f"{target.name} exists already", "bundle")
    staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        if isinstance(source, Path) and source.is_dir():
            unpacked = _copy_into(source, staging, limits)
        else:
            unpacked = _unpack_into(io.BytesIO(source) if isinstance(source, bytes) else source, staging, limits)
        staging.chmod(0o755)
        os.rename(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return unpacked


def _copy_into(source: Path, staging: Path, limits: ArchiveLimits) -> Unpacked:
    names = content_files(source, limits)
    total = 0
    for name in names:
        path = staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with (source / name).open("rb") as origin, path.open("xb") as copy:
            shutil.copyfileobj(origin, copy, CHUNK)
        total += path.stat().st_size
    return Unpacked(_digest_of((name, staging / name) for name in names), len(names), total)


def _unpack_into(source: Path | BinaryIO, staging: Path, limits: ArchiveLimits) -> Unpacked:
    size = source.stat().st_size if isinstance(source, Path) else source.seek(0, os.SEEK_END)
    if size > limits.archive_bytes:
        raise ShowgroundError(
            "too_large", f"The archive has {size} bytes", "bundle", f"The limit is {limits.archive_bytes}."
        )
    try:
        with zipfile.ZipFile(source) as archive:
            entries = _checked_entries(archive, limits)
            total = 0
            for info in entries:
                total += _write(archive, info, staging / info.filename, limits, limits.total_bytes - total)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        struct.error,
        ValueError,
    ) as error:
        raise _bad(
            "", f"the archive is damaged or is no zip: {error}", "Make it again with `showground upload`."
        ) from error
    names = [info.filename for info in entries]
    return Unpacked(_digest_of((name, staging / name) for name in sorted(names)), len(names), total)


def _checked_entries(archive: zipfile.ZipFile, limits: ArchiveLimits) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > limits.files * 2:  # folders are entries, too
        raise ShowgroundError(
            "too_large", f"The archive has {len(infos)} entries", "bundle", f"At most {limits.files} files."
        )
    problems: list[Problem] = []
    for info in infos:
        problems += _entry_problems(info, limits)
    files = [info for info in infos if not info.filename.endswith("/")]
    problems += name_problems([info.orig_filename for info in files], limits)
    _refuse(problems)
    kept = [i for i in files if not IGNORED.intersection(i.filename.split("/")) and not i.filename.endswith(".pyc")]
    declared = sum(info.file_size for info in kept)
    if declared > limits.total_bytes:
        raise ShowgroundError(
            "too_large", f"The archive unpacks to {declared} bytes", "bundle", f"The limit is {limits.total_bytes}."
        )
    return kept


def _entry_problems(info: zipfile.ZipInfo, limits: ArchiveLimits) -> Iterator[Problem]:
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or ((kind == stat.S_IFDIR) != name.endswith("/") and kind):
        yield _not_a_file(name)
    if info.flag_bits & _FLAG_ENCRYPTED:
        yield Problem(name, "it is encrypted", "Pack it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield Problem(name, f"it is compressed by method {info.compress_type}", "Use DEFLATE or none.")
    if not info.flag_bits & _FLAG_UTF8 and not name.isascii():
        yield Problem(name, "its name is not marked as UTF-8", "Pack it with a current zip tool.")
    if name.endswith("/"):
        yield from name_problems([name.rstrip("/")], limits)
        if info.file_size:
            yield Problem(name, "it is a folder with content", "Pack the archive again.")
    if info.file_size > limits.file_bytes:
        yield Problem(name, f"it has {info.file_size} bytes", f"The limit is {limits.file_bytes}.")
    if info.file_size > CHUNK and info.file_size > max(1, info.compress_size) * limits.ratio:
        yield Problem(name, "it is compressed too well to be trusted", f"The ratio's limit is {limits.ratio}.")


def _write(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, limits: ArchiveLimits, room: int) -> int:
    """Write one file, counting real bytes, because a header may lie."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    most = min(info.file_size, limits.file_bytes, room)
    with archive.open(info) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK):
            written += len(chunk)
            if written > most:
                raise ShowgroundError("too_large", "It unpacks to more than it declares or may", info.filename)
            target.write(chunk)
    path.chmod(0o644)
    return written


def _digest_of(files: Iterable[tuple[str, Path]]) -> str:
    whole = hashlib.sha256()
    for name, path in files:
        encoded = name.encode()
        with path.open("rb") as file:
            content = _file_digest(file)
        whole.update(struct.pack(">I", len(encoded)) + encoded + content)
    return whole.hexdigest()


def _file_digest(file: IO[bytes]) -> bytes:
    found = hashlib.sha256()
    while chunk := file.read(CHUNK):
        found.update(chunk)
    return found.digest()


def _not_a_file(name: str) -> Problem:
    return Problem(
        printable(name), "it is a link, a device or something else that is no file", "Put a plain file there."
    )


def _bad(where: str, message: str, remedy: str) -> ShowgroundError:
    return ShowgroundError(
        "bundle_invalid", "The bundle cannot be unpacked", details=(Problem(where, message, remedy),)
    )


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise ShowgroundError("bundle_invalid", "The bundle's files have faults", details=tuple(problems[:100]))
