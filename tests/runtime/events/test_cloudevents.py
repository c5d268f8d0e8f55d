"""CloudEvents in three forms, right and wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from showground.errors import ShowgroundError
from showground.events import Event, cloudevents, parse
from showground.events.cloudevents import BATCHED

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/forum",
    "type": "PostCreate",
    "subject": "town",
    "data": {"post": {"id": "t3_1"}},
}
STRUCTURED = "application/cloudevents+json"


def structured(event: object, content_type: str = STRUCTURED) -> list[Event]:
    return list(parse(content_type, {}, json.dumps(event).encode()))


def test_the_three_forms_mean_the_same() -> None:
    expected = Event(id="1", source="/forum", type="PostCreate", community="town", data=b'{"post": {"id": "t3_1"}}')
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/forum",
        "ce-type": "PostCreate",
        "ce-subject": "town",
    }
    assert structured(GOOD) == [expected]
    assert list(parse("application/json", headers, expected.data)) == [expected]
    batch = structured([GOOD, GOOD | {"id": "2"}], "application/cloudevents-batch+json; charset=utf-8")
    assert [(e.id, e.where, e.data) for e in batch] == [
        ("1", "events[0].", expected.data),
        ("2", "events[1].", expected.data),
    ]
    encoded = {k: v for k, v in GOOD.items() if k != "data"} | {"data_base64": "eyJwb3N0IjogeyJpZCI6ICJ0M18xIn19"}
    assert structured(encoded) == [expected]
    assert structured(GOOD, "application/json") == [expected]


_AWKWARD = st.text("ab/é:%\x00\x7f\ufffe -~\n", max_size=4) | st.text(max_size=3) | st.just("x" * 1025)
_VALUES = st.none() | st.booleans() | st.integers() | _AWKWARD


@given(
    st.dictionaries(st.sampled_from(("id", "source", "type", "subject", "time", "extra", "datacontenttype")), _VALUES),
    st.booleans(),
)
def test_reading_an_event_in_one_step_lets_nothing_through(changes: dict[str, Any], batched: bool) -> None:
    """What the quick way takes, the thorough one takes too, and makes the same of it."""
    document = [GOOD, GOOD | changes] if batched else GOOD | changes
    media_type = BATCHED if batched else STRUCTURED
    body = json.dumps(document).encode()
    quick = cloudevents._read_usual(media_type, body)
    if quick is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloudevents, "_read_usual", lambda media_type, body: None)
        assert list(parse(media_type, {}, body)) == list(quick)


def test_what_the_specification_allows_is_taken() -> None:
    full = GOOD | {
        "time": "2026-11-24T10:00:00.123+01:00",
        "datacontenttype": "application/vnd.forum+json; charset=utf-8",
        "dataschema": "https://forum.example/post.json",
        "traceparent": "00-abc",
        "sampled": True,
        "sequence": 17,
        "absent": None,
    }
    assert len(structured(full)) == 1
    assert structured([], "application/cloudevents-batch+json") == []
    assert structured({k: v for k, v in GOOD.items() if k != "data"})[0].data == b"{}"
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "Euro%20%E2%82%AC",
        "ce-source": '"/a"',
        "ce-type": "X",
        "ce-subject": "t",
    }
    (event,) = parse("", headers, b"")
    assert (event.id, event.source, event.data) == ("Euro €", "/a", b"{}")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1.0}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": 5}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"id": "x" * 1025}, "id"),
        ({"id": "\ud800"}, "id"),
        ({"source": None}, "source"),
        ({"source": "not a uri"}, "source"),
        ({"source": []}, "source"),
        ({"type": ""}, "type"),
        ({"type": {}}, "type"),
        ({"subject": None}, "subject"),
        ({"subject": "no/community"}, "subject"),
        ({"subject": "x" * 33}, "subject"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-13-01T00:00:00Z"}, "time"),
        ({"time": 1764000000}, "time"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"dataschema": "relative.json"}, "dataschema"),
        ({"Upper": "x"}, "Upper"),
        ({"with_underscore": "x"}, "with_underscore"),
        ({"x" * 21: "x"}, "x" * 21),
        ({"extension": {"an": "object"}}, "extension"),
        ({"extension": 1.5}, "extension"),
        ({"extension": 2**31}, "extension"),
        ({"extension": "\x00"}, "extension"),
        ({"data_base64": "e30="}, "data"),
        ({"data": "x" * 300_000}, "data"),
        ({f"x{n}": "y" for n in range(50)}, "event"),
    ],
)
def test_a_breach_of_an_attribute_is_told_with_its_name(change: dict[str, Any], where: str) -> None:
    if change == {"id": "\ud800"}:
        # JSON can spell half a surrogate pair; it is no Unicode text.
        with pytest.raises(ShowgroundError) as caught:
            structured(GOOD | change)
        assert caught.value.code in ("invalid", "bad_request")
        return
    with pytest.raises(ShowgroundError) as caught:
        structured(GOOD | change)
    assert caught.value.code == "invalid"
    assert [p.where for p in caught.value.details] == [where]
    assert all(p.message for p in caught.value.details)


@pytest.mark.parametrize(
    ("content_type", "headers", "body", "code"),
    [
        ("", {}, b"{}", "unsupported"),
        ("text/plain", {}, b"{}", "unsupported"),
        ("application/cloudevents+xml", {}, b"<x/>", "unsupported"),
        ("application/cloudevents+json; charset=utf-16", {}, b"{}", "unsupported"),
        (STRUCTURED, {}, b"", "bad_request"),
        (STRUCTURED, {}, b"{", "bad_request"),
        (STRUCTURED, {}, b"[]", "bad_request"),
        (STRUCTURED, {}, b"null", "bad_request"),
        (STRUCTURED, {}, b'{"id": "\xff"}', "bad_request"),
        (STRUCTURED, {}, b'{"data":' + b"[" * 100_000, "bad_request"),
        ("application/cloudevents-batch+json", {}, b"{}", "bad_request"),
        ("application/cloudevents-batch+json", {}, b"[1]", "invalid"),
        ("application/cloudevents-batch+json", {}, b"[" + b"{}," * 1000 + b"{}]", "too_large"),
        ("application/json", {"ce-id": "1"}, b"{}", "invalid"),
        ("application/json", {}, b'{"post": {"id": "t3_1"}}', "invalid"),
        (STRUCTURED, {}, json.dumps(GOOD | {"data_base64": "!!", "data": None}).encode(), "invalid"),
    ],
)
def test_a_request_that_is_no_cloudevent_is_refused_by_code(
    content_type: str, headers: dict[str, str], body: bytes, code: str
) -> None:
    with pytest.raises(ShowgroundError) as caught:
        parse(content_type, headers, body)
    assert caught.value.code == code


def test_every_breach_of_a_batch_is_told_at_once() -> None:
    with pytest.raises(ShowgroundError) as caught:
        structured([GOOD, GOOD | {"id": "", "time": "x"}, 7], "application/cloudevents-batch+json")
    assert [p.where for p in caught.value.details] == ["events[1].id", "events[1].time", "events[2]"]
