"""Capability calls: what an app may call, checked on the host's side, whatever the worker says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from showground.errors import ShowgroundError
from showground.hookspecs import Extend, Method
from showground.keys import InstallationId
from showground.model import AppVersion, Invocation

log = logging.getLogger("showground.broker")

CALLS_IN_FLIGHT = 64
"""Capability calls of one invocation at once; the next is refused with `overloaded`."""


Fault = Callable[[InstallationId], ShowgroundError | None]
"""Why an installation may do nothing now; None when it may."""


class ContextSource(Protocol):
    """Asks the plugins' `context` hooks; `showground.plugins.Plugins` is one."""

    def context(
        self, invocation: Invocation, app: AppVersion, extend: Extend, member: str, asked: set[int]
    ) -> None: ...


class Session:
    """The capability calls of one invocation. A plugin is asked for its members when one of them is first called."""

    __slots__ = ("_app", "_asked", "_fault", "_invocation", "_members", "_open", "_source")

    def __init__(self, source: ContextSource, fault: Fault, invocation: Invocation, app: AppVersion) -> None:
        self._source = source
        self._fault = fault
        self._invocation = invocation
        self._app = app
        self._members: dict[str, tuple[Mapping[str, Method], str | None]] = {}
        self._asked: set[int] = set()
        self._open = 0

    async def call(self, member: str, method: str, args: Sequence[object]) -> object:
        """`context.<member>.<method>(*args)`. Raises `ShowgroundError` only:

        `not_found` (no such member or method, or the installation is gone), `not_ready` (an import goes on), `not_configured`,
        `overloaded` (64 calls are open), what the plugin raised as `ShowgroundError`, and `plugin_error` for anything else;
        its details are in the host's log only.
        """
        function = self.find(member, method, self._open)
        self._open += 1
        try:
            return await function(*args)
        except Exception as error:
            raise self.told(member, method, function, error) from None
        finally:
            self._open -= 1

    def told(self, member: str, method: str, function: Method, error: Exception) -> ShowgroundError:
        """What the app hears of *error*, which *function* raised."""
        if isinstance(error, ShowgroundError):
            return error
        log.error("context.%s.%s failed for %s", member, method, self._invocation.installation, exc_info=error)
        return failed(member, method, function)

    def find(self, member: str, method: str, are_open: int) -> Method:
        """The method, when it may be called beside as many calls that *are open*. Raises as `call` does before it begins."""
        fault = self._fault(self._invocation.installation)
        if fault is not None:
            # Its data was removed, or is being replaced; a handler that outlives that must leave nothing behind.
            raise fault
        try:
            if member not in self._members:
                self._look_for(member)
            methods, needs = self._members[member]
            function = methods[method]
        except (KeyError, TypeError):
            raise ShowgroundError(
                "not_found",
                f"the context has no {member}.{method}",
                f"context.{member}",
                "Check the spelling, and that the plugin which adds it is installed on this host.",
            ) from None
        if needs is not None and needs not in self._app.registration.capabilities:
            raise not_configured(needs)
        if are_open >= CALLS_IN_FLIGHT:
            raise ShowgroundError(
                "overloaded",
                f"{CALLS_IN_FLIGHT} capability calls of this invocation are open already",
                f"context.{member}.{method}",
                "Await some of them first.",
                retry_after=0.1,
            )
        return function

    def _look_for(self, member: str) -> None:
        """Ask plugins until one has given *member*, or all have been asked."""
        try:
            while member not in self._members:
                before = len(self._asked)
                self._source.context(self._invocation, self._app, self._extend, member, self._asked)
                if len(self._asked) == before:
                    return
        except ShowgroundError:
            raise
        except Exception as error:
            log.exception("a plugin's context hook failed for %s", self._invocation.installation)
            raise ShowgroundError("plugin_error", "a plugin failed to make the context", "plugins") from error

    def _extend(self, member: str, methods: Mapping[str, Method], needs: str | None = None) -> None:
        if member in self._members:
            raise ShowgroundError(
                "plugin_error", f"two plugins add context.{member}", "plugins", "Disable one of them."
            )
        self._members[member] = (methods, needs)


class Broker:
    """Opens a session per invocation. Whoever opens it ends what is still running in it."""

    def __init__(self, source: ContextSource, fault: Fault = lambda _: None) -> None:
        self._source = source
        self._fault = fault

    def open(self, invocation: Invocation, app: AppVersion) -> Session:
        return Session(self._source, self._fault, invocation, app)


def failed(member: str, method: str, function: Method) -> ShowgroundError:
    plugin = (getattr(function, "__module__", None) or "unknown").partition(".")[0]
    return ShowgroundError(
        "plugin_error",
        f"context.{member}.{method} failed in the plugin {plugin}; the host's log says how",
        f"context.{member}.{method}",
    )


_LABELS = {
    "redis": "Redis",
    "reddit": "Reddit API",
    "realtime": "Realtime",
    "media": "MediaService",
    "http": "HTTP",
}


def not_configured(needs: str) -> ShowgroundError:
    """Devvit's own words where it has some (its plugin getters), in our spelling."""
    if needs == "scheduler":
        message = "Scheduler is not enabled. You can enable it by calling `Devvit.add_scheduler_job`"
    elif needs == "settings":
        message = "Settings must first be configured with `Devvit.add_settings` before they can be accessed"
    else:
        label = _LABELS.get(needs, needs)
        message = f"{label} is not enabled. You can enable it by passing `{needs}=True` to `Devvit.configure`"
    return ShowgroundError("not_configured", message, f"context.{needs}")
