"""The records that cross seams: plain frozen data, no behaviour, nothing that holds a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from showground.keys import InstallationId

InvocationKind = Literal["trigger", "job", "menu", "form", "view", "validate"]
Overlap = Literal["allow", "skip", "queue"]
Misfire = Literal["run_once", "skip", "all"]
if TYPE_CHECKING:
    Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
else:
    Json = Any  # msgspec 0.22 cannot decode into an alias that names itself; what it decodes is JSON anyway


class Frozen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the records that also travel as msgpack or JSON; maps on the wire, so fields may be added."""


# --- what a bundle registers -----------------------------------------------------------------------------------------


class TriggerSpec(Frozen, frozen=True, kw_only=True):
    """One handler for one event type; several handlers of one event are called together in one invocation."""

    event: str
    timeout_s: float | None = None
    max_attempts: int | None = None


class JobSpec(Frozen, frozen=True, kw_only=True):
    """A job that `run_job` may name."""

    name: str
    timeout_s: float | None = None
    max_attempts: int | None = None


class StaticJob(Frozen, frozen=True, kw_only=True):
    """A recurring job declared in app.json; the scheduler creates it at install and removes what an upgrade drops."""

    name: str
    cron: str
    data: Mapping[str, Json] = {}
    timezone: str = "UTC"
    misfire: Misfire = "run_once"
    overlap: Overlap = "skip"


class PostTypeSpec(Frozen, frozen=True, kw_only=True):
    name: str
    description: str = ""
    height: Literal["regular", "tall"] = "regular"


class MenuItemSpec(Frozen, frozen=True, kw_only=True):
    """`id` is `menuItem.<index>` in registration order, as in Devvit."""

    id: str
    label: str
    location: tuple[Literal["post", "comment", "subreddit"], ...]
    description: str = ""
    post_filter: Literal["none", "currentApp"] = "none"
    for_user_type: tuple[Literal["member", "moderator", "loggedOut"], ...] = ("member",)


class FormSpec(Frozen, frozen=True, kw_only=True):
    """`id` is `form.<n>`. `form` is the static form, or None when a function makes it at show time."""

    id: str
    form: Mapping[str, Json] | None = None


class SettingSpec(Frozen, frozen=True, kw_only=True):
    name: str
    type: Literal["string", "paragraph", "number", "boolean", "select"]
    label: str = ""
    scope: Literal["installation", "app"] = "installation"
    help_text: str = ""
    placeholder: str = ""
    default: Json = None
    is_secret: bool = False
    options: tuple[tuple[str, str], ...] = ()
    """(label, value) pairs of a select."""
    multi_select: bool = False
    group: str = ""
    has_validator: bool = False


class Registration(Frozen, frozen=True, kw_only=True):
    """Everything that a bundle registered when it was loaded, as data."""

    capabilities: frozenset[str] = frozenset()
    """Names granted by `configure` and implied by registrations: redis, realtime, reddit, http, media, scheduler, settings…"""
    http_domains: tuple[str, ...] = ()
    user_scopes: tuple[str, ...] = ()
    triggers: tuple[TriggerSpec, ...] = ()
    jobs: tuple[JobSpec, ...] = ()
    static_jobs: tuple[StaticJob, ...] = ()
    post_types: tuple[PostTypeSpec, ...] = ()
    menu_items: tuple[MenuItemSpec, ...] = ()
    forms: tuple[FormSpec, ...] = ()
    settings: tuple[SettingSpec, ...] = ()
    configured: Mapping[str, Json] = {}
    """The merged `configure` options as the bundle wrote them, for plugins that define their own."""

    def trigger(self, event: str) -> TriggerSpec | None:
        for trigger in self.triggers:  # on the way of every event; a generator would cost twice as much
            if trigger.event == event:
                return trigger
        return None

    def job(self, name: str) -> JobSpec | None:
        for job in self.jobs:
            if job.name == name:
                return job
        return None


