"""What apps can use, as protocols. Each has a `redis` and a `memory` provider, and every provider passes the conformance
suite in `showground.testing.conformance`.

All methods may raise `ShowgroundError` `store_unavailable` (temporary) besides what they name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from showground.keys import CapabilityKey, InstallationId
from showground.model import Delivery, Frozen, Installation, Json, Misfire, Outcome, Overlap

if TYPE_CHECKING:
    from aiohttp import web

# --- key-value -------------------------------------------------------------------------------------------------------

Argument = str | bytes | int | float
KeyValueReply = None | bool | int | float | str | bytes | list["KeyValueReply"]


class KeyValueTransaction(Protocol):
    """WATCH / MULTI / EXEC on a connection of its own; ends by itself after 5 s."""

    async def execute(self, command: Sequence[Argument]) -> KeyValueReply:
        """Run one command before `MULTI` at once (reads of watched keys), after it queued (`"QUEUED"`)."""
        ...

    async def exec(self) -> list[KeyValueReply] | None:
        """The replies in order, or None when a watched key changed: then nothing was done."""
        ...

    async def close(self) -> None:
        """Discard whatever was not executed. Idempotent."""
        ...


class KeyValue(Protocol):
    """Redis commands over the keys of one scope. Keys in, keys out: the provider adds and removes the scope's prefix.

    A scope is an installation id, or `app:*` for the keys that an app shares over all communities (`context.redis.global_`).
    """

    async def execute(self, scope: str, commands: Sequence[Sequence[Argument]]) -> list[KeyValueReply | Exception]:
        """Run *commands* in order, in one round trip, not atomically; a command that fails leaves its exception in its place.

        Errors: `unknown_command` (not on the allow-list), `invalid` (wrong arity), `wrong_type`, `quota_exceeded`
        (writes only; nothing was written), `too_large`.
        """
        ...

    async def transaction(self, scope: str, watch: Sequence[str]) -> KeyValueTransaction:
        """Open a transaction that watches *watch*. At most 20 per scope (`quota_exceeded`)."""
        ...

    async def usage(self, scope: str) -> tuple[int, int]:
        """(bytes used, bytes allowed)."""
        ...

    def export(self, scope: str) -> AsyncIterator[Mapping[str, Json]]:
        """Every key as one JSON record with type, value and expiry, in no order."""
        ...

    async def load(self, scope: str, record: Mapping[str, Json]) -> None:
        """Write one record of `export`; an existing key is replaced."""
        ...

    async def clear(self, scope: str) -> int:
        """Delete every key of the scope; returns how many."""
        ...


# --- realtime --------------------------------------------------------------------------------------------------------


class Position(Frozen, frozen=True, kw_only=True):
    """Where a message stands in its channel. Offsets count from 1 within an epoch; a new epoch means that history was lost."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read `epoch.offset`; raises `ValueError`."""
        epoch, _, offset = text.rpartition(".")
        return cls(epoch=epoch, offset=int(offset))


@dataclass(frozen=True, slots=True)
class Message:
    position: Position
    data: bytes
    """The JSON payload as it was published; the host never decodes it."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The answer to a subscription: where the channel stands, and whether all that was missed has been (or was) delivered."""

    position: Position
    recovered: bool
    """True when *since* was given and every message after it has been passed to `deliver`, once, in order."""


class RealtimeLimits(Frozen, frozen=True, kw_only=True):
    """What one installation may use, and what every client is told in its hello."""

    messages_per_s: int = 100
    """Messages accepted in any one second, over all channels and hosts."""
    message_bytes: int = 1024 * 1024
    channels: int = 5
    """Channels with history at one time."""


class Subscription(Protocol):
    @property
    def start(self) -> Subscribed: ...

    @property
    def position(self) -> Position:
        """Of the last message that was delivered, or where the channel stood when nothing was; moves on after a gap."""
        ...

    async def close(self) -> None: ...


