"""From "this should run" to the app's code and back: finds the installation, makes the invocation, asks the supervisor.

Everybody who runs app code comes through here: the delivery runner, HTTP callers who wait, menu items, forms and views.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from showground.capabilities import LivePost
from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import (
    AppVersion,
    Delivery,
    Frozen,
    HostEvent,
    Installation,
    Invocation,
    InvocationKind,
    Json,
    Registration,
)


class Viewer(Frozen, frozen=True, kw_only=True):
    """On whose behalf app code runs; all empty for the server itself."""

    user_id: str | None = None
    username: str | None = None
    is_moderator: bool = False
    locale: str = "en"
    timezone: str = "UTC"
    color_scheme: str = "light"


SERVER = Viewer()


class InvokeRequest(Frozen, frozen=True, kw_only=True):
    """One call of an installation's code. `payload` is the app's business; the host passes it through."""

    installation: InstallationId
    kind: InvocationKind
    name: str
    payload: bytes
    attempt: int = 1
    idempotency_key: str = ""
    timeout_s: float | None = None
    """Shorter or longer than the registration says, never longer than the app's own limit."""
    viewer: Viewer = SERVER
    post_id: str | None = None
    comment_id: str | None = None


class Installations(Protocol):
    def get(self, installation: InstallationId) -> Installation | None: ...

    def fault(self, installation: InstallationId) -> ShowgroundError | None:
        """Why none of its code may run now; None when it may."""
        ...


OnAnswer = Callable[[Any, ShowgroundError | None], None]
"""(result, None) or (None, error)"""


class Supervisor(Protocol):
    async def invoke(self, app: AppVersion, folder: Path, invocation: Invocation, payload: bytes) -> bytes: ...

    def begin(
        self, app: AppVersion, folder: Path, invocation: Invocation, payload: bytes, on_answer: OnAnswer
    ) -> Callable[[], None]:
        """The same without a task that waits; what it returns cancels the call."""
        ...


class Folders(Protocol):
    async def folder(self, digest: str) -> Path:
        """Where the bundle of *digest* is unpacked on this host."""
        ...


class InvocationIds:
    """Random ids, 96 bits each. Randomness is fetched for many at once: one by one it was 4 % of a call (2026-11-24)."""

    def __init__(self) -> None:
        self._left: list[str] = []

    def take(self) -> str:
        if not self._left:
            fresh = secrets.token_hex(12 * 256)
            self._left = [fresh[i : i + 24] for i in range(0, len(fresh), 24)]
        return self._left.pop()


