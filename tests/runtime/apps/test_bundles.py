from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from showground.apps.bundles import BundleStore, version_order
from showground.apps.folders import Folders
from showground.bundle import archive
from showground.clock import SystemClock
from showground.errors import Problem, ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.model import AppVersion, Registration, TriggerSpec
from showground.redis.api import Redis

from .hosts import World, host


def _bundle(folder: Path, version: str = "1.0.0", content: str = "print('hi')", asset: bytes = b"") -> Path:
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    (folder / "app.json").write_text(f'{{"name": "counter", "version": "{version}"}}')
    (folder / "main.py").write_text(content)
    (folder / "assets" / "noise.bin").write_bytes(asset)
    return folder


class Checked:
    """What the supervisor and the plugins say, and how often they were asked."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.asked: list[AppVersion] = []

    async def check(self, folder: Path, app: AppVersion) -> Registration:
        assert (folder / app.entry).is_file()
        self.asked.append(app)
        return Registration(triggers=(TriggerSpec(event="PostCreate"),))

    def veto(self, app: AppVersion, registration: Registration) -> list[Problem]:
        return self.problems


Store = Callable[[str], BundleStore]


@pytest.fixture
def checked() -> Checked:
    return Checked()


@pytest.fixture
def store(redis: Redis, keys: KeySpace, tmp_path: Path, checked: Checked) -> Store:
    def make(host: str) -> BundleStore:
        folders = Folders(tmp_path / host / "bundles")
        return BundleStore(redis, keys, SystemClock(), folders, check=checked.check, veto=checked.veto)

    return make


async def _nowhere() -> list[str]:
    return []


async def test_what_one_host_stored_another_unpacks(store: Store, tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(2_500_000)
    a, b = store("a"), store("b")
    made = await a.put(_bundle(tmp_path / "src", asset=noise))
    folder = await b.folder(made.digest)
    assert (folder / "assets" / "noise.bin").read_bytes() == noise
    assert archive.digest(folder) == made.digest
    assert made.registration.trigger("PostCreate") is not None
    assert await b.get("counter") == made
    assert await b.apps() == ["counter"]


async def test_an_unpacked_bundle_is_read_only_and_mended_when_it_was_changed(store: Store, tmp_path: Path) -> None:
    made = await store("a").put(_bundle(tmp_path / "src"))
    folder = await store("b").folder(made.digest)
    assert not (folder / "main.py").stat().st_mode & 0o222
    assert not folder.stat().st_mode & 0o222
    (folder / "main.py").chmod(0o644)
    (folder / "main.py").write_text("import os; os.system('evil')")
    mended = await store("b").folder(made.digest)
    assert (mended / "main.py").read_text() == "print('hi')"
    assert [p.name for p in folder.parent.iterdir()] == [made.digest], "nothing is left beside it"


async def test_the_same_content_is_the_same_version_and_other_content_a_conflict(
    store: Store, tmp_path: Path, checked: Checked
) -> None:
    bundles = store("a")
    first = await bundles.put(_bundle(tmp_path / "src"))
    packed, _ = archive.pack(tmp_path / "src")
    assert await bundles.put(packed) == first
    assert len(checked.asked) == 1, "known content is not loaded again"
    with pytest.raises(ShowgroundError) as clash:
        await bundles.put(_bundle(tmp_path / "other", content="print('ho')"))
    assert clash.value.code == "conflict"
    assert await bundles.get("counter", "1.0.0") == first


async def test_of_two_hosts_that_upload_different_content_at_once_one_wins(store: Store, tmp_path: Path) -> None:
    results = await asyncio.gather(
        store("a").put(_bundle(tmp_path / "one", content="1")),
        store("b").put(_bundle(tmp_path / "two", content="2")),
        return_exceptions=True,
    )
    won = [r for r in results if isinstance(r, AppVersion)]
    lost = [r for r in results if isinstance(r, ShowgroundError)]
    assert len(won) == len(lost) == 1
    assert await store("c").get("counter") == won[0]


async def test_what_a_plugin_refuses_is_not_stored(
    store: Store, tmp_path: Path, checked: Checked, redis: Redis, keys: KeySpace
) -> None:
    checked.problems = [Problem("configure.greeter", "no plugin provides greeter", "Install one.")]
    with pytest.raises(ShowgroundError) as refused:
        await store("a").put(_bundle(tmp_path / "src"))
    assert refused.value.code == "bundle_invalid"
    assert refused.value.details == tuple(checked.problems)
    assert [key async for key in redis.scan(f"{keys.prefix}:*")] == []


async def test_the_newest_version_is_the_highest_not_the_last(store: Store, tmp_path: Path) -> None:
    bundles = store("a")
    for version, newest in (
        ("1.10.0-beta.2", "1.10.0-beta.2"),
        ("1.10.0-beta.10", "1.10.0-beta.10"),
        ("1.10.0", "1.10.0"),
        ("1.9.0", "1.10.0"),
        ("2.0.0-rc.1", "1.10.0"),
    ):
        await bundles.put(_bundle(tmp_path / version, version))
        assert (await bundles.get("counter")).version == newest
    listed = [s.version.version for s in await bundles.versions("counter")]
    assert listed == ["1.9.0", "1.10.0-beta.2", "1.10.0-beta.10", "1.10.0", "2.0.0-rc.1"]
    assert version_order("1.10.0") < version_order("1.10.0.1") < version_order("1.10.1")


async def test_a_version_that_is_installed_is_not_deleted(
    store: Store, tmp_path: Path, redis: Redis, keys: KeySpace
) -> None:
    bundles = store("a")
    made = await bundles.put(_bundle(tmp_path / "src"))
    answers = [[], ["counter:playground"]]  # it is installed between the two looks

    async def installed() -> list[str]:
        return answers.pop(0)

    with pytest.raises(ShowgroundError) as refused:
        await bundles.delete("counter", "1.0.0", installed)
    assert refused.value.code == "conflict"
    assert await bundles.get("counter", "1.0.0") == made
    await bundles.delete("counter", "1.0.0", _nowhere)
    assert await bundles.apps() == []
    assert 0 < await redis.call("TTL", keys.host("bundle", made.digest)) <= 3600
    assert await bundles.put(tmp_path / "src") == made, "and it may come again"
    assert await redis.call("TTL", keys.host("bundle", made.digest)) == -1


async def test_a_bundle_that_nobody_has_is_not_found(store: Store) -> None:
    for digest in ("0" * 64, "../../etc"):
        with pytest.raises(ShowgroundError) as missing:
            await store("a").folder(digest)
        assert missing.value.code == "not_found"


async def test_parts_of_an_upload_that_never_ended_expire_and_those_of_a_version_do_not(
    store: Store, tmp_path: Path, redis: Redis, keys: KeySpace
) -> None:
    bundles = store("a")
    made = await bundles.put(_bundle(tmp_path / "src"))
    orphan = keys.host("bundle", "0" * 64)
    await redis.call("HSET", orphan, "0", b"part")
    await redis.call("EXPIRE", keys.host("bundle", made.digest), 100)
    scratch = tmp_path / "a" / "bundles" / ".new.left"
    scratch.mkdir()
    os.utime(scratch, (0, 0))
    (tmp_path / "a" / "bundles" / ".new.ended").symlink_to(
        "as if its upload ended while the folders were looked through"
    )
    assert await bundles.sweep() == 1
    assert 0 < await redis.call("TTL", orphan) <= 3600
    assert await redis.call("TTL", keys.host("bundle", made.digest)) == -1
    assert not scratch.exists()


def test_processes_that_unpack_the_same_bundle_at_once_all_get_it_whole(tmp_path: Path) -> None:
    _bundle(tmp_path / "src", asset=random.Random(2).randbytes(400_000))
    packed, digest = archive.pack(tmp_path / "src")
    (tmp_path / "packed.zip").write_bytes(packed)
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from showground.apps.folders import Folders
        from showground.bundle import archive
        root, packed, digest = sys.argv[1:]
        folders = Folders(Path(root))
        folders.materialise(digest, Path(packed).read_bytes())
        assert archive.digest(folders.path(digest)) == digest
    """)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "bundles"), str(tmp_path / "packed.zip"), digest],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    assert [run.wait(timeout=30) for run in runs] == [0, 0, 0, 0]
    assert [p.name for p in (tmp_path / "bundles").iterdir()] == [digest]


async def test_an_install_and_a_deletion_of_one_version_at_once_never_both_succeed(
    store: Store, tmp_path: Path, redis: Redis, keys: KeySpace
) -> None:
    bundles = store("a")
    for attempt in range(10):
        made = await bundles.put(_bundle(tmp_path / f"src{attempt}", f"1.0.{attempt}"))
        world = World()
        async with host(redis, keys, world) as a:
            a.lifecycle._versions = bundles

            async def installed() -> Sequence[str]:
                return await a.installations.users(made.app, made.version)  # noqa: B023

            results = await asyncio.gather(
                a.lifecycle.install("playground", "counter", made.version),
                bundles.delete("counter", made.version, installed),
                return_exceptions=True,
            )
            deleted = results[1] is None
            there = a.installations.get(InstallationId("counter:playground"))
            if there is not None and there.version.version == made.version:
                assert not deleted
                assert await bundles.get("counter", made.version) == made
