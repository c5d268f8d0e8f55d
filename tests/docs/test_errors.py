"""docs/errors.md and the error table say the same."""

import re
from pathlib import Path

from showground.errors import ERRORS, Problem, ShowgroundError

DOCS = Path(__file__).parents[2] / "docs"


def test_every_code_is_in_the_docs_with_its_status_fault_and_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+) \| (yes|no) \| (.+) \|$", (DOCS / "errors.md").read_text(), re.M)
    assert rows == [
        (code, str(kind.status), kind.fault, "yes" if kind.temporary else "no", kind.meaning)
        for code, kind in ERRORS.items()
    ]


def test_an_error_survives_the_way_over_http() -> None:
    error = ShowgroundError(
        "invalid", "two things", "body", "Mend them.", 2.5, (Problem("a", "b", "c"), Problem("d", "e"))
    )
    assert ShowgroundError.from_json(error.to_json()).to_json() == error.to_json()


def test_a_code_that_a_client_does_not_know_becomes_internal() -> None:
    assert ShowgroundError.from_json({"error": {"code": "brand_new", "message": "m"}}).code == "internal"


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = ShowgroundError("conflict", "it is taken", "name", "Choose another.", details=(Problem("x", "y", "z"),))
    assert str(error) == "name: it is taken\nChoose another.\n  x: y. z"
