"""The hooks. The entry point names the class, so each host makes an instance of its own and the counts are that host's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence

import click
from aiohttp import web

from greeter_plugin.greeter import GREETER, KEY, open_greeter
from greeter_plugin.local_realtime import open_local
from showground.capabilities import REALTIME
from showground.errors import Problem
from showground.hookspecs import Commands, Extend, Offer, Providers, Router, Session, hookimpl
from showground.keys import installation_id
from showground.model import AppVersion, HostEvent, Installation, Invocation, Registration

OPTION = "greeter"
"""What an app writes: `Devvit.configure(greeter=True)`, and `"permissions": {"greeter": true}` in app.json."""
PATH = "/api/v1/communities/{community}/apps/{app}/greeter"


class GreeterPlugin:
    def __init__(self) -> None:
        self._invocations: Counter[str] = Counter()

    @hookimpl
    def provide(self, offer: Offer) -> None:
        offer(GREETER, "redis", open_greeter)
        offer(REALTIME, "local", open_local)
        offer.permanent(KEY)

    @hookimpl
    def registered(self, app: AppVersion, registration: Registration, providers: Providers) -> Sequence[Problem] | None:
        """Grant or refuse the option, before any code of the app runs for anybody."""
        if OPTION not in registration.capabilities or providers(GREETER).may_greet(app.app):
            return None
        return [
            Problem(
                f"{app.app}: configure({OPTION}=…)",
                "the plugin greeter does not let this app greet",
                f'The operator can add "{app.app}" to apps in the section [greeter] of the settings.',
            )
        ]

    @hookimpl
    def context(self, invocation: Invocation, extend: Extend, providers: Providers) -> None:
        async def hello(name: str) -> str:
            return await providers(GREETER).hello(invocation.installation, name)

        extend("greeter", {"hello": hello}, needs=OPTION)

    @hookimpl
    def uninstalled(self, installation: Installation, providers: Providers) -> Awaitable[None]:
        return providers(GREETER).clear(installation.id)

    @hookimpl
    def routes(self, router: Router, providers: Providers) -> None:
        async def show(request: web.Request) -> web.Response:
            app, community = request.match_info["app"], request.match_info["community"]
            greeted = await providers(GREETER).greeted(installation_id(app, community))
            return web.json_response({"greeted": greeted, "invocations_here": self._invocations[app]})

        router("GET", PATH, show, "read")

    @hookimpl
    def commands(self, cli: Commands) -> None:
        cli(greeter)

    @hookimpl
    def observe(self, event: HostEvent) -> None:
        """Called on the event loop for everything that happens: counts, and nothing that could wait."""
        if event.name == "invocation":
            self._invocations[event.labels["app"]] += 1


@click.command()
@click.argument("community")
@click.argument("app")
@click.pass_obj
def greeter(session: Session, community: str, app: str) -> None:
    """Say how many people APP greeted in COMMUNITY."""
    answer = session.get(PATH.format(community=community, app=app))
    session.show(answer, f"{app} greeted {answer['greeted']} in {community}")
