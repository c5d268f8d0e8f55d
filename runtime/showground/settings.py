"""What an operator may set: one frozen record, read from a TOML file, then from the environment, then from flags.

Every field has its true default here; no value means "something else". `docs/operator-guide.md` lists them all, and a test
keeps both in step.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from showground.errors import Problem, ShowgroundError
from showground.keys import PREFIX, PREFIX_RULE
from showground.model import Frozen, LimitBounds

ENVIRONMENT_PREFIX = "SHOWGROUND_"


class HostSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8787
    """TCP port; 0 takes a free one and prints it."""
    data_dir: str = ".showground"
    """Folder for the embedded Redis, unpacked bundles, the secret key and host.json."""
    public_url: str = ""
    """The address that browsers use, when a proxy stands in front; empty: the address listened on."""
    allowed_origins: tuple[str, ...] = ()
    """Origins, besides our own, whose pages may embed posts and open WebSockets: `https://forum.example`."""
    drain_s: float = 10.0
    """Seconds that a stopping host gives to what still runs."""
    shortcut: bool = True
    """Answer events and invocations whose head is that of earlier ones without parsing it again: half the work per request.
    The answers are the same; off, every request goes through aiohttp."""
    demo: bool = False
    """Demo mode: anybody may sign in as a test member. Never on a public host."""


class RedisSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str = ""
    """`redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`; empty: the embedded server."""
    fsync: Literal["everysec", "always"] = "everysec"
    """How often the embedded server's append-only file reaches the disk: a power cut may cost a second, or nothing."""
    prefix: str = "sg"
    """First part of every key; lets deployments share one Redis. Letters, digits, `_`, `.` and `-`."""
    shards: int = 8
    """Slots that the host-wide queues are spread over; fixed for the life of a deployment."""
    deadline_s: float = 5.0
    """Seconds after which a command that was not answered fails."""

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            raise ValueError(f"prefix = {self.prefix!r} can't be one. {PREFIX_RULE}")


class WorkerSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    isolation: Literal["auto", "none", "process", "confined"] = "auto"
    """`none`: in the host's process, for a debugger only. `process`: own process with limits. `confined`: also no network,
    no files, no other processes. `auto`: confined where its self-test passes, else process with a warning."""
    limits: LimitBounds = LimitBounds()
    """Upper bounds for what a manifest may ask for, which are also what an app gets that asks for nothing. They hold from the
    next start of the host on, for versions that are stored already, too. Not set: what the manifest says."""
    idle_s: float = 300.0
    """Seconds after which a worker that nobody called is ended."""
    in_flight: int = 256
    """Calls at once in one worker; more wait in a bounded queue, then are refused as `overloaded`."""
    spawn_s: float = 5.0
    """Seconds within which a worker must be forked; raise it on a machine that stands still for longer."""


class LogSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: console on a terminal, else JSON lines."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The host's own log, this level and above; what apps print is kept apart, at every level."""


class EventSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    types: Mapping[str, Mapping[str, Any]] = {}
    """Custom event types by dotted name, each with a JSON Schema of its payload (an empty one allows anything)."""


class TicketSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keys: Mapping[str, str] = {}
    """Keys with which sites sign viewer tickets: name → at least 32 random bytes in base64. The newest last."""


class WebhookSettings(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One section `[webhooks.<name>]`: what another service calls at `POST /api/v1/webhooks/<name>`."""

    community: str
    event: str
    """Type of the event that each call becomes."""
    secret_variables: tuple[str, ...] = ()
    """Environment variables that hold a secret each (`whsec_…`); more than one while a secret is being changed."""
    sealed_secrets: tuple[str, ...] = ()
    """Secrets as `POST /api/v1/webhooks/{name}/seal` gives them: encrypted with the deployment's key."""
    fields: Mapping[str, str] = {}
    """Field of the event's payload → dotted path in the body. Empty: the body is the payload."""


class Settings(Frozen, frozen=True, kw_only=True):
    host: HostSettings = HostSettings()
    redis: RedisSettings = RedisSettings()
    workers: WorkerSettings = WorkerSettings()
    logs: LogSettings = LogSettings()
    events: EventSettings = EventSettings()
    tickets: TicketSettings = TicketSettings()
    webhooks: Mapping[str, WebhookSettings] = {}
    providers: Mapping[str, str] = {}
    """Which provider serves a capability: `realtime = "redis"`. Not named: the only one, or the one called `redis`."""
    disabled_plugins: tuple[str, ...] = ()
    """Entry-point names of plugins that are installed but not to be loaded."""
    options: Mapping[str, Mapping[str, Any]] = {}
    """Sections of plugins and capabilities: `[realtime] history_messages = 1000`."""

    @property
    def data_dir(self) -> Path:
        """Absolute, because workers and the embedded Redis have working folders of their own."""
        return Path(self.host.data_dir).absolute()


SECTIONS: Mapping[str, type[Frozen]] = {
    "host": HostSettings,
    "redis": RedisSettings,
    "workers": WorkerSettings,
    "logs": LogSettings,
    "events": EventSettings,
    "tickets": TicketSettings,
}
_TOP_LEVEL = ("webhooks", "providers", "disabled_plugins")


def load_settings(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """Read settings: *file*, then `SHOWGROUND_<SECTION>_<FIELD>` of *environ*, then *flags*; later ones win.

    Raises `misconfigured` with every fault: an unknown section of the environment, a field of the wrong type.
    """
    problems: list[Problem] = []
    document: dict[str, Any] = {}
    if file is not None:
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise ShowgroundError("misconfigured", f"cannot read the settings: {error.strerror}", str(file)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ShowgroundError("misconfigured", f"not valid TOML: {error}", str(file)) from error
    _merge(document, _from_environment(os.environ if environ is None else environ))
    _merge(document, flags or {})
    values: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, section in document.items():
        if name in SECTIONS:
            _convert(name, section, SECTIONS[name], values, problems)
        elif name == "webhooks":
            _convert(name, section, Mapping[str, WebhookSettings], values, problems)
        elif name == "providers":
            _convert(name, section, Mapping[str, str], values, problems)
        elif name == "disabled_plugins":
            _convert(name, section, tuple[str, ...], values, problems)
        elif isinstance(section, Mapping):
            options[name] = section
        else:
            problems.append(Problem(name, "is not a section", f"Known: {', '.join((*SECTIONS, *_TOP_LEVEL))}."))
    if problems:
        raise ShowgroundError(
            "misconfigured",
            "the settings have faults",
            str(file or "settings"),
            "Mend what is listed.",
            details=problems,
        )
    return Settings(**values, options=options)


def _convert(name: str, section: Any, kind: Any, values: dict[str, Any], problems: list[Problem]) -> None:
    try:
        values[name] = msgspec.convert(section, kind, strict=False)
    except msgspec.ValidationError as error:
        problems.append(Problem(name, str(error), "See the settings table in the operator guide."))


def _from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Only names of known sections count, so that SHOWGROUND_URL and SHOWGROUND_TOKEN stay free for the command line."""
    found: dict[str, dict[str, Any]] = {}
    for variable, value in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        section, _, field = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        if section not in SECTIONS or not field:
            continue
        is_list = field == "allowed_origins"
        found.setdefault(section, {})[field] = [v for v in value.split(",") if v] if is_list else value
    return found


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, section in more.items():
        if isinstance(section, Mapping) and isinstance(into.get(name), dict):
            into[name].update(section)
        else:
            into[name] = dict(section) if isinstance(section, Mapping) else section
