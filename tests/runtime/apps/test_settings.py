from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from showground.apps.deployment_secret import deployment_secret
from showground.apps.secrets import SecretBox, new_key
from showground.apps.setting_fields import spec_problems
from showground.apps.settings import AppSettings
from showground.errors import ShowgroundError
from showground.keys import InstallationId, KeySpace
from showground.model import AppVersion, Installation, Json, Registration, SettingSpec
from showground.ops.redaction import Redactor
from showground.redis.api import Redis

SPECS = (
    SettingSpec(name="title", type="string", default="Hello"),
    SettingSpec(name="count", type="number"),
    SettingSpec(name="on", type="boolean", default=False),
    SettingSpec(name="colour", type="select", options=(("Red", "red"), ("Blue", "blue")), default="red"),
    SettingSpec(name="tags", type="select", options=(("A", "a"), ("B", "b")), multi_select=True),
    SettingSpec(name="api-key", type="string", scope="app", is_secret=True),
    SettingSpec(name="region", type="string", scope="app", has_validator=True),
)


def _installation(specs: tuple[SettingSpec, ...] = SPECS) -> Installation:
    version = AppVersion(
        app="counter", version="1.0.0", digest="d", entry="main.py", registration=Registration(settings=specs)
    )
    return Installation(
        id=InstallationId("counter:playground"),
        app="counter",
        community="playground",
        version=version,
        installed_at_ms=0,
    )


class Validators:
    def __init__(self) -> None:
        self.asked: list[tuple[str, Json]] = []

    async def __call__(self, installation: Installation, name: str, value: Json) -> str | None:
        self.asked.append((name, value))
        return None if value in ("eu", None) else "only eu is open"


def _settings(
    redis: Redis, keys: KeySpace, box: SecretBox | None = None, redactor: Redactor | None = None
) -> AppSettings:
    return AppSettings(redis, keys, box or SecretBox([new_key()]), redactor or Redactor(), Validators())


async def test_values_have_their_types_defaults_and_scopes(redis: Redis, keys: KeySpace) -> None:
    settings, one = _settings(redis, keys), _installation()
    assert await settings.get_all(one) == {
        "title": "Hello",
        "count": None,
        "on": False,
        "colour": ["red"],
        "tags": [],
        "api-key": None,
        "region": None,
    }
    await settings.put(
        one.version, "installation", {"count": 1.5, "on": True, "colour": "blue", "tags": ["a", "b"]}, one
    )
    await settings.put(one.version, "app", {"region": "eu", "api-key": "s3cret-value"}, one)
    assert await settings.get_all(one) == {
        "title": "Hello",
        "count": 1.5,
        "on": True,
        "colour": ["blue"],
        "tags": ["a", "b"],
        "api-key": "s3cret-value",
        "region": "eu",
    }
    await settings.put(one.version, "installation", {"on": None}, one)
    assert await settings.get(one, "on") is False
    with pytest.raises(ShowgroundError) as unknown:
        await settings.get(one, "nope")
    assert unknown.value.code == "not_found"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("on", "false"),
        ("on", 1),
        ("count", "1"),
        ("count", True),
        ("title", 5),
        ("title", "x" * 2049),
        ("colour", ["red", "blue"]),
        ("colour", ["green"]),
        ("tags", ["a", "a"]),
        ("api-key", "of another scope"),
        ("unknown", "x"),
    ],
)
async def test_what_does_not_fit_its_field_is_refused_and_nothing_is_saved(
    redis: Redis, keys: KeySpace, name: str, value: Any
) -> None:
    settings, one = _settings(redis, keys), _installation()
    with pytest.raises(ShowgroundError) as refused:
        await settings.put(one.version, "installation", {"title": "fits"} | {name: value}, one)
    assert refused.value.code == "invalid"
    assert [p.where for p in refused.value.details] == [name]
    assert await settings.get(one, "title") == "Hello"


