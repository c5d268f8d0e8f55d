"""The published schema and what is read from `app.json` are the same thing."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from showground.bundle.manifest import Manifest, trusted_manifest
from showground.bundle.schema import load_manifest, manifest_schema
from showground.errors import ShowgroundError
from showground.model import Limits


def test_the_schema_is_one_and_describes_every_field_with_its_default() -> None:
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) - {"$schema"} == set(Manifest.__struct_fields__)
    limits = schema["properties"]["limits"]["properties"]
    assert {name: rule["default"] for name, rule in limits.items()} == msgspec.structs.asdict(Limits())
    for name in ("entry", "assets"):
        assert schema["properties"][name]["default"] == getattr(Manifest(name="a"), name)


def test_a_checked_and_a_trusted_manifest_are_equal(tmp_path: Path) -> None:
    document = {
        "name": "my-app",
        "version": "1.2.0-beta.1",
        "permissions": {"redis": False, "http": {"domains": ["api.example.com"]}, "greeter": {"tone": "warm"}},
        "settings": [{"type": "group", "label": "g", "fields": [{"type": "string", "name": "a"}]}],
        "jobs": [{"name": "tick", "cron": "*/10 * * * * *", "data": {"n": [1]}, "misfire": "all", "overlap": "queue"}],
        "handlers": {"job:tick": {"timeout_s": 5}},
        "limits": {"memory_mb": 512},
    }
    (tmp_path / "app.json").write_text(json.dumps(document))
    manifest = load_manifest(tmp_path)
    assert manifest == trusted_manifest(tmp_path)
    assert manifest.http_domains == ("api.example.com",)
    assert (manifest.permission("redis"), manifest.permission("realtime"), manifest.permission("x")) == (
        False,
        True,
        None,
    )
    assert manifest.handler_limit("job", "tick").timeout_s == 5
    assert (manifest.limits.memory_mb, manifest.limits.workers) == (512, 1)


def test_a_trusted_manifest_that_is_damaged_is_still_a_clear_error(tmp_path: Path) -> None:
    for text in ("{", '{"name": 1}', "\xff", "[" * 100_000):
        (tmp_path / "app.json").write_text(text, "latin-1")
        for read in (trusted_manifest, load_manifest):
            with pytest.raises(ShowgroundError) as refused:
                read(tmp_path)
            assert refused.value.code == "bundle_invalid"
            assert refused.value.details