class Limits(Frozen, frozen=True, kw_only=True):
    """What one worker of an app may use; from the manifest, capped by the operator's settings."""

    workers: int = 1
    memory_mb: int = 256
    timeout_s: float = 30.0
    load_timeout_s: float = 10.0
    frame_bytes: int = 8 * 1024 * 1024
    log_lines_per_s: int = 1000
    processes: int = 16
    open_files: int = 64


class LimitBounds(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator allows of each of `Limits`: its upper bound, and what an app gets that asks for nothing. None leaves it
    to the app. The least values are those that a manifest may ask for: with less, no app would start."""

    workers: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Worker processes of one version on each host."""
    memory_mb: Annotated[int, msgspec.Meta(ge=64)] | None = None
    """Memory of one worker."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The longest that one call may take."""
    load_timeout_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The longest that loading a bundle may take."""
    frame_bytes: Annotated[int, msgspec.Meta(ge=65536)] | None = None
    """The largest message to or from a worker."""
    log_lines_per_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Lines that one worker may print in a second; more are dropped and counted."""
    processes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Processes and threads of one worker."""
    open_files: Annotated[int, msgspec.Meta(ge=16)] | None = None
    """Files and sockets that one worker may have open."""


class AppVersion(Frozen, frozen=True, kw_only=True):
    """One immutable version of an app. `digest` is the SHA-256 of its content and its identity."""

    app: str
    version: str
    digest: str
    entry: str
    limits: Limits = Limits()
    registration: Registration = Registration()


class Installation(Frozen, frozen=True, kw_only=True):
    """An app version at work in a community."""

    id: InstallationId
    app: str
    community: str
    version: AppVersion
    installed_at_ms: int
    revision: int = 1
    """Grows by one with every install, upgrade and rollback."""


# --- one invocation --------------------------------------------------------------------------------------------------


class Invocation(Frozen, frozen=True, kw_only=True):
    """One call of an app's code. Its id is known to one worker only, for as long as the call lasts."""

    id: str
    installation: InstallationId
    app: str
    app_version: str
    community: str
    kind: InvocationKind
    name: str
    """The event type, job name, menu item id, form id, post type or setting."""
    timeout_s: float
    attempt: int = 1
    """1 at the first try."""
    idempotency_key: str = ""
    """The same for every attempt of one delivery; `job@slot` for a job."""
    deadline_ms: int = 0
    user_id: str | None = None
    username: str | None = None
    is_moderator: bool = False
    post_id: str | None = None
    comment_id: str | None = None
    locale: str = "en"
    timezone: str = "UTC"
    color_scheme: Literal["light", "dark"] = "light"


class Delivery(Frozen, frozen=True, kw_only=True):
    """One durable piece of work for one installation: an event for its triggers, or one slot of a job.

    `id` is deterministic and dedupes: a second enqueue of the same id within 24 h is answered `duplicate` and changes nothing.
    """

    id: str
    installation: InstallationId
    kind: Literal["trigger", "job"]
    name: str
    payload: bytes
    """JSON, passed to the handler as it is."""
    due_at_ms: int = 0
    """Not claimed before this time; 0 is now."""
    group: str = ""
    """Deliveries that share a non-empty group (a job id) obey `overlap` among themselves and share a history."""
    overlap: Overlap = "allow"
    timeout_s: float | None = None
    max_attempts: int | None = None
    max_age_s: float | None = None
    created_at_ms: int = 0


class Outcome(Frozen, frozen=True, kw_only=True):
    """How one delivery ended, or how its last attempt did."""

    delivery: str
    installation: InstallationId
    status: Literal["done", "failed", "dead", "skipped"]
    attempts: int
    result: bytes = b""
    """JSON of what the handler returned."""
    error: Mapping[str, Json] | None = None
    """The inner object of the error JSON shape."""
    started_at_ms: int = 0
    finished_at_ms: int = 0


# --- what the host tells its observers -------------------------------------------------------------------------------


class HostEvent(Frozen, frozen=True, kw_only=True):
    """Something that happened, for metrics and audit. `labels` are bounded in number; user ids never appear in them."""

    name: str
    at_ms: int
    labels: Mapping[str, str] = {}
    value: float = 1.0
