"""What holds for every example; what each does by itself is tested beside its code, in `apps/*/test_app.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from showground.author.loading import load_bundle
from showground.bundle.check import check_folder
from showground.testing.posts import Stage

APPS = Path(__file__).parents[2] / "apps"
TWINS = {"webhook_relay_hooks": "webhook_relay"}
"""The same app written in another way → whose tests run on both."""
EXAMPLES = sorted(manifest.parent for manifest in APPS.glob("*/app.json"))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_passes_its_check_and_has_a_test_of_its_own(folder: Path) -> None:
    assert check_folder(folder) == []
    tested = folder.with_name(TWINS.get(folder.name, folder.name))
    assert (tested / "test_app.py").is_file()


def test_decorators_and_hooks_register_the_same() -> None:
    with load_bundle(APPS / "webhook_relay") as decorated, load_bundle(APPS / "webhook_relay_hooks") as hooked:
        assert decorated.registration == hooked.registration


async def test_a_post_says_that_it_is_not_live_until_it_is() -> None:
    with load_bundle(APPS / "server_push") as app:
        stage = Stage(app)
        waiting = await stage.open("t2_eve", connect=False)
        assert "Connecting…" in waiting.texts
        await waiting.connect()
        assert "Live" in waiting.texts
