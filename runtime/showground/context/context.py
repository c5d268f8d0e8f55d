"""The context object: one per invocation, with its ids and the members through which an app reaches the host."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from showground.context.assets import Assets
from showground.context.call import Call
from showground.context.http import Http, Response
from showground.context.proxy import Member
from showground.context.settings import Settings
from showground.errors import ShowgroundError
from showground.keys import InstallationId
from showground.model import Invocation, Json

if TYPE_CHECKING:  # imported at first use, so that a worker pays only for what its app uses
    from showground.context.cache import Cache
    from showground.context.realtime import Realtime
    from showground.context.reddit import RedditClient
    from showground.context.redis import Redis
    from showground.context.scheduler import Scheduler
    from showground.context.ui import Ui

NO_UI: Final = frozenset({"trigger", "job", "validate"})


@dataclass(frozen=True, slots=True)
class UiEnvironment:
    locale: str
    timezone: str
    color_scheme: str


class Context:
    """What every handler and render function gets. Ids that an invocation does not have are None.

    `context.redis`, `.scheduler`, `.realtime`, `.cache`, `.settings`, `.assets`, `.fetch(…)`, `.ui` (menu items, forms and
    posts only), and one member for each that a plugin adds. Using a capability that the app did not configure raises
    `not_configured` at the call.
    """

    def __init__(
        self, invocation: Invocation, call: Call, assets: frozenset[str] = frozenset(), ui: Any = None
    ) -> None:
        self._invocation = invocation
        self._call = call
        self._asset_names = assets
        # Reckoned by monotonic time from here on: a clock that is set meanwhile leaves a handler no more and no less time.
        left_s = invocation.deadline_ms / 1000 - time.time() if invocation.deadline_ms else invocation.timeout_s
        self._ends = time.monotonic() + min(left_s, invocation.timeout_s)
        self._ui: Ui | None = ui

    # --- what this invocation is ---

    @property
    def app_name(self) -> str:
        return self._invocation.app

    @property
    def app_version(self) -> str:
        return self._invocation.app_version

    @property
    def community(self) -> str:
        """The community's name; `subreddit_name` in Devvit's words."""
        return self._invocation.community

    subreddit_name = community
    subreddit_id = community
    """Devvit has ids (`t5_…`) beside names; a community's name is its id."""

    @property
    def installation(self) -> InstallationId:
        """`app:community`."""
        return self._invocation.installation

    @property
    def invocation_id(self) -> str:
        return self._invocation.id

    @property
    def attempt(self) -> int:
        """1 at the first try of a delivery."""
        return self._invocation.attempt

    @property
    def idempotency_key(self) -> str:
        """The same for each attempt of one delivery; empty where nothing is retried."""
        return self._invocation.idempotency_key

    @property
    def deadline(self) -> float:
        """When the invocation will be ended: seconds since 1970 UTC."""
        return self._invocation.deadline_ms / 1000

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline, never below 0."""
        return max(0.0, self._ends - time.monotonic())

    # --- who and where ---

    @property
    def user_id(self) -> str | None:
        return self._invocation.user_id

    @property
    def username(self) -> str | None:
        return self._invocation.username

    @property
    def is_moderator(self) -> bool:
        return self._invocation.is_moderator

    @property
    def post_id(self) -> str | None:
        return self._invocation.post_id

    @property
    def comment_id(self) -> str | None:
        return self._invocation.comment_id

    @property
    def ui_environment(self) -> UiEnvironment | None:
        """Locale, time zone and colours of the user; None in triggers, jobs and validators."""
        if self._invocation.kind in NO_UI:
            return None
        i = self._invocation
        return UiEnvironment(i.locale, i.timezone, i.color_scheme)

    def to_json(self) -> dict[str, Json]:
        """The ids and names, for logging."""
        return {
            "app_name": self.app_name,
            "app_version": self.app_version,
            "community": self.community,
            "user_id": self.user_id,
            "username": self.username,
            "post_id": self.post_id,
            "comment_id": self.comment_id,
            "attempt": self.attempt,
            "idempotency_key": self.idempotency_key,
        }

    # --- what it can do ---

    @functools.cached_property
    def settings(self) -> Settings:
        return Settings(self._call)

    @functools.cached_property
    def assets(self) -> Assets:
        return Assets(self._asset_names)

    @functools.cached_property
    def redis(self) -> Redis:
        from showground.context.redis import Redis

        return Redis(self._call)

    @functools.cached_property
    def cache(self) -> Cache:
        from showground.context.cache import Cache

        return Cache(self._call)

    @functools.cached_property
    def scheduler(self) -> Scheduler:
        from showground.context.scheduler import Scheduler

        return Scheduler(self._call)

    @functools.cached_property
    def realtime(self) -> Realtime:
        from showground.context.realtime import Realtime

        return Realtime(self._call)

    @functools.cached_property
    def reddit(self) -> RedditClient:
        """Posts, comments and people of the community; the name is Devvit's."""
        from showground.context.reddit import RedditClient

        return RedditClient(self._call)

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | bytes | Mapping[str, Any] | list[Any] | None = None,
        timeout_s: float = 30.0,
    ) -> Response:
        """See `showground.context.http.Http.fetch`."""
        return await Http(self._call).fetch(url, method=method, headers=headers, body=body, timeout_s=timeout_s)

    @property
    def ui(self) -> Ui:
        """Effects for the user who pressed or submitted: `show_toast`, `show_form`, `navigate_to`."""
        if self._ui is None:
            raise ShowgroundError(
                "unsupported",
                "ui client is not available",
                f"{self._invocation.kind} {self._invocation.name}",
                "Nobody is looking when a trigger, a job or a validator runs; send to a channel instead.",
            )
        return self._ui

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        member = Member(name, self._call)
        self.__dict__[name] = member
        return member
