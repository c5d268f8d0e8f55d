"""Settings come from a file, then the environment, then flags; what is wrong is told all at once."""

from pathlib import Path

import pytest

from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.settings import load_settings


def test_without_anything_every_field_has_its_true_default() -> None:
    settings = load_settings(environ={})
    assert settings.host.port == 8787
    assert settings.redis.url == ""
    assert settings.workers.isolation == "auto"


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "showground.toml"
    file.write_text('[host]\nport = 1\nlisten = "0.0.0.0"\ndrain_s = 3\n')
    settings = load_settings(
        file, {"SHOWGROUND_HOST_PORT": "2", "SHOWGROUND_HOST_LISTEN": "::1"}, {"host": {"port": 3}}
    )
    assert (settings.host.port, settings.host.listen, settings.host.drain_s) == (3, "::1", 3.0)


def test_the_command_lines_own_variables_are_not_settings() -> None:
    assert load_settings(environ={"SHOWGROUND_URL": "http://x", "SHOWGROUND_TOKEN": "t"}) == load_settings(environ={})


def test_origins_in_the_environment_are_separated_by_commas() -> None:
    settings = load_settings(environ={"SHOWGROUND_HOST_ALLOWED_ORIGINS": "https://a.example,https://b.example"})
    assert settings.host.allowed_origins == ("https://a.example", "https://b.example")


def test_sections_of_plugins_are_kept_for_them(tmp_path: Path) -> None:
    file = tmp_path / "showground.toml"
    file.write_text("[realtime]\nhistory_messages = 5\n")
    assert load_settings(file, {}).options == {"realtime": {"history_messages": 5}}


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "showground.toml"
    file.write_text('colour = 1\n[host]\nport = "many"\n[redis]\nfsnyc = "always"\n[workers]\nisolation = "total"\n')
    with pytest.raises(ShowgroundError) as caught:
        load_settings(file, {})
    assert caught.value.code == "misconfigured"
    told = {p.where: p.message for p in caught.value.details}
    assert set(told) == {"colour", "host", "redis", "workers"}
    assert "$.port" in told["host"]
    assert "fsnyc" in told["redis"]


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShowgroundError, match=r"missing\.toml"):
        load_settings(tmp_path / "missing.toml", {})
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ShowgroundError, match="not valid TOML"):
        load_settings(tmp_path / "bad.toml", {})


def test_a_relative_data_folder_is_meant_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}).data_dir == tmp_path / ".showground"


@pytest.mark.parametrize("prefix", ["sg:x", "", "a b", "{sg}", "sg*", "s" * 65])
def test_a_prefix_that_could_begin_with_anothers_or_break_a_slot_is_refused(prefix: str) -> None:
    with pytest.raises(ShowgroundError) as caught:
        load_settings(environ={"SHOWGROUND_REDIS_PREFIX": prefix})
    [problem] = caught.value.details
    assert "no colon" in problem.message
    with pytest.raises(ShowgroundError, match="prefix") as caught:
        KeySpace(prefix)
    assert caught.value.code == "misconfigured"