class Dispatch:
    """Runs app code. Raises `ShowgroundError` only: `not_found`, and what the supervisor says of how a call ended."""

    def __init__(
        self,
        installations: Installations,
        bundles: Folders,
        supervisor: Supervisor,
        clock: Clock,
        observe: Callable[[HostEvent], None],
        bound: Callable[[AppVersion], AppVersion] = lambda app: app,
        redacted: Callable[[ShowgroundError], ShowgroundError] = lambda error: error,
    ) -> None:
        """*bound* puts the operator's bounds on the limits of a version before any code of it runs. *redacted* takes secrets out
        of what an app raised, for callers who may run the app but not read its secrets."""
        self._redacted = redacted
        self._bound = bound
        self._apps: dict[str, AppVersion] = {}
        self._installations = installations
        self._bundles = bundles
        self._supervisor = supervisor
        self._clock = clock
        self._observe = observe
        self._folders: dict[str, Path] = {}
        self._ids = InvocationIds()

    async def invoke(self, request: InvokeRequest) -> bytes:
        """Run *request* and return what the app's code returned."""
        invocation, app = self._prepare(request)
        folder = self._folders.get(app.digest) or await self._unpack(app.digest)
        started = self._clock.monotonic()
        outcome = "ok"
        try:
            return await self._supervisor.invoke(app, folder, invocation, request.payload)
        except ShowgroundError as error:
            outcome = error.code
            raise self._redacted(error) from None
        finally:
            self._tell(app, request, outcome, self._clock.monotonic() - started)

    def _prepare(self, request: InvokeRequest) -> tuple[Invocation, AppVersion]:
        fault = self._installations.fault(request.installation)
        if fault is not None:
            raise fault
        installation = self.installation(request.installation)
        digest = installation.version.digest
        app = self._apps.get(digest) or self._apps.setdefault(digest, self._bound(installation.version))
        return self._invocation(request, installation, app), app

    def _tell(self, app: AppVersion, request: InvokeRequest, outcome: str, seconds: float) -> None:
        self._observe(
            HostEvent(
                name="invocation",
                at_ms=self._clock.now_ms(),
                labels={"app": app.app, "kind": request.kind, "outcome": outcome},
                value=seconds,
            )
        )

    def installation(self, key: InstallationId) -> Installation:
        """Raises `not_found`."""
        found = self._installations.get(key)
        if found is None:
            raise ShowgroundError("not_found", f"{key} is not installed", "installation", "Install the app first.")
        return found

    def post_type(self, post: LivePost) -> str:
        """The post type that draws *post* now: the one it was made as, or the one that took its place in an upgrade."""
        names = [p.name for p in self.installation(post.installation).version.registration.post_types]
        return post.post_type if post.post_type in names or not names else names[-1]

    async def handle(self, delivery: Delivery, attempt: int) -> bytes:
        """Run one delivery: what the delivery runner calls."""
        return await self.invoke(_request(delivery, attempt))

    def begin_delivery(self, delivery: Delivery, attempt: int, on_answer: OnAnswer) -> Callable[[], None] | None:
        """`handle` as `begin` does it."""
        return self.begin(_request(delivery, attempt), on_answer)

    def begin(self, request: InvokeRequest, on_answer: OnAnswer) -> Callable[[], None] | None:
        """`invoke` without a task that waits: *on_answer* is told the result or the error once this has returned, and what is
        returned cancels.

        None, and nothing was begun, when the bundle must be unpacked first, which `invoke` does. Raises `ShowgroundError`."""
        invocation, app = self._prepare(request)
        folder = self._folders.get(app.digest)
        if folder is None:
            return None
        started = self._clock.monotonic()

        def answered(result: Any, error: ShowgroundError | None) -> None:
            seconds = self._clock.monotonic() - started
            on_answer(result, None if error is None else self._redacted(error))
            self._tell(app, request, "ok" if error is None else error.code, seconds)

        try:
            return self._supervisor.begin(app, folder, invocation, request.payload, answered)
        except ShowgroundError as error:
            self._tell(app, request, error.code, self._clock.monotonic() - started)
            raise self._redacted(error) from None

    async def validate(self, installation: Installation, setting: str, value: Json) -> str | None:
        """Ask the app's own validator of a setting: None, or what is wrong with *value*."""
        payload = msgspec.json.encode({"value": value, "isEditing": True})
        request = InvokeRequest(installation=installation.id, kind="validate", name=setting, payload=payload)
        answer: dict[str, Json] = msgspec.json.decode(await self.invoke(request))
        error = answer.get("error")
        return None if error is None else str(error)

    async def _unpack(self, digest: str) -> Path:
        folder = await self._bundles.folder(digest)
        self._folders[digest] = folder
        return folder

    def forget(self, digest: str) -> None:
        """A version is no longer at work on this host."""
        self._folders.pop(digest, None)
        self._apps.pop(digest, None)

    def _invocation(self, request: InvokeRequest, installation: Installation, app: AppVersion) -> Invocation:
        wanted = request.timeout_s or _registered_timeout(request, app.registration) or app.limits.timeout_s
        timeout_s = min(wanted, app.limits.timeout_s)
        invocation_id = self._ids.take()
        viewer = request.viewer
        invocation = Invocation(
            id=invocation_id,
            installation=installation.id,
            app=app.app,
            app_version=app.version,
            community=installation.community,
            kind=request.kind,
            name=request.name,
            timeout_s=timeout_s,
            attempt=request.attempt,
            idempotency_key=request.idempotency_key or invocation_id,
            deadline_ms=self._clock.now_ms() + int(timeout_s * 1000),
        )
        if viewer is SERVER and request.post_id is None and request.comment_id is None:
            return invocation  # most calls; naming the defaults, too, took six times as long
        return msgspec.structs.replace(
            invocation,
            user_id=viewer.user_id,
            username=viewer.username,
            is_moderator=viewer.is_moderator,
            post_id=request.post_id,
            comment_id=request.comment_id,
            locale=viewer.locale,
            timezone=viewer.timezone,
            color_scheme="dark" if viewer.color_scheme == "dark" else "light",
        )


def _request(delivery: Delivery, attempt: int) -> InvokeRequest:
    return InvokeRequest(
        installation=delivery.installation,
        kind=delivery.kind,
        name=delivery.name,
        payload=delivery.payload,
        attempt=attempt,
        idempotency_key=delivery.id,
        timeout_s=delivery.timeout_s,
    )


def _registered_timeout(request: InvokeRequest, registration: Registration) -> float | None:
    if request.kind == "trigger":
        trigger = registration.trigger(request.name)
        return trigger.timeout_s if trigger else None
    if request.kind == "job":
        job = registration.job(request.name)
        return job.timeout_s if job else None
    return None
