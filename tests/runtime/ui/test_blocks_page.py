"""The first example of docs/blocks.md is an app that loads, draws and works."""

from __future__ import annotations

import json
import re
from pathlib import Path

from showground.author.loading import load_bundle
from showground.testing.posts import Stage

PAGE = Path(__file__).parents[3] / "docs/blocks.md"


async def test_the_pages_first_example_works(tmp_path: Path) -> None:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    (tmp_path / "main.py").write_text(code)
    (tmp_path / "app.json").write_text(json.dumps({"name": "counter", "version": "0.1.0"}))
    with load_bundle(tmp_path) as bundle:
        screen = await Stage(bundle).open()
        assert "press" not in screen.find("Reset")
        await screen.press("More")
        await screen.press("More")
        assert screen.texts[0] == "Pressed 2 times"
        await screen.press("Reset")
        assert screen.texts[0] == "Pressed 0 times"


async def test_an_error_in_a_bundle_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "from showground import Devvit\n"
        "from showground.blocks import vstack\n\n"
        '@Devvit.add_custom_post_type("Bad")\n'
        "def bad(context):\n"
        '    return vstack(aligment="top")\n'
    )
    (tmp_path / "app.json").write_text(json.dumps({"name": "bad", "version": "0.1.0"}))
    with load_bundle(tmp_path) as bundle:
        screen = await Stage(bundle).open()
    assert screen.tree is None
    [error] = screen.errors
    assert error["where"] == "main.py:6"
    assert error["message"] == "vstack() has no attribute 'aligment'"
    assert error["remedy"] == "Did you mean 'alignment'?"
