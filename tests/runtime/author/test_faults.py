"""Errors of a bundle's own code while it is loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from showground.author.loading import load_bundle
from showground.errors import ShowgroundError
from showground.testing.bundles import write_bundle


def test_an_error_at_import_keeps_its_type_and_leaves_no_module(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "app", "import helper\n")
    (folder / "helper.py").write_text("raise KeyError('mine')\n")
    before = set(sys.modules)  # other tests may have bundles loaded
    with pytest.raises(KeyError, match="mine"):
        load_bundle(folder)
    assert not [name for name in set(sys.modules) - before if name.startswith("_bundle_")]


def test_leaving_the_process_at_import_is_an_error_of_the_app(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "app", "import sys\nsys.exit(0)\n")
    with pytest.raises(ShowgroundError) as refused:
        load_bundle(folder)
    assert (refused.value.code, refused.value.where) == ("app_load_failed", "main.py:2")


def test_devvit_outside_of_a_bundle_says_so() -> None:
    from showground import Devvit

    with pytest.raises(ShowgroundError, match="no bundle is being loaded") as refused:
        Devvit.configure(redis=True)
    assert refused.value.where.rpartition("/")[2].startswith("test_faults.py:")
