"""`GET /api/v1/openapi.json`: the HTTP API of this very host, plugins' routes included, as OpenAPI 3.1 describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
from aiohttp import web

from showground.errors import ERRORS
from showground.hookspecs import Router
from showground.web.api_table import JSON, OPERATIONS, PARAMETERS, TEXT, Operation, path_parameters, record, several

BASE = "/api/v1/"
Served = Sequence[tuple[str, str, str | None]]
OWN_PROOF = {("POST", "/api/v1/events"): "emit"}
"""Routes that check the token themselves, because what it must cover stands in the body."""


class OpenApi:
    """Made from the routes that are served when it is first asked for; what is not in the table has no schemas."""

    def __init__(self, routes: Served, version: str) -> None:
        self._routes = routes
        self._version = version

    def register(self, router: Router) -> None:
        router("GET", BASE + "openapi.json", self.serve, None)

    async def serve(self, request: web.Request) -> web.Response:
        return web.Response(body=self._encoded, content_type=JSON, headers={"Cache-Control": "no-cache"})

    @cached_property
    def _encoded(self) -> bytes:
        return msgspec.json.encode(describe(self._routes, self._version))


def describe(routes: Served, version: str) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for method, path, scope in routes:
        if path.startswith(BASE):
            operation = OPERATIONS.get((method, path), Operation(summary=f"{method} {path}"))
            needed = scope or OWN_PROOF.get((method, path))
            paths.setdefault(path, {})[method.lower()] = _operation(path, method, needed, operation)
    error = record(
        {"code": {**TEXT, "enum": sorted(ERRORS)}, "message": TEXT, "where": TEXT, "remedy": TEXT,
         "fault": {"enum": ["user", "system"]}, "temporary": {"type": "boolean"}},
        {"retry_after": {"type": "number"}, "details": several(record({"where": TEXT, "message": TEXT, "remedy": TEXT}))},
    )  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Showground",
            "version": version,
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": "A self-hosted function runtime for live apps of communities. All errors have one shape.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": record({"error": error})},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`showground token create`"}
            },
            "responses": {
                "Error": {
                    "description": "What went wrong, where, and what to do",
                    "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }


def _operation(path: str, method: str, scope: str | None, operation: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": PARAMETERS.get(name, {**TEXT, "minLength": 1})}
        for name in path_parameters(path)
    ]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]
    parameters += [{"name": name, "in": "header", "schema": schema} for name, schema in operation.headers.items()]
    good = {"description": "Done", "content": {operation.answer_type: {"schema": operation.answer}}}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _operation_id(method, path),
        "parameters": parameters,
        "responses": {
            **{str(status): good for status in operation.statuses},
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if operation.body is not None:
        content: Mapping[str, Any] = {kind: {"schema": operation.body} for kind in operation.body_types}
        described["requestBody"] = {"required": operation.body_needed, "content": content}
    if scope is not None:
        described["security"] = [{"token": []}]
        described["description"] = f"The token needs the scope `{scope}`."
    return described


def _operation_id(method: str, path: str) -> str:
    words = [part.strip("{}").partition(":")[0] for part in path.removeprefix(BASE).split("/")]
    return "_".join([method.lower(), *words]).replace("-", "_").replace(".", "_")