class Realtime(Protocol):
    """Channels of an installation. Order per channel; at most once to a connected subscriber, exactly once within history."""

    @property
    def limits(self) -> RealtimeLimits: ...

    async def publish(self, installation: InstallationId, channel: str, data: bytes) -> Position:
        """Append to the channel's history and send to every subscriber on every host, in one atomic step.

        Errors: `invalid` (name), `too_large` (over 1 MB; before anything is sent), `rate_limited` with `retry_after`
        (100 a second per installation, exact over all hosts), `quota_exceeded` (a sixth channel). Nothing is half-sent.
        """
        ...

    async def subscribe(
        self,
        installation: InstallationId,
        channel: str,
        deliver: Callable[[Message], None],
        since: Position | None = None,
        on_gap: Callable[[], None] | None = None,
    ) -> Subscription:
        """Call *deliver* for each message from now on, on the loop, in order; it must not block.

        With *since*, what was missed is delivered first. *on_gap* is called when continuity was lost later on and could
        not be repaired from history: the subscriber should fetch its state afresh.
        """
        ...

    async def history(
        self, installation: InstallationId, channel: str, since: Position | None = None, limit: int = 100
    ) -> tuple[Sequence[Message], Subscribed]:
        """The first *limit* messages after *since* (or the newest *limit*), oldest first, and where the channel stands.

        With *since* and not `recovered`, there are none: never a part. More follow while the last one is before the position.
        """
        ...

    async def channels(self, installation: InstallationId) -> Sequence[str]: ...

    async def clear(self, installation: InstallationId) -> None:
        """Forget all channels of the installation."""
        ...


# --- scheduler -------------------------------------------------------------------------------------------------------


class Job(Frozen, frozen=True, kw_only=True):
    """One scheduled job. Exactly one of `cron` and `run_at_ms` is set."""

    id: str
    name: str
    installation: InstallationId
    cron: str | None = None
    run_at_ms: int | None = None
    timezone: str = "UTC"
    data: Mapping[str, Json] | None = None
    key: str | None = None
    misfire: Misfire = "run_once"
    overlap: Overlap = "skip"
    paused: bool = False
    next_run_ms: int | None = None
    static: bool = False
    created_at_ms: int = 0


class Scheduler(Protocol):
    """Turns time into deliveries: at each slot of a job exactly one `Delivery` with id `job@slot_ms` is enqueued, however many
    hosts run. Running it, retrying it and burying it is the delivery queue's work."""

    async def run_job(self, job: Job) -> str:
        """Store *job* (its `id` empty: a UUID is made) and return its id. With `key`, the job of that key is replaced.

        Errors: `invalid` (`Invalid crontab`, no or both times, time zone), `quota_exceeded` (10 live recurring jobs;
        60 creations per minute: `rate_limited`). The job name is checked by the host before.
        """
        ...

    async def cancel_job(self, installation: InstallationId, job_id: str) -> bool:
        """Whether there was such a job. A slot that was enqueued already still runs.

        Errors: `forbidden` for a static job (`Unable to cancel action.`).
        """
        ...

    async def list_jobs(self, installation: InstallationId) -> Sequence[Job]:
        """By next run, then by id; paused and finished ones last."""
        ...

    async def pause(self, installation: InstallationId, job_id: str) -> None:
        """Fire no more. Idempotent. Errors, here and below: `not_found` when the installation has no such job."""
        ...

    async def resume(self, installation: InstallationId, job_id: str) -> None:
        """Continue from the next slot after now; slots that passed while paused are not made up for, but a one-off whose time
        has passed is due at once. Idempotent."""
        ...

    async def run_now(self, installation: InstallationId, job_id: str) -> str:
        """Enqueue one extra run at once, outside the schedule; returns its delivery id. Errors: `conflict` when `overlap` is
        `skip` and a run is outstanding."""
        ...

    async def history(self, installation: InstallationId, job_id: str, limit: int = 20) -> Sequence[Outcome]:
        """Newest first; bounded in number and age."""
        ...

    async def sync_static(self, installation: Installation) -> None:
        """Make the static jobs of the manifest be exactly those of this installation. Idempotent."""
        ...

    async def load(self, job: Job) -> str:
        """Store a job as `list_jobs` gave it, for an import; returns its id. No creation rate applies, the other quotas do.

        It keeps its id, unless another installation has it, its creation time, and whether it is paused; its next slot is
        counted from now. Of a static job only `paused` is taken over, by name: the rest is the manifest's. Errors: as `run_job`.
        """
        ...

    async def clear(self, installation: InstallationId) -> None:
        """Forget all jobs of the installation, and refuse new ones (`not_found`) for an hour or until `sync_static`, so that a
        call still under way leaves nothing behind."""
        ...

    def tick_age_s(self) -> float:
        """Seconds since the loop last finished a turn; `/readyz` goes red when it grows past its limit."""
        ...


# --- community -------------------------------------------------------------------------------------------------------


