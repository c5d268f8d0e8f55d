"""A bundle's content is what counts, not how it was packed; and a hostile archive changes nothing on disk."""

from __future__ import annotations

import io
import os
import stat
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showground.bundle import archive
from showground.bundle.names import ArchiveLimits
from showground.errors import ShowgroundError

FILES = {"app.json": b'{"name": "x-y", "version": "1.0.0"}', "main.py": b"VALUE = 1\n", "assets/a/logo.svg": b"<svg/>"}


def make(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as out:
        for name, data in entries:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            info.compress_type = method
            out.writestr(info, data)
    return target.getvalue()


def test_the_digest_is_the_same_however_the_content_is_packed(tmp_path: Path) -> None:
    folder = make(tmp_path / "one", FILES)
    packed, digest = archive.pack(folder)
    other = zipped(*((name, FILES[name]) for name in reversed(FILES)), method=zipfile.ZIP_STORED)
    assert digest == archive.digest(folder)
    assert archive.unpack(packed, tmp_path / "two").digest == digest
    assert archive.unpack(other, tmp_path / "three").digest == digest
    assert archive.unpack(folder, tmp_path / "four").digest == digest
    assert {
        p.relative_to(tmp_path / "two").as_posix(): p.read_bytes() for p in (tmp_path / "two").rglob("*.*")
    } == FILES


def test_packing_twice_gives_equal_bytes_whatever_the_times_and_modes(tmp_path: Path) -> None:
    first = make(tmp_path / "one", FILES)
    second = make(tmp_path / "two", dict(reversed(FILES.items())))
    os.utime(second / "main.py", (1, 1))
    (second / "main.py").chmod(0o600)
    assert archive.pack(first) == archive.pack(second)


@pytest.mark.parametrize(
    "change",
    [{"main.py": b"VALUE = 2\n"}, {"mainx.py": b""}, {"main.p": b"yVALUE = 1\n"}, {"assets/a/b": b""}],
    ids=["a byte", "a file", "a name", "an empty file"],
)
def test_any_change_of_content_changes_the_digest(tmp_path: Path, change: dict[str, bytes]) -> None:
    folder = make(tmp_path / "one", FILES)
    assert archive.digest(folder) != archive.digest(make(tmp_path / "two", {**FILES, **change}))


def test_leftovers_of_tools_are_no_content(tmp_path: Path) -> None:
    clean = archive.digest(make(tmp_path / "one", FILES))
    extra = {"__pycache__/main.pyc": b"x", ".git/config": b"x", ".env": b"SECRET=1", "old.pyc": b"x"}
    littered = make(tmp_path / "two", {**FILES, **extra})
    assert archive.digest(littered) == clean
    names = [*FILES.items(), *extra.items()]
    archive.unpack(zipped(*names), tmp_path / "three")
    assert not (tmp_path / "three/.env").exists()
    assert archive.digest(tmp_path / "three") == clean


def link(name: str, to: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, to.encode()


def device(name: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFCHR | 0o666) << 16
    return info, b""


def renamed(good: bytes, bad: bytes) -> bytes:
    """An archive whose name was replaced after zipfile had cleaned it."""
    data = zipped((good.decode(), b"x"))
    assert len(good) == len(bad)
    return data.replace(good, bad)


ATTACKS: dict[str, Callable[[], bytes]] = {
    "parent": lambda: zipped(("../evil.py", b"x")),
    "parent inside": lambda: zipped(("a/../../evil.py", b"x")),
    "absolute": lambda: renamed(b"Xetc/evil.py", b"/etc/evil.py"),
    "drive": lambda: zipped(("C:/evil.py", b"x")),
    "backslash": lambda: zipped(("a\\..\\evil.py", b"x")),
    "dot": lambda: zipped(("./main.py", b"x")),
    "empty part": lambda: zipped(("a//main.py", b"x")),
    "nul": lambda: renamed(b"main.pyX.txt", b"main.py\0.txt"),
    "newline": lambda: zipped(("main\n.py", b"x")),
    "bidi override": lambda: zipped(("main\u202eyp.txt", b"x")),
    "not utf-8": lambda: renamed(b"mainXXX.py", b"main\xff\xfeX.py"),
    "symbolic link": lambda: zipped(link("assets/all", "/etc")),
    "link, then a file through it": lambda: zipped(link("d", "/tmp"), ("d/evil", b"x")),
    "device": lambda: zipped(device("assets/null")),
    "same name twice": lambda: zipped(("mainA.py", b"1"), ("mainB.py", b"2")).replace(b"mainB", b"mainA"),
    "names that differ by case": lambda: zipped(("Main.py", b"1"), ("main.py", b"2")),
    "folders that differ by case": lambda: zipped(("Lib/a.py", b"1"), ("lib/b.py", b"2")),
    "names that differ by composition": lambda: zipped(("caf\u00e9.py", b"1"), ("cafe\u0301.py", b"2")),
    "a file that is a folder": lambda: zipped(("a", b"1"), ("a/b.py", b"2")),
    "windows device": lambda: zipped(("aux.py", b"x")),
    "trailing dot": lambda: zipped(("main.py.", b"x")),
    "long path": lambda: zipped(("a/" * 20 + "x.py", b"x")),
    "long name": lambda: zipped(("x" * 300, b"x")),
    "bomb": lambda: zipped(("zeros", bytes(30_000_000))),
    "no zip": lambda: b"PK\x03\x04 but nothing else",
    "empty": lambda: b"",
    "truncated": lambda: zipped(("main.py", os.urandom(5000)))[:-30],
    "wrong checksum": lambda: zipped(("main.py", b"hello, hello"), method=zipfile.ZIP_STORED).replace(
        b"hello, ", b"hallo, "
    ),
    "unusual compression": lambda: zipped(("main.py", b"x" * 100), method=zipfile.ZIP_LZMA),
    "encrypted": lambda: zipped(("main.py", b"x")).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "too many files": lambda: zipped(*((f"f{i}", b"") for i in range(2001))),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_archive_is_refused_and_leaves_nothing_behind(tmp_path: Path, attack: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(ShowgroundError) as refused:
        archive.unpack(ATTACKS[attack](), place / "bundle")
    assert refused.value.code in ("bundle_invalid", "too_large")
    assert refused.value.code == "too_large" or refused.value.details
    assert list(place.iterdir()) == []
    assert list(tmp_path.iterdir()) == [place]


def test_every_bad_entry_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ShowgroundError) as refused:
        archive.unpack(zipped(("../a", b""), ("b\\c", b""), link("d", "/etc"), ("fine.py", b"")), tmp_path / "x")
    assert [p.where for p in refused.value.details] == ["d", "../a", "b\\c"]


def test_a_header_that_lies_about_the_size_does_not_get_its_bytes_written(tmp_path: Path) -> None:
    data = os.urandom(1000)
    honest = zipped(("main.py", data), method=zipfile.ZIP_STORED)
    lying = honest.replace((1000).to_bytes(4, "little") * 2, (1000).to_bytes(4, "little") + (10).to_bytes(4, "little"))
    assert lying != honest
    with pytest.raises(ShowgroundError):
        archive.unpack(lying, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_sizes_are_bounded_for_folders_and_archives_alike(tmp_path: Path) -> None:
    folder = make(tmp_path / "one", {"a": b"x" * 600, "b": b"y" * 600})
    packed, _ = archive.pack(folder)
    for limits in (ArchiveLimits(total_bytes=1000), ArchiveLimits(file_bytes=500), ArchiveLimits(files=1)):
        with pytest.raises(ShowgroundError):
            archive.unpack(packed, tmp_path / "two", limits)
        with pytest.raises(ShowgroundError):
            archive.digest(folder, limits)
    with pytest.raises(ShowgroundError, match="archive has"):
        archive.unpack(packed, tmp_path / "two", ArchiveLimits(archive_bytes=10))
    assert not (tmp_path / "two").exists()


def test_links_in_a_folder_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "one", FILES)
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "etc").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    with pytest.raises(ShowgroundError) as refused:
        archive.pack(folder)
    assert {p.where for p in refused.value.details} == {"passwd", "etc", "pipe"}


def test_an_existing_folder_is_never_unpacked_into(tmp_path: Path) -> None:
    packed, _ = archive.pack(make(tmp_path / "one", FILES))
    with pytest.raises(ShowgroundError, match="exists already"):
        archive.unpack(packed, tmp_path / "one")


@given(st.data())
@settings(max_examples=150)
def test_a_damaged_archive_unpacks_to_what_it_says_or_is_refused(data: st.DataObject) -> None:
    entries = data.draw(
        st.lists(st.tuples(st.text("ab./\\é\0", min_size=1, max_size=8), st.binary(max_size=40)), max_size=4)
    )
    packed = bytearray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed[:] = zipped(*entries)
    for _ in range(data.draw(st.integers(0, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as place:
        target = Path(place, "inner", "bundle")
        try:
            unpacked = archive.unpack(bytes(packed), target)
        except ShowgroundError:
            assert list(target.parent.iterdir()) == []
        else:
            assert archive.digest(target) == unpacked.digest
            assert list(target.parent.iterdir()) == [target]
        assert os.listdir(place) == ["inner"]
