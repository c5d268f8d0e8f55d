"""Every error that Showground reports, in one table, and the one exception that carries it.

Codes are stable: programs may compare them. `docs/errors.md` lists them for people; a test keeps both in step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["user", "system"]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the error table."""

    status: int
    """HTTP status that an API answer with this code carries."""
    fault: Fault
    """`user`: the caller must change something. `system`: the operator or time must."""
    temporary: bool
    """Whether the same call may succeed later, unchanged."""
    meaning: str
    """One sentence for docs/errors.md."""


ERRORS: Mapping[str, ErrorKind] = {
    # what a caller sent
    "bad_request": ErrorKind(400, "user", False, "The request could not be understood."),
    "invalid": ErrorKind(
        422, "user", False, "The request was understood but breaks a rule; `details` lists each breach."
    ),
    "unauthorized": ErrorKind(401, "user", False, "No token or ticket was sent, or it is not (or no longer) valid."),
    "forbidden": ErrorKind(403, "user", False, "The token or ticket is valid but does not cover this."),
    "not_found": ErrorKind(404, "user", False, "Nothing of that name is here."),
    "conflict": ErrorKind(409, "user", False, "It clashes with what is already here."),
    "too_large": ErrorKind(413, "user", False, "It is larger than its limit."),
    "unsupported": ErrorKind(415, "user", False, "The media type, form or command is not one that is understood."),
    "rate_limited": ErrorKind(429, "user", True, "A rate limit was reached; `retry_after` says when to come back."),
    "quota_exceeded": ErrorKind(429, "user", False, "A quota of the installation is used up; nothing was half-done."),
    # what an app did
    "bundle_invalid": ErrorKind(
        422, "user", False, "The bundle has faults; `details` lists them all, with path and remedy."
    ),
    "not_configured": ErrorKind(
        403, "user", False, "The app used a capability that it did not configure or was not permitted."
    ),
    "unknown_command": ErrorKind(400, "user", False, "The Redis command is not one that apps may use."),
    "wrong_type": ErrorKind(409, "user", False, "The key holds another type of value than the command works on."),
    "not_connected": ErrorKind(409, "user", True, "The channel is not subscribed and connected."),
    "app_error": ErrorKind(500, "user", False, "The app's own code raised an error; its log has the traceback."),
    "app_load_failed": ErrorKind(500, "user", False, "The app's code could not be loaded; its log has the reason."),
    "deadline_exceeded": ErrorKind(504, "user", True, "The app's handler ran past its deadline and was ended."),
    "worker_died": ErrorKind(502, "user", True, "The app's worker process ended while it handled the call."),
    "protocol_error": ErrorKind(502, "user", True, "The app's worker broke the worker protocol and was ended."),
    # what the host or its surroundings did
    "not_ready": ErrorKind(
        503, "system", True, "The host is starting, draining or lacks something that it needs, or an import goes on."
    ),
    "overloaded": ErrorKind(
        503, "system", True, "A queue of the host is full, or nobody was free in time; nothing was done."
    ),
    "store_unavailable": ErrorKind(
        503, "system", True, "Redis did not answer in time; the change may or may not have happened."
    ),
    "plugin_error": ErrorKind(500, "system", False, "A plugin failed; the message names it."),
    "misconfigured": ErrorKind(
        500, "system", False, "The host's settings do not fit together; the message says which."
    ),
    "internal": ErrorKind(500, "system", False, "A fault in Showground itself; please report it."),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where, and what to do about it."""

    where: str
    """A path: `app.json/settings/0/name`, `main.py:12`, `data.post.id`."""
    message: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        return {"where": self.where, "message": self.message, "remedy": self.remedy}


@dataclass(eq=False)
class ShowgroundError(Exception):
    """What happened, where, and what to do. `code` is a key of `ERRORS`."""

    code: str
    message: str
    where: str = ""
    remedy: str = ""
    retry_after: float | None = None
    """Seconds until a temporary error is worth another try, where that is known."""
    details: Sequence[Problem] = field(default_factory=tuple)
    begun: bool = field(default=False, kw_only=True)
    """Whether a handler had begun, and let this through. Known to the host that ran it, and not told to others."""

    def __post_init__(self) -> None:
        if self.code not in ERRORS:
            raise ValueError(f"{self.code!r} is not in the error table")
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.code, self.message, self.where, self.remedy, self.retry_after, tuple(self.details)))

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.remedy:
            parts.append(self.remedy)
        parts.extend(f"  {p.where}: {p.message.rstrip('.')}.{' ' + p.remedy if p.remedy else ''}" for p in self.details)
        return "\n".join(parts)

    @property
    def kind(self) -> ErrorKind:
        return ERRORS[self.code]

    def to_json(self) -> dict[str, object]:
        """The one JSON shape: `{"error": {code, message, where, remedy, fault, temporary, retry_after?, details?}}`."""
        body: dict[str, object] = {
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "remedy": self.remedy,
            "fault": self.kind.fault,
            "temporary": self.kind.temporary,
        }
        if self.retry_after is not None:
            body["retry_after"] = round(self.retry_after, 3)
        if self.details:
            body["details"] = [p.to_json() for p in self.details]
        return {"error": body}

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> ShowgroundError:
        """Read the one JSON shape back; an unknown code becomes `internal` so that old clients survive new hosts."""
        raw = body.get("error", body)
        error = raw if isinstance(raw, Mapping) else {}
        details = error.get("details", ())
        retry_after = error.get("retry_after")
        code = str(error.get("code", "internal"))
        return cls(
            code if code in ERRORS else "internal",
            str(error.get("message", "no message")),
            str(error.get("where", "")),
            str(error.get("remedy", "")),
            float(retry_after) if isinstance(retry_after, int | float) else None,
            tuple(
                Problem(str(d.get("where", "")), str(d.get("message", "")), str(d.get("remedy", "")))
                for d in (details if isinstance(details, Sequence) else ())
                if isinstance(d, Mapping)
            ),
        )
