"""The API against its description: every route is in it, and whatever is sent gets an answer that it promises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import SchemathesisError
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from showground.testing.host import HostUnderTest
from showground.web.api_table import OPERATIONS

EXAMPLES = 6
STREAMS = {"/api/v1/communities/{community}/apps/{app}/channels/{name}"}
"""Answers without end; tests of their own read them."""
CHECKS: list[Callable[..., Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


NOTHING_TO_NEGATE: dict[Any, tuple[type[Exception], ...]] = {
    schemathesis.GenerationMode.POSITIVE: (),
    schemathesis.GenerationMode.NEGATIVE: (SchemathesisError,),
}
"""An operation that takes nothing, or anything, has no wrong requests."""


@schemathesis.serializer("application/x-ndjson", "application/zip")
def as_it_is(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


async def test_every_route_is_described_and_nothing_else(host: HostUnderTest) -> None:
    served = {(method, path) for method, path, _ in host.host.routes if path.startswith("/api/v1/")}
    assert served == set(OPERATIONS)
    document = await host.call("GET", "/api/v1/openapi.json")
    assert {(m.upper(), path) for path, item in document["paths"].items() for m in item} == served
    scopes = {(m, p): s for m, p, s in host.host.routes}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            key = (method.upper(), path)
            assert bool(operation.get("security")) is (scopes[key] is not None or path == "/api/v1/events"), key
    assert len({o["operationId"] for item in document["paths"].values() for o in item.values()}) == len(served)


async def test_its_schemas_are_json_schemas(host: HostUnderTest) -> None:
    document = await host.call("GET", "/api/v1/openapi.json")
    for item in document["paths"].values():
        for operation in item.values():
            contents = [*operation["responses"].values(), operation.get("requestBody", {})]
            schemas = [content["schema"] for part in contents for content in part.get("content", {}).values()]
            for schema in [*schemas, *(parameter["schema"] for parameter in operation["parameters"])]:
                jsonschema.Draft202012Validator.check_schema(schema)


async def test_whatever_is_sent_the_api_answers_as_it_says(
    host: HostUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    await host.call("PUT", "/api/v1/communities/playground/apps/canvas")
    token = host.host.root_token
    tried = await asyncio.to_thread(attack, host.host.url, token)
    assert tried > 40 * EXAMPLES
    assert not [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR and r.name == "showground.web"]
    assert (await host.call("GET", "/healthz"))["status"] == "alive"


def attack(url: str, token: str) -> int:
    """Every operation with generated requests, right ones and wrong ones; how many were sent."""
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json", headers={"Authorization": f"Bearer {token}"})
    sent = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # an invalid operation fails here, as it should
        if operation.path in STREAMS and operation.method == "get":
            continue
        for mode in NOTHING_TO_NEGATE:

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_one(case: Any) -> None:
                nonlocal sent
                if case.query and case.query.get("follow"):
                    case.query.pop("follow")
                if case.path_parameters and "app" in case.path_parameters and sent % 2:
                    case.path_parameters.update(app="canvas")  # else nearly all would be told that it is not installed
                    if "community" in case.path_parameters:
                        case.path_parameters.update(community="playground")
                sent += 1
                case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS, timeout=20)

            with suppress(*NOTHING_TO_NEGATE[mode]):
                try_one()
    return sent
