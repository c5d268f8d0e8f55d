"""Forms: what is refused when one is shown, and what is refused when one is submitted."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from showground.errors import ShowgroundError
from showground.ui.forms import fields_of, form_schema, normalise_form, validate

FORM = normalise_form(
    {
        "title": "All",
        "fields": [
            {"type": "string", "name": "s", "required": True},
            {"type": "paragraph", "name": "p", "lineHeight": 4},
            {"type": "group", "label": "G", "fields": [{"type": "number", "name": "n", "min": 1, "max": 5}]},
            {"type": "boolean", "name": "b"},
            {"type": "select", "name": "one", "options": [{"label": "A", "value": "a"}, ("B", "b")]},
            {"type": "select", "name": "many", "options": ["x", "y"], "multi_select": True, "required": True},
            {"type": "image", "name": "i"},
        ],
    }
)
VALUES = st.none() | st.sampled_from(["", "a", "b", "x", "https://e/i.png"]) | st.integers(0, 6) | st.booleans() | st.lists(
    st.sampled_from(["a", "b", "x", "y", "z"]), max_size=3
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["s", "p", "n", "b", "one", "many", "i", "zz"]), VALUES))
def test_what_is_accepted_is_what_the_schema_accepts(sent: dict[str, Any]) -> None:
    values, errors = validate(FORM, sent)
    if not errors:
        jsonschema.validate(values, form_schema(FORM))
    given_ = {k: v for k, v in sent.items() if v is not None and v != ""}
    given_ = {"many": [], **given_}
    fits = jsonschema.Draft202012Validator(form_schema(FORM)).is_valid(given_)
    urls = not isinstance(given_.get("i"), str) or str(given_["i"]).startswith("https:")
    assert (not errors) == (fits and urls)


def test_empty_optional_fields_are_left_out_and_selects_are_lists() -> None:
    values, errors = validate(FORM, {"s": "hi", "p": "", "many": ["x"], "n": None})
    assert (values, errors) == ({"s": "hi", "one": [], "many": ["x"]}, {})


def test_groups_are_flattened_and_camel_case_is_read() -> None:
    assert [f["name"] for f in fields_of(FORM)] == ["s", "p", "n", "b", "one", "many", "i"]
    assert FORM["fields"][1]["line_height"] == 4


def test_a_disabled_field_keeps_its_own_value() -> None:
    form = normalise_form({"fields": [{"type": "string", "name": "s", "disabled": True, "default_value": "mine"}]})
    assert validate(form, {"s": "forged"}) == ({"s": "mine"}, {})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            [{"type": "string", "name": "a"}, {"type": "group", "fields": [{"type": "number", "name": "a"}]}],
            "Duplicate",
        ),
        ([{"type": "text", "name": "a"}], "unknown field"),
        ([{"type": "string"}], "has no name"),
        ([{"type": "string", "name": "a", "colour": 1}], "no attribute 'colour'"),
        ([{"type": "select", "name": "a"}], "has no options"),
        ([{"type": "number", "name": "a", "default_value": "1"}], "default does not fit"),
        ([{"type": "boolean", "name": "a", "required": True}], "no attribute 'required'"),
        ("fields", "no list of fields"),
    ],
)
def test_a_wrong_form_is_refused_when_it_is_shown(fields: Any, message: str) -> None:
    with pytest.raises(ShowgroundError, match=message):
        normalise_form({"fields": fields})
