"""The security page promises nothing that no test tries to break."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text("utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 50
    for file, test in named:
        assert re.search(rf"^\s*(async )?def {test}\(", (TESTS / file).read_text("utf-8"), re.M), f"{file}::{test}"


def test_every_test_of_this_folder_stands_on_the_page_or_beside_one_that_does() -> None:
    for file in TESTS.glob("security/test_*.py"):
        if file.name != Path(__file__).name:
            assert f"security/{file.name}::" in PAGE, f"docs/security.md says nothing of {file.name}"
