"""What each route of the HTTP API takes and gives, for its OpenAPI description; held to what a host serves by a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from showground.model import Frozen

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {}
NULL_TEXT: Schema = {"type": ["string", "null"]}
NULL_COUNT: Schema = {"type": ["integer", "null"]}

JSON = "application/json"
NDJSON = "application/x-ndjson"


def record(
    needed: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, *, closed: bool = False
) -> Schema:
    schema = {"type": "object", "properties": {**needed, **(optional or {})}, "required": list(needed)}
    return {**schema, "additionalProperties": False} if closed else schema


def several(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


class Operation(Frozen, frozen=True, kw_only=True):
    summary: str
    answer: Mapping[str, Any] = {}
    """JSON Schema of a good answer."""
    answer_type: str = JSON
    statuses: tuple[int, ...] = (200,)
    body: Schema | None = None
    body_types: tuple[str, ...] = (JSON,)
    body_needed: bool = True
    query: Mapping[str, Schema] = {}
    headers: Mapping[str, Schema] = {}


INSTALLATION = record(
    {
        "id": TEXT,
        "app": TEXT,
        "community": TEXT,
        "version": TEXT,
        "digest": TEXT,
        "installed_at_ms": COUNT,
        "revision": COUNT,
    }
)
TOKEN = record(
    {
        "id": TEXT,
        "name": TEXT,
        "scopes": several(one_of("read", "emit", "deploy", "admin")),
        "community": NULL_TEXT,
        "app": NULL_TEXT,
        "created_at_ms": COUNT,
        "expires_at_ms": NULL_COUNT,
        "last_used_ms": NULL_COUNT,
    }
)
APP = record(
    {
        "name": TEXT,
        "communities": several(TEXT),
        "versions": several(record({"version": TEXT, "digest": TEXT, "bytes": COUNT, "uploaded_at_ms": COUNT})),
    }
)
SETTINGS = record(
    {
        "settings": several(
            record(
                {"name": TEXT, "type": TEXT, "scope": TEXT, "secret": FLAG, "set": FLAG, "value": ANY, "default": ANY}
            )
        )
    }
)
DELIVERY = record({"id": TEXT, "installation": TEXT, "status": one_of("queued", "done", "failed", "dead")})
ACCEPTED = record(
    {
        "events": several(
            record({"id": TEXT, "source": TEXT, "type": TEXT, "community": TEXT, "deliveries": several(DELIVERY)})
        )
    }
)
LETTER = record(
    {
        "id": TEXT,
        "installation": TEXT,
        "kind": one_of("trigger", "job"),
        "name": TEXT,
        "attempts": COUNT,
        "created_at_ms": COUNT,
        "died_at_ms": COUNT,
        "error": ANY,
    }
)
JOB = record(
    {
        "id": TEXT,
        "name": TEXT,
        "cron": NULL_TEXT,
        "run_at_ms": NULL_COUNT,
        "timezone": TEXT,
        "paused": FLAG,
        "next_run_ms": NULL_COUNT,
    }
)
RUN = record({"run": TEXT, "job": TEXT, "scheduled_at_ms": NULL_COUNT, "status": TEXT, "attempts": COUNT})
EVENT = record(
    {
        "specversion": {"const": "1.0"},
        "id": TEXT,
        "source": TEXT,
        "type": TEXT,
        "subject": {**TEXT, "description": "The community."},
    },
    {"data": {"type": "object"}, "data_base64": TEXT, "time": TEXT, "datacontenttype": TEXT, "dataschema": TEXT},
)
WANTED = record({}, {"version": TEXT}, closed=True)
VALUES: Schema = {"type": "object", "description": "Field → value; null unsets."}
ACTOR: Mapping[str, Schema] = {"X-Showground-Actor": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 100}

_ONE = "/api/v1/communities/{community}/apps/{app}"
_LETTERS = f"{_ONE}/dead-letters"
_CHANNEL = f"{_ONE}/channels/{{name}}"
_JOB = f"{_ONE}/jobs/{{job}}"


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", f"{_ONE}/invoke/{{event}}"): Operation(
        summary="Run a trigger now and answer with what it returned",
        body={"type": "object"},
        body_needed=False,
        query={"timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 900_000}},
    ),
    ("GET", f"{_ONE}/logs"): Operation(
        summary="Log lines, oldest first; with follow, also those to come",
        answer_type=NDJSON,
        query={
            "since": TEXT,
            "level": one_of("debug", "info", "warning", "error", "critical"),
            "invocation": TEXT,
            "limit": {"type": "integer", "minimum": 1, "maximum": 10_000},
            "follow": one_of("0", "1"),
        },
    ),
    ("GET", "/api/v1/tokens"): Operation(
        summary="Operator tokens, without their secrets", answer=record({"tokens": several(TOKEN)})
    ),
    ("POST", "/api/v1/tokens"): Operation(
        summary="Make a token; only this answer shows it",
        statuses=(201,),
        answer=record({"token": TEXT, **TOKEN["properties"]}),
        body=record(
            {
                "name": {"type": "string", "minLength": 1, "maxLength": 64},
                "scopes": {"type": "array", "items": one_of("read", "emit", "deploy", "admin"), "minItems": 1},
            },
            {"community": NULL_TEXT, "app": NULL_TEXT, "ttl_s": {"type": ["number", "null"]}},
            closed=True,
        ),
    ),
    ("DELETE", "/api/v1/tokens/{id}"): Operation(summary="Revoke a token", answer=record({"revoked": TEXT})),
    ("POST", "/api/v1/apps"): Operation(
        summary="Upload a bundle as a zip",
        statuses=(201,),
        answer=record({"app": TEXT, "version": TEXT, "digest": TEXT}),
        body={"type": "string", "format": "binary"},
        body_types=("application/zip", "application/octet-stream"),
    ),
    ("GET", "/api/v1/apps"): Operation(summary="Apps and their versions", answer=record({"apps": several(APP)})),
    ("GET", "/api/v1/apps/{app}"): Operation(
        summary="One app, and what its newest version registers",
        answer=record({**APP["properties"], "registration": {"type": "object"}}),
    ),
    ("DELETE", "/api/v1/apps/{app}/versions/{version}"): Operation(
        summary="Delete a version", answer=record({"deleted": TEXT})
    ),
    ("GET", "/api/v1/apps/{app}/settings"): Operation(
        summary="App-wide settings; secrets are never shown", answer=SETTINGS
    ),
    ("PUT", "/api/v1/apps/{app}/settings"): Operation(
        summary="Set app-wide settings, all or none", body=VALUES, answer=SETTINGS
    ),
    ("POST", "/api/v1/settings/rotate-key"): Operation(
        summary="Encrypt every secret under a new key", answer=record({"secrets": COUNT})
    ),
    ("GET", "/api/v1/communities"): Operation(
        summary="Communities in which something is installed",
        answer=record({"communities": several(record({"name": TEXT, "apps": several(TEXT)}))}),
    ),
    ("GET", "/api/v1/communities/{community}/apps"): Operation(
        summary="What is installed in a community", answer=record({"installations": several(INSTALLATION)})
    ),
    ("GET", _ONE): Operation(summary="One installation", answer=INSTALLATION),
    ("PUT", _ONE): Operation(
        summary="Install an app, or bring it to another version",
        statuses=(200, 201),
        answer=INSTALLATION,
        body=WANTED,
        body_needed=False,
        headers=ACTOR,
    ),
    ("DELETE", _ONE): Operation(
        summary="Uninstall, with all data", answer=record({"uninstalled": TEXT}), headers=ACTOR
    ),
    ("POST", f"{_ONE}/rollback"): Operation(summary="Return to the version before", answer=INSTALLATION, headers=ACTOR),
    ("GET", f"{_ONE}/settings"): Operation(summary="Settings of an installation", answer=SETTINGS),
    ("PUT", f"{_ONE}/settings"): Operation(
        summary="Set settings of an installation, all or none", body=VALUES, answer=SETTINGS
    ),
    ("GET", f"{_ONE}/export"): Operation(
        summary="Everything of an installation, one record a line",
        answer_type=NDJSON,
        query={"secrets": one_of("0", "1")},
    ),
    ("POST", f"{_ONE}/import"): Operation(
        summary="Replace everything of an installation by an export",
        body={"type": "string"},
        body_types=(NDJSON,),
        answer={"type": "object"},
    ),
    ("POST", "/api/v1/events"): Operation(
        summary="Send CloudEvents 1.0: one, a batch, or one in ce- headers",
        statuses=(200, 202),
        answer=ACCEPTED,
        body={"oneOf": [EVENT, several(EVENT)]},
        body_types=("application/cloudevents+json", "application/cloudevents-batch+json", JSON),
        query={"wait": {"type": "number", "minimum": 0, "maximum": 30}},
    ),
    ("GET", "/api/v1/event-types"): Operation(
        summary="Event types and the JSON Schemas of their payloads",
        answer=record(
            {
                "event_types": several(
                    record({"name": TEXT, "description": TEXT, "custom": FLAG, "schema": {"type": "object"}})
                )
            }
        ),
    ),
    ("POST", "/api/v1/webhooks/{name}"): Operation(
        summary="A webhook of another service, signed as Standard Webhooks has it",
        statuses=(202,),
        body={"type": "object"},
        answer=record({"id": TEXT, "deliveries": COUNT}),
        headers={
            "webhook-id": TEXT,
            "webhook-timestamp": {"type": "string", "pattern": "^[0-9]{1,12}$"},
            "webhook-signature": TEXT,
        },
    ),
    ("POST", "/api/v1/webhooks/{name}/seal"): Operation(
        summary="Encrypt a webhook's secret for the settings",
        body=record({"secret": TEXT}),
        answer=record({"sealed": TEXT}),
    ),
    ("GET", _LETTERS): Operation(
        summary="Deliveries that were given up, newest first",
        answer=record({"dead_letters": several(LETTER), "total": COUNT}),
        query={
            "limit": {"type": "integer", "minimum": 0, "maximum": 500},
            "offset": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        },
    ),
    ("DELETE", _LETTERS): Operation(summary="Throw all of them away", answer=record({"purged": COUNT})),
    ("POST", f"{_LETTERS}/redrive"): Operation(
        summary="Deliver all of them again", statuses=(202,), answer=record({"redriven": COUNT})
    ),
    ("GET", f"{_LETTERS}/{{id}}"): Operation(summary="One of them, with its payload", answer=LETTER),
    ("POST", f"{_LETTERS}/{{id}}/redrive"): Operation(
        summary="Deliver one again", statuses=(202,), answer=record({"redriven": COUNT})
    ),
    ("DELETE", f"{_LETTERS}/{{id}}"): Operation(summary="Throw one away", answer=record({"purged": COUNT})),
    ("GET", f"{_ONE}/channels"): Operation(
        summary="Channels that have a history, and the limits",
        answer=record({"channels": several(TEXT), "limits": {"type": "object"}}),
    ),
    ("GET", _CHANNEL): Operation(
        summary="Listen to a channel: server-sent events, or a WebSocket when the request asks for an upgrade",
        answer_type="text/event-stream",
        query={"since": TEXT, "policy": one_of("disconnect", "coalesce"), "access_token": TEXT},
    ),
    ("POST", _CHANNEL): Operation(summary="Send a message, any JSON", body=ANY, answer=record({"position": TEXT})),
    ("GET", f"{_CHANNEL}/history"): Operation(
        summary="Messages after a position",
        query={"since": TEXT, "limit": {"type": "integer", "minimum": 1, "maximum": 1000}},
        answer=record(
            {"messages": several(record({"position": TEXT, "data": ANY})), "position": TEXT, "recovered": FLAG}
        ),
    ),
    ("GET", f"{_ONE}/kv"): Operation(
        summary="How many bytes the keys take, and may take",
        answer=record({"bytes_used": COUNT, "bytes_allowed": COUNT}),
    ),
    ("POST", f"{_ONE}/kv/commands"): Operation(
        summary="Run one Redis command of those that apps may use",
        body=record({"command": {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1}}),
        answer=record({"reply": ANY}),
    ),
    ("GET", f"{_ONE}/kv/export"): Operation(summary="Every key, one record a line", answer_type=NDJSON),
    ("POST", f"{_ONE}/kv/import"): Operation(
        summary="Write keys as an export has them",
        body={"type": "string"},
        body_types=(NDJSON,),
        answer=record({"imported": COUNT}),
    ),
    ("GET", f"{_ONE}/jobs"): Operation(
        summary="Scheduled jobs, by their next run", answer=record({"jobs": several(JOB)})
    ),
    ("GET", _JOB): Operation(summary="One job", answer=JOB),
    ("GET", f"{_JOB}/history"): Operation(
        summary="How its last runs ended, newest first", answer=record({"runs": several(RUN)}), query={"limit": LIMIT}
    ),
    ("POST", f"{_JOB}/run"): Operation(summary="Run it once now", answer=record({"run": TEXT})),
    ("POST", f"{_JOB}/pause"): Operation(summary="Let it fire no more until it is resumed", answer=JOB),
    ("POST", f"{_JOB}/resume"): Operation(summary="Let it fire again", answer=JOB),
    ("DELETE", _JOB): Operation(summary="Remove it", answer=record({"cancelled": TEXT})),
    ("GET", "/api/v1/openapi.json"): Operation(summary="This description", answer={"type": "object"}),
}

PARAMETERS: Mapping[str, Schema] = {
    "community": {"type": "string", "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,31}$", "example": "playground"},
    "app": {"type": "string", "pattern": "^[a-z][a-z0-9-]{1,31}$"},
    "name": {"type": "string", "pattern": "^[A-Za-z0-9_]{1,64}$"},
}
"""Path parameters; others are any text."""


def path_parameters(path: str) -> Sequence[str]:
    return [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]