async def test_the_apps_own_validator_has_the_last_word(redis: Redis, keys: KeySpace) -> None:
    settings, one = _settings(redis, keys), _installation()
    with pytest.raises(ShowgroundError) as refused:
        await settings.put(one.version, "app", {"region": "us", "api-key": "s3cret-value"}, one)
    assert [(p.where, p.message) for p in refused.value.details] == [("region", "only eu is open")]
    assert (await settings.get_all(one))["api-key"] is None
    with pytest.raises(ShowgroundError, match="installed nowhere"):
        await settings.put(one.version, "app", {"region": "eu"}, None)


async def test_a_secret_is_sealed_in_redis_never_shown_and_hidden_in_logs(redis: Redis, keys: KeySpace) -> None:
    redactor = Redactor()
    settings, one = _settings(redis, keys, redactor=redactor), _installation()
    await settings.put(one.version, "app", {"api-key": 'hunter2/"quoted"'}, one)
    stored = await redis.call("HGET", keys.host("app", "counter", "settings"), "api-key")
    assert b"hunter2" not in stored
    (key, _) = await settings.shown(one.version, "app", None)
    assert (key.is_set, key.value, key.default) == (True, None, None)
    reader = Redactor()
    box = settings._box
    assert await _settings(redis, keys, box, reader).get(one, "api-key") == 'hunter2/"quoted"'
    for hides in (redactor, reader):
        text = hides.text('a hunter2/"quoted" b {"k": "hunter2/\\"quoted\\""} c ?k=hunter2%2F%22quoted%22')
        assert "hunter2" not in text


async def test_a_secret_can_not_be_moved_to_another_field(redis: Redis, keys: KeySpace) -> None:
    box = SecretBox([new_key()])
    with pytest.raises(ShowgroundError, match="another place"):
        box.open("other-app", "api-key", box.seal("counter", "api-key", "value"))


async def test_rotation_encrypts_anew_so_that_the_old_key_can_go(redis: Redis, keys: KeySpace, tmp_path: Path) -> None:
    old = SecretBox.load(tmp_path, {})
    await old.prove(redis, keys)
    one = _installation()
    await _settings(redis, keys, old).put(one.version, "app", {"api-key": "s3cret-value"}, one)
    secret = await deployment_secret(redis, keys, old)
    await redis.call("SADD", keys.host("apps"), "counter")
    beside = SecretBox.load(tmp_path, {})
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600
    old.add_key()
    assert await _settings(redis, keys, old).rotate() == 1
    assert await _settings(redis, keys, beside).get(one, "api-key") == "s3cret-value", "a running host picks the key up"
    newest = (tmp_path / "secret.key").read_text().split()[0]
    fresh = SecretBox.load(tmp_path / "elsewhere", {"SHOWGROUND_SECRET_KEY": newest})
    await fresh.prove(redis, keys)
    assert await deployment_secret(redis, keys, fresh) == secret
    assert await _settings(redis, keys, fresh).get(one, "api-key") == "s3cret-value"


async def test_a_host_with_another_key_does_not_start(redis: Redis, keys: KeySpace) -> None:
    await SecretBox([new_key()]).prove(redis, keys)
    with pytest.raises(ShowgroundError) as refused:
        await SecretBox([new_key()]).prove(redis, keys)
    assert refused.value.code == "misconfigured"


async def test_a_value_that_an_upgrade_made_unfit_gives_way_to_the_default(redis: Redis, keys: KeySpace) -> None:
    settings, one = _settings(redis, keys), _installation()
    await settings.put(one.version, "installation", {"title": "text"}, one)
    upgraded = _installation((SettingSpec(name="title", type="number", default=7),))
    assert await settings.get(upgraded, "title") == 7


def test_faults_of_a_field_are_found_before_it_has_a_value() -> None:
    faulty = [
        SettingSpec(name="a", type="boolean", default="false"),
        SettingSpec(name="b", type="string", is_secret=True),
        SettingSpec(name="c", type="string", scope="app", is_secret=True, default="leak"),
        SettingSpec(name="d", type="select"),
    ]
    assert [len(spec_problems(spec)) for spec in faulty] == [1, 1, 1, 1]
    assert [spec_problems(spec) for spec in SPECS] == [[]] * len(SPECS)
