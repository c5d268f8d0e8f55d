"""The plugin host: ambiguity is an error that names both, failures name their plugin, one bad observer harms nobody."""

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any, cast

import pytest

from showground import plugins as plugins_module
from showground.errors import Problem, ShowgroundError
from showground.hookspecs import Offer, Providers, Services, hookimpl
from showground.keys import CapabilityKey, InstallationId
from showground.model import AppVersion, HostEvent, Installation, Registration
from showground.plugins import Plugins, find_plugins

BELL: CapabilityKey[str] = CapabilityKey("bell")
NO_SERVICES = cast("Callable[[str], Services]", lambda _: None)


def ringing(sound: str) -> Callable[[Services], AbstractAsyncContextManager[str]]:
    @asynccontextmanager
    async def build(services: Services) -> AsyncIterator[str]:
        yield sound

    return build


class Offering:
    def __init__(self, *names: str) -> None:
        self.names = names

    @hookimpl
    def provide(self, offer: Offer) -> None:
        for name in self.names:
            offer(BELL, name, ringing(f"{name} rings"))


async def choice(plugins: Plugins, **chosen: str) -> str:
    async with AsyncExitStack() as stack:
        await plugins.enter(stack, chosen, NO_SERVICES)
        return plugins.provider(BELL)


async def test_the_settings_choose_the_provider() -> None:
    assert await choice(Plugins([("a", Offering("redis", "brass"))]), bell="brass") == "brass rings"


async def test_unnamed_the_only_provider_is_taken_and_else_the_one_called_redis() -> None:
    assert await choice(Plugins([("a", Offering("brass"))])) == "brass rings"
    assert await choice(Plugins([("a", Offering("brass", "redis"))])) == "redis rings"


async def test_a_provider_that_nobody_offers_is_refused_with_the_offered_names() -> None:
    with pytest.raises(ShowgroundError, match=r"(?s)'tin'.*Offered: brass, redis"):
        await choice(Plugins([("a", Offering("brass", "redis"))]), bell="tin")
    with pytest.raises(ShowgroundError, match=r"(?s)'bel'.*Did you mean bell"):
        await choice(Plugins([("a", Offering("brass"))]), bel="brass")


def test_two_plugins_that_offer_one_name_are_refused() -> None:
    with pytest.raises(ShowgroundError, match="two plugins offer a provider 'brass' of bell"):
        Plugins([("a", Offering("brass")), ("b", Offering("brass"))])


def test_a_misspelt_hook_is_an_error_that_lists_the_known_ones() -> None:
    class Misspelt:
        @hookimpl
        def instaled(self) -> None: ...

    with pytest.raises(ShowgroundError, match=r"(?s)instaled.*installed"):
        Plugins([("typo", Misspelt())])


def test_a_hook_with_an_unknown_argument_is_an_error_that_names_the_plugin() -> None:
    class Wrong:
        @hookimpl
        def observe(self, happening: object) -> None: ...

    with pytest.raises(ShowgroundError, match="plugin 'wrong'"):
        Plugins([("wrong", Wrong())])


def test_two_distributions_with_one_plugin_name_are_refused_and_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(**_: Any) -> EntryPoints:
        return EntryPoints(EntryPoint("bell", value, "showground.plugins") for value in ("json", "string"))

    monkeypatch.setattr(plugins_module, "entry_points", two)
    with pytest.raises(ShowgroundError, match=r"(?s)'bell'.*json.*string"):
        list(find_plugins())


def test_a_plugin_that_does_not_import_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("bell", "no_such_module_here", "showground.plugins")])
    monkeypatch.setattr(plugins_module, "entry_points", lambda **_: points)
    with pytest.raises(ShowgroundError, match=r"plugin .bell. .* does not load: ModuleNotFoundError"):
        list(find_plugins())
    assert list(find_plugins(disabled=["bell"])) == []


def test_the_built_in_plugins_come_through_the_same_entry_points() -> None:
    names = {p.name for p in importlib.metadata.entry_points(group="showground.plugins")}
    assert {"realtime", "scheduler", "redis_kv"} <= names


INSTALLATION = Installation(
    id=InstallationId("a:b"),
    app="a",
    community="b",
    version=AppVersion(app="a", version="1.0.0", digest="d", entry="main.py"),
    installed_at_ms=0,
)


async def test_a_life_cycle_hook_may_return_an_awaitable_and_its_failure_names_the_plugin() -> None:
    done = []

    class Good:
        @hookimpl
        def installed(self, installation: Installation) -> Awaitable[None]:
            async def work() -> None:
                done.append(installation.id)

            return work()

    class Bad:
        @hookimpl
        def installed(self, installation: Installation, providers: Providers) -> Awaitable[None]:
            async def work() -> None:
                raise OSError("disk full")

            return work()

    await Plugins([("good", Good())]).installed(INSTALLATION)
    assert done == ["a:b"]
    with pytest.raises(ShowgroundError, match=r"plugin 'bad' failed in installed: OSError\('disk full'\)"):
        await Plugins([("bad", Bad())]).installed(INSTALLATION)


def test_every_veto_of_every_plugin_is_heard() -> None:
    class Vetoing:
        @hookimpl
        def registered(self, app: AppVersion, registration: Registration) -> list[Problem]:
            return [Problem("jobs/0", f"{app.app}: no")]

    class Content:
        @hookimpl
        def registered(self, app: AppVersion) -> None: ...

    host = Plugins([("x", Vetoing()), ("y", Vetoing()), ("z", Content())])
    assert [p.message for p in host.registered(INSTALLATION.version, Registration())] == ["a: no", "a: no"]


def test_an_observer_that_fails_harms_nobody_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    class Failing:
        @hookimpl
        def observe(self, event: HostEvent) -> None:
            raise RuntimeError("boom")

    class Seeing:
        @hookimpl
        def observe(self, event: HostEvent) -> None:
            seen.append(event.name)

    host = Plugins([("failing", Failing()), ("seeing", Seeing())])
    for _ in range(3):
        host.observe(HostEvent(name="tick", at_ms=0))
    assert seen == ["tick"] * 3
    assert [r.getMessage() for r in caplog.records if "failing" in r.getMessage()] == [
        "plugin failing failed in observe(tick); further failures of it are not logged"
    ]