class LivePost(Frozen, frozen=True, kw_only=True):
    """What the host must know of an interactive post to show it: whose it is, and what its app stored with it."""

    id: str
    """`t3_…`, as in Devvit."""
    installation: InstallationId
    post_type: str
    data: bytes = b"null"
    """JSON that the app gave to `submit_post(post_data=…)`; passed to the worker as it is."""


class Member(Frozen, frozen=True, kw_only=True):
    """A signed-in person as apps see one."""

    id: str
    """`t2_…`, as in Devvit."""
    name: str
    is_moderator: bool = False


class Community(Protocol):
    """Where posts and people come from: the built-in community, or an operator's own forum in its place.

    Ids come from browsers and apps as they are: whatever has no such form is unknown, and what is unknown is None. Every host
    sees a change at once. None never means that the forum did not answer: that is `store_unavailable`.
    """

    async def live_post(self, post_id: str) -> LivePost | None:
        """The interactive post of that id; None for any other post, and for one that was removed or deleted."""
        ...

    async def member(self, community: str, user_id: str) -> Member | None:
        """A person, and whether they moderate *community* now."""
        ...

    async def signed_in(self, request: web.Request, community: str) -> Member | None:
        """Who sent *request*, as a session that the browser carries proves, and as `member` has them; None for somebody who is
        not signed in, or whose session was forged or has ended."""
        ...


class MenuEntry(Frozen, frozen=True, kw_only=True):
    """A menu item of an installed app, as a page offers it."""

    app: str
    id: str
    label: str
    description: str = ""


class Pages(Protocol):
    """What the host lends to plugins that make pages: live posts as HTML, and the apps' menu items and forms."""

    async def live_post(self, request: web.Request, post_id: str, member: Member | None) -> str:
        """HTML of a live post, painted for *member*, to be put into a page as it is. The page loads `/static/client.js` and
        `/static/client.css`. Where the app fails, the HTML says so; raises `not_found` only."""
        ...

    async def post_height(self, post_id: str) -> int:
        """CSS pixels that a live post takes: 320 or 512."""
        ...

    @property
    def is_demo(self) -> bool:
        """Whether anybody may sign in as a test member."""
        ...

    def ticket(self, community: str, member: Member) -> str:
        """A viewer ticket for *member*, good for an hour, as a site's back end would make one. Demo mode only (`forbidden`)."""
        ...

    def menu_items(
        self,
        community: str,
        location: Literal["post", "comment", "subreddit"],
        member: Member | None,
        post_app: str | None,
    ) -> Sequence[MenuEntry]:
        """What *member* may press there, by app and registration; *post_app* is the app whose post it is."""
        ...

    async def press_menu_item(
        self, community: str, app: str, item: str, location: str, target_id: str, member: Member | None
    ) -> bytes:
        """Run a menu item for *member*: JSON `{"effects": [...]}` for the browser.

        Raises `forbidden`, `not_found`, or however the app ended."""
        ...

    async def submit_form(
        self, community: str, app: str, form: str, body: bytes, member: Member | None, target_id: str = ""
    ) -> bytes:
        """Run a form that a menu item (or another form) showed to *member*; *body* is JSON `{"values": {...}}`, *target_id* the
        post or comment whose menu item began it. As above."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Headers that every page sends: a Content-Security-Policy without inline scripts or styles, and its companions."""
        ...


# --- what the host offers to providers -------------------------------------------------------------------------------

Enqueued = Literal["new", "duplicate", "skipped"]


class Deliveries(Protocol):
    """The durable delivery queue: at-least-once, own retries, dead letters, fair between installations."""

    async def enqueue(self, deliveries: Sequence[Delivery]) -> Sequence[Enqueued]:
        """Durable when it returns (as durable as Redis' append-only file). `skipped`: `overlap="skip"` and one of the group
        is still outstanding. Errors: `overloaded` when the installation's backlog is at its bound; nothing was enqueued."""
        ...

    async def history(self, installation: InstallationId, group: str, limit: int = 20) -> Sequence[Outcome]: ...

    async def clear(self, installation: InstallationId) -> None: ...


KEY_VALUE: CapabilityKey[KeyValue] = CapabilityKey("redis_kv")
REALTIME: CapabilityKey[Realtime] = CapabilityKey("realtime")
SCHEDULER: CapabilityKey[Scheduler] = CapabilityKey("scheduler")
COMMUNITY: CapabilityKey[Community] = CapabilityKey("community")
PAGES: CapabilityKey[Pages] = CapabilityKey("pages")
"""Offered by the host itself to the `routes` hook."""

Provider = AbstractAsyncContextManager
"""What `build` returns: entered once at start, left at stop, in reverse order."""
