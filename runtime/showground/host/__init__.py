"""The composition root: makes every part of a host, joins them, and ends them in reverse order. It decides nothing.

`foundation` ▸ `events` (with the plugins) ▸ `code` (with the live posts) ▸ `entrance`: each is made from those before it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from showground.apps.installations import Change
from showground.clock import Clock, SystemClock
from showground.deliveries import Runner
from showground.errors import ShowgroundError
from showground.host import code as code_part
from showground.host import events as events_part
from showground.host import foundation as foundation_part
from showground.host.code import Code, Posts
from showground.host.entrance import show_health, web_server
from showground.host.foundation import Foundation
from showground.host_file import HostFile
from showground.model import Installation, Json
from showground.settings import Settings
from showground.web.server import WebServer

log = logging.getLogger("showground.host")

RECOVER_S = 5.0
SWEEP_S = 600.0


class Host:
    """One host process. Entered, it serves; left, it drains within `host.drain_s` and leaves nothing running. Left by an error
    or a cancellation, it waits for nobody.

    With *clock* given, the delivery queue and the scheduler go by it too and not by Redis' time, so that a test that moves the
    clock moves everything. Hosts that share a Redis then need one clock. With *host_time* false they keep to Redis' time, as
    they do where the machine's clock is wrong.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        more_plugins: Sequence[tuple[str, object]] = (),
        *,
        host_time: bool = True,
    ) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._host_time = host_time and clock is not None
        self._more_plugins = more_plugins
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            await self._start(exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.__aexit__(kind, error, trace)

    @property
    def summary(self) -> str:
        """For people: what the host stands on."""
        return f"isolation {self.isolation.level}, Redis {'external' if self.settings.redis.url else 'embedded'}"

    async def _start(self, exits: AsyncExitStack) -> None:
        settings = self.settings
        on = await foundation_part.lay(exits, settings, self._clock)
        events = await events_part.lay(exits, on, self._more_plugins, self._validate, host_time=self._host_time)
        self._code = code = await code_part.lay(exits, on, events)
        posts = await code_part.lay_posts(exits, on, events, code)
        self.plugins, self.bundles, self.lifecycle = events.plugins, code.bundles, code.lifecycle
        self.isolation = code.isolation

        events.installations.on_change(lambda change: _changed(on, code, posts, change))
        runner = await exits.enter_async_context(
            Runner(
                events.deliveries,
                code.dispatch.handle,
                begin=code.dispatch.begin_delivery,
                host_id=on.host_id,
                drain_s=settings.host.drain_s,
            )
        )
        on.tasks.keep("lifecycle: finish what was interrupted", self._recover, self._clock.sleep)
        on.tasks.keep("bundles: let go of what no version has", self._sweep, self._clock.sleep)

        web = web_server(on, events, code, posts)
        self.routes = web.routes
        show_health(on, events, code, posts, runner)
        on.tasks.keep("static: leave scripts for other hosts", lambda: on.builds.keep(web.builds), self._clock.sleep)
        await self._open(exits, on, web)

    async def _open(self, exits: AsyncExitStack, on: Foundation, web: WebServer) -> None:
        """Listen, and leave word of where in host.json. From the first answer on, nothing can fail any more for want of Redis."""
        host = self.settings.host
        file = HostFile(self.settings.data_dir)
        self.root_token = await on.tokens.ensure_root_token(file.token())
        on.redactor.learn(self.root_token)
        port = await web.start(host.listen, host.port, host.drain_s)

        async def stop(kind: type[BaseException] | None, *_: object) -> None:
            await web.stop(at_once=kind is not None)

        exits.push_async_exit(stop)
        shown = f"[{host.listen}]" if ":" in host.listen else host.listen
        self.url = host.public_url or f"http://{shown}:{port}"
        file.write(self.url, self.root_token)
        exits.callback(file.remove)

        async def drain(kind: type[BaseException] | None, *_: object) -> None:
            on.health.drain()
            await web.drain(host.drain_s if kind is None else 0.0)

        exits.push_async_exit(drain)

    async def _validate(self, installation: Installation, name: str, value: Json) -> str | None:
        return await self._code.dispatch.validate(installation, name, value)

    async def _recover(self) -> None:
        while True:
            await self.lifecycle.recover()
            await self._clock.sleep(RECOVER_S)

    async def _sweep(self) -> None:
        while True:
            try:
                await self.bundles.sweep()
            except (ShowgroundError, OSError) as error:
                log.warning("bundles were not swept, which is tried again in %d s: %s", SWEEP_S, error)
            await self._clock.sleep(SWEEP_S)


def _changed(on: Foundation, code: Code, posts: Posts, change: Change) -> None:
    """A version is no longer at work somewhere: its workers finish, and its posts are drawn by the new one. So are those of an
    installation whose data were replaced."""
    before, after = change.before, change.after
    if before is None:
        return
    if after is None or after.version.digest != before.version.digest:
        on.tasks.start(f"drain {before.app} {before.version.version}", code.supervisor.drain(before.version.digest))
        code.dispatch.forget(before.version.digest)
    if after is None or after.revision != before.revision:
        on.tasks.start(f"redraw {before.id}", posts.live.forget(before.id))
