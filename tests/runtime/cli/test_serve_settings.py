"""What `serve` and `demo` read their settings from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from showground.cli import run, serve
from showground.cli.session import HttpSession
from showground.settings import Settings


@pytest.fixture
def settings_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a command line makes of a settings file with a data folder of its own."""
    file = tmp_path / "showground.toml"
    file.write_text('[host]\ndata_dir = "kept"\nport = 1234\n')

    def read(*arguments: str) -> Settings:
        found: list[Settings] = []

        @click.command("look")
        @serve.options
        @click.pass_obj
        def look(session: HttpSession, /, **flags: Any) -> int:
            found.append(serve.read(session, flags))
            return 0

        monkeypatch.setattr("showground.cli.catalogue.commands", lambda: [look])
        monkeypatch.setattr("showground.cli.showground.commands", {})
        assert run([*arguments, "look", "--settings", str(file)]) == 0
        return found[0]

    return read


def test_the_data_folder_of_the_settings_holds_unless_a_flag_names_another(settings_of: Any) -> None:
    assert settings_of().host.data_dir == "kept"
    assert settings_of("--data-dir", "other").host.data_dir == "other"
    assert settings_of().host.port == 1234
