"""`showground check` says everything at once, with file, line and remedy, without running the code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from showground.bundle.check import check_folder

MANIFEST = {"name": "case", "version": "1.0.0"}


def bundle(folder: Path, code: str, manifest: object = MANIFEST, **files: str) -> Path:
    folder.mkdir()
    (folder / "app.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    (folder / "main.py").write_text(code)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


GOOD = """
from showground import Devvit, use_channel

Devvit.configure(redis=True, realtime=True)

@Devvit.add_trigger("AppInstall")
async def install(event, context):
    await context.redis.set("a", "1")
    await context.scheduler.run_job(name="tick", cron="*/5 * * * *", timezone="Europe/Rome")

@Devvit.add_scheduler_job("tick")
async def tick(event, context):
    await context.realtime.send("events", {})
"""


def test_a_sound_bundle_has_no_problems(tmp_path: Path) -> None:
    assert check_folder(bundle(tmp_path / "a", GOOD)) == []


CODE = {
    "redis without configure": (
        "async def f(event, context):\n  await context.redis.get('a')\n",
        "main.py:2",
        "redis was not configured",
    ),
    "cache needs redis": ("def f(context): context.cache\n", "main.py:1", "context.cache is used, but redis"),
    "redis switched off": (
        "Devvit.configure(redis=False)\ndef f(context): context.redis\n",
        "main.py:2",
        "redis was not configured",
    ),
    "use_channel without configure": (
        "def f(context):\n  use_channel(name='a')\n",
        "main.py:2",
        "realtime was not configured",
    ),
    "send without configure": ("def f(c):\n  c.realtime.send('a', 1)\n", "main.py:2", "realtime was not configured"),
    "fetch without configure": (
        "def f(context): context.fetch('https://x.example')\n",
        "main.py:1",
        "http was not configured",
    ),
    "bad channel name": (
        "Devvit.configure(realtime=True)\nuse_channel(name='a b')\n",
        "main.py:2",
        "'a b' is no channel name",
    ),
    "sixth channel": (
        "Devvit.configure(realtime=True)\n" + "".join(f"use_channel(name='c{i}')\n" for i in range(6)),
        "main.py:7",
        "c5 is the sixth",
    ),
    "unknown job": (
        "Devvit.add_scheduler_job('tick', on_run=f)\nrun_job(name='tik', cron='* * * * *')\n",
        "main.py:2",
        "Job tik not found",
    ),
    "bad cron": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron='61 * * * *')\n",
        "main.py:2",
        "Invalid crontab",
    ),
    "cron of four fields": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron='* * * *')\n",
        "main.py:2",
        "Invalid crontab",
    ),
    "cron that only croniter takes": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron='5/10 * * * *')\n",
        "main.py:2",
        "Invalid crontab",
    ),
    "cron with L": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron='0 0 L * *')\n",
        "main.py:2",
        "Invalid crontab",
    ),
    "cron that never fires": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron='0 0 30 2 *')\n",
        "main.py:2",
        "Invalid crontab",
    ),
    "unknown time zone": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron='* * * * *', timezone='Mars/X')\n",
        "main.py:2",
        "no time zone",
    ),
    "both times": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron='* * * * *', run_at=1)\n",
        "main.py:2",
        "both",
    ),
    "no time": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t')\n",
        "main.py:2",
        "Must include timestamp or crontab",
    ),
    "no time in other words": (
        "Devvit.add_scheduler_job('t', on_run=f)\nrun_job(name='t', cron=None, run_at=None)\n",
        "main.py:2",
        "Must include timestamp or crontab",
    ),
    "syntax error": ("def f(:\n", "main.py:1", "SyntaxError"),
    "null byte": ("a = 1\0\n", "main.py", "null byte"),
}


@pytest.mark.parametrize("case", CODE)
def test_a_fault_in_the_code_is_found_where_it_stands(tmp_path: Path, case: str) -> None:
    code, where, words = CODE[case]
    found = check_folder(bundle(tmp_path / "a", code))
    assert [p.where.split(":")[0] for p in found] == ["main.py"]
    assert where in found[0].where
    assert words in found[0].message
    assert found[0].remedy


@pytest.mark.parametrize(
    ("code"),
    [
        "Devvit.configure(**options)\ndef f(context): context.redis\n",
        "@hookimpl\ndef configure():\n  return OPTIONS\ndef f(context): context.redis\n",
        "@hookimpl\ndef configure():\n  return {'redis': True}\ndef f(context): context.redis\n",
        "for n in names: Devvit.add_scheduler_job(n, on_run=f)\nrun_job(name='a', cron='* * * * *')\n",
        "run_job(name=name, cron=cron)\n",
        "Devvit.add_scheduler_job('a', on_run=f)\nrun_job(name='a', cron=cron, run_at=run_at)\n",
        "Devvit.add_scheduler_job('a', on_run=f)\nrun_job(name='a', cron='* * * * *', run_at=at)\n",
        "Devvit.add_scheduler_job('a', on_run=f)\nrun_job(name='a', cron=None, run_at=later())\n",
        "run_job(name='a', **when)\nDevvit.add_scheduler_job('a', on_run=f)\n",
    ],
)
def test_what_is_not_certain_is_not_reported(tmp_path: Path, code: str) -> None:
    assert check_folder(bundle(tmp_path / "a", code)) == []


def test_configuring_in_one_module_counts_in_another(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "a", "Devvit.configure(redis=True)\n", other="def f(context): context.redis\n")
    assert check_folder(folder) == []


MANIFESTS = {
    "no json": ("{", "app.json:1", "no JSON"),
    "not an object": ("[]", "app.json", "is no object"),
    "key twice": ('{"name": "a-b", "name": "c-d", "version": "1.0.0"}', "app.json", "given twice"),
    "name missing": ({"version": "1.0.0"}, "app.json/name", "missing"),
    "version missing": ({"name": "a-b"}, "app.json/version", "missing"),
    "bad name": ({"name": "A b", "version": "1.0.0"}, "app.json/name", "does not fit"),
    "bad version": ({"name": "a-b", "version": "1.0"}, "app.json/version", "does not fit"),
    "unknown key": ({**MANIFEST, "versoin": "1"}, "app.json/versoin", "no such key"),
    "entry outside": ({**MANIFEST, "entry": "../main.py"}, "app.json/entry", "does not fit"),
    "entry missing": ({**MANIFEST, "entry": "start.py"}, "start.py", "does not exist"),
    "permission of a wrong type": (
        {**MANIFEST, "permissions": {"redis": 1}},
        "app.json/permissions/redis",
        "does not fit",
    ),
    "26 domains": (
        {**MANIFEST, "permissions": {"http": {"domains": [f"a{i}.example" for i in range(26)]}}},
        "app.json/permissions/http",
        "does not fit",
    ),
    "job without cron": ({**MANIFEST, "jobs": [{"name": "a"}]}, "app.json/jobs/0/cron", "missing"),
    "job with a bad cron": (
        {**MANIFEST, "jobs": [{"name": "a", "cron": "* * * * 9"}]},
        "app.json/jobs/0/cron",
        "Invalid crontab",
    ),
    "job with a bad misfire": (
        {**MANIFEST, "jobs": [{"name": "a", "cron": "* * * * *", "misfire": "twice"}]},
        "app.json/jobs/0/misfire",
        "none of its values",
    ),
    "job in no time zone": (
        {**MANIFEST, "jobs": [{"name": "a", "cron": "* * * * *", "timezone": "Nowhere"}]},
        "app.json/jobs/0/timezone",
        "no time zone",
    ),
    "setting of an unknown type": (
        {**MANIFEST, "settings": [{"name": "a", "type": "date"}]},
        "app.json/settings/0/type",
        "none of its values",
    ),
    "memory of a wrong type": ({**MANIFEST, "limits": {"memory_mb": "1G"}}, "app.json/limits/memory_mb", "no integer"),
    "limit out of range": ({**MANIFEST, "limits": {"workers": 0}}, "app.json/limits/workers", "minimum"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_fault_in_the_manifest_is_found_with_its_path(tmp_path: Path, case: str) -> None:
    manifest, where, words = MANIFESTS[case]
    found = check_folder(bundle(tmp_path / "a", "", manifest))
    assert [p.where for p in found] == [where]
    assert words in found[0].message
    assert found[0].remedy


def test_all_faults_of_manifest_and_code_come_together(tmp_path: Path) -> None:
    found = check_folder(
        bundle(
            tmp_path / "a",
            "def f(context): context.redis\n",
            {"name": "X", "version": "1", "extra": 1},
            broken="def f(:\n",
            showground="",
        )
    )
    assert {p.where for p in found} == {
        "app.json/name",
        "app.json/version",
        "app.json/extra",
        "main.py:1",
        "broken.py:1",
        "showground.py",
    }


def test_no_manifest_and_no_folder_are_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert [p.where for p in check_folder(tmp_path / "a")] == ["app.json"]
    assert [p.where for p in check_folder(tmp_path / "missing")] == ["app.json"]
