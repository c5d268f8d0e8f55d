"""The plugin host: finds plugins, refuses what is ambiguous, picks one provider per capability, and contains failures.

Entry points are read here rather than by pluggy, which silently keeps whichever of two equal names it meets first
(seen with pluggy 1.7.0). A misspelt hook is an error too: pluggy reports it only when `check_pending` is called.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from showground.errors import Problem, ShowgroundError
from showground.hookspecs import PROJECT, Commands, Extend, HostHooks, Method, Router, Services
from showground.keys import CapabilityKey
from showground.model import AppVersion, HostEvent, Installation, Invocation, Registration

log = logging.getLogger("showground.plugins")

GROUP = "showground.plugins"

T = TypeVar("T")
Build = Callable[[Services], AbstractAsyncContextManager[Any]]


def find_plugins(disabled: Iterable[str] = ()) -> Iterator[tuple[str, object]]:
    """Load every plugin that an installed distribution names in the group `showground.plugins`.

    An entry point names a module, an object, or a class; a class is called without arguments, so each host has an instance
    of its own.

    Raises `misconfigured` when two distributions use one name, or when one does not import; both are named.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in disabled:
            continue
        other = found.setdefault(point.name, point)
        if other.value != point.value or _owner(other) != _owner(point):
            raise ShowgroundError(
                "misconfigured",
                f"two plugins are called {point.name!r}: {_owner(other)} ({other.value}) and {_owner(point)} ({point.value})",
                "plugins",
                "Uninstall one of them; `disabled_plugins` cannot choose between equal names.",
            )
    for name, point in sorted(found.items()):
        try:
            plugin = point.load()
            yield name, plugin() if isinstance(plugin, type) else plugin
        except Exception as error:
            raise ShowgroundError(
                "misconfigured",
                f"plugin {name!r} of {_owner(point)} does not load: {type(error).__name__}: {error}",
                "plugins",
                f"Mend or uninstall it, or put {name!r} into `disabled_plugins`.",
            ) from error


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"


class NothingProvided(ShowgroundError):
    """No provider has been entered: there is no host around the plugins, as in `showground check`, or not yet."""


class _Offers:
    """Collects what plugins offer while `provide` is called; implements `hookspecs.Offer`."""

    def __init__(self) -> None:
        self.builds: dict[str, dict[str, Build]] = {}
        self.permanent_keys: list[str] = []

    def __call__(
        self, key: CapabilityKey[T], name: str, build: Callable[[Services], AbstractAsyncContextManager[T]]
    ) -> None:
        named = self.builds.setdefault(key.name, {})
        if name in named:
            raise ShowgroundError(
                "misconfigured",
                f"two plugins offer a provider {name!r} of {key.name}",
                "plugins",
                "Uninstall one of them.",
            )
        named[name] = build

    def permanent(self, *patterns: str) -> None:
        self.permanent_keys.extend(patterns)


_GIVEN = ("invocation", "app", "extend", "providers")
"""What the hook `context` may ask for, in the order in which `Plugins` has it at hand."""


class Plugins:
    """All plugins of one host. Hooks are called through it, so that a failure always names its plugin."""

    def __init__(self, plugins: Iterable[tuple[str, object]]) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HostHooks)
        for name, plugin in plugins:
            try:
                self._manager.register(plugin, name=name)
            except (ValueError, pluggy.PluginValidationError) as error:
                raise ShowgroundError("misconfigured", f"plugin {name!r}: {error}", "plugins") from error
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            known = ", ".join(sorted(n for n in vars(HostHooks) if not n.startswith("_")))
            raise ShowgroundError("misconfigured", str(error), "plugins", f"Known hooks: {known}.") from error
        self._offers = _Offers()
        self._providers: dict[str, Any] = {}
        self._failed_observers: set[str] = set()
        self._observers = [
            (str(impl.plugin_name), impl.function) for impl in self._manager.hook.observe.get_hookimpls()
        ]
        self._givers: dict[str, int] = {}
        self._contexts = [
            (str(impl.plugin_name), impl.function, [_GIVEN.index(name) for name in impl.argnames])
            for impl in self._manager.hook.context.get_hookimpls()
        ]
        for _ in self._each("provide", offer=self._offers):
            pass

    @property
    def names(self) -> Sequence[str]:
        return sorted(name for name, _ in self._manager.list_name_plugin())

    @property
    def permanent_keys(self) -> Sequence[str]:
        return self._offers.permanent_keys

    def _each(
        self, hook: str, passing_over: tuple[type[Exception], ...] = (), **arguments: Any
    ) -> Iterator[tuple[str, Any]]:
        """Call one hook plugin by plugin, so that what goes wrong is told with the plugin's name."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            wanted = {name: arguments[name] for name in implementation.argnames}
            try:
                yield str(implementation.plugin_name), implementation.function(**wanted)
            except passing_over:
                continue
            except ShowgroundError:
                raise
            except Exception as error:
                raise ShowgroundError(
                    "plugin_error", f"plugin {implementation.plugin_name!r} failed in {hook}: {error!r}", "plugins"
                ) from error

    # --- providers -----------------------------------------------------------------------------------------------

    def choose(self, chosen: Mapping[str, str]) -> Mapping[str, tuple[str, Build]]:
        """Per capability the provider that the settings name, else the only one, else the one called `redis`."""
        picked: dict[str, tuple[str, Build]] = {}
        for capability, builds in self._offers.builds.items():
            wanted = chosen.get(capability)
            names = ", ".join(sorted(builds))
            if wanted is None:
                wanted = next(iter(builds)) if len(builds) == 1 else "redis"
            if wanted not in builds:
                raise ShowgroundError(
                    "misconfigured",
                    f"no plugin offers a provider {wanted!r} of {capability}",
                    f"providers.{capability}",
                    f"Offered: {names}.",
                )
            picked[capability] = (wanted, builds[wanted])
        for capability in chosen:
            if capability not in picked:
                near = get_close_matches(capability, picked, 1)
                raise ShowgroundError(
                    "misconfigured",
                    f"no plugin offers the capability {capability!r}",
                    f"providers.{capability}",
                    f"Did you mean {near[0]}?" if near else f"Offered: {', '.join(sorted(picked))}.",
                )
        return picked

    def refuse_unknown(self, sections: Iterable[str]) -> None:
        """Raise `misconfigured` for sections of the settings that no capability reads: a misspelt one would change nothing."""
        problems = []
        for section in sections:
            if section not in self._offers.builds:
                near = get_close_matches(section, self._offers.builds, 1)
                remedy = f"Did you mean {near[0]}?" if near else "Is its plugin disabled, or not installed?"
                problems.append(Problem(section, "nothing reads this section", remedy))
        if problems:
            raise ShowgroundError("misconfigured", "the settings have sections of nobody", "settings", details=problems)

    async def enter(
        self, stack: AsyncExitStack, chosen: Mapping[str, str], services: Callable[[str], Services]
    ) -> Mapping[str, str]:
        """Build and enter the chosen providers on *stack*; returns capability → provider name."""
        picked = self.choose(chosen)
        for capability, (name, build) in picked.items():
            try:
                self._providers[capability] = await stack.enter_async_context(build(services(capability)))
            except ShowgroundError:
                raise
            except Exception as error:
                raise ShowgroundError(
                    "plugin_error",
                    f"provider {name!r} of {capability} did not start: {error!r}",
                    f"providers.{capability}",
                ) from error
        return {capability: name for capability, (name, _) in picked.items()}

    def lend(self, key: CapabilityKey[T], provider: T) -> None:
        """Offer something of the host's own to the hooks that are called from now on."""
        self._providers[key.name] = provider

    def provider(self, key: CapabilityKey[T]) -> T:
        """Implements `hookspecs.Providers`."""
        if not self._providers:
            raise NothingProvided("not_ready", f"{key.name} is asked for before anything was provided", "plugins")
        try:
            found: T = self._providers[key.name]
        except KeyError:
            raise ShowgroundError(
                "misconfigured", f"no plugin provides {key.name}", f"providers.{key.name}", "Install one that does."
            ) from None
        return found

    # --- hooks ---------------------------------------------------------------------------------------------------

    def registered(self, app: AppVersion, registration: Registration) -> list[Problem]:
        """Every veto of every plugin. Without a host, those that depend on a provider are left to the upload."""
        given = {"app": app, "registration": registration, "providers": self.provider}
        verdicts = self._each("registered", (NothingProvided,), **given)
        return [problem for _, found in verdicts for problem in found or ()]

    async def installed(self, installation: Installation) -> None:
        await self._lifecycle("installed", installation=installation)

    async def upgraded(self, installation: Installation, previous: Installation) -> None:
        await self._lifecycle("upgraded", installation=installation, previous=previous)

    async def uninstalled(self, installation: Installation) -> None:
        await self._lifecycle("uninstalled", installation=installation)

    async def _lifecycle(self, hook: str, **arguments: Any) -> None:
        for plugin, result in self._each(hook, providers=self.provider, **arguments):
            if inspect.isawaitable(result):
                await self._attributed(plugin, hook, result)

    async def _attributed(self, plugin: str, hook: str, work: Awaitable[None]) -> None:
        try:
            await work
        except ShowgroundError:
            raise
        except Exception as error:
            raise ShowgroundError(
                "plugin_error", f"plugin {plugin!r} failed in {hook}: {error!r}", "plugins"
            ) from error

    def context(
        self,
        invocation: Invocation,
        app: AppVersion,
        extend: Extend,
        member: str | None = None,
        asked: set[int] | None = None,
    ) -> None:
        """Look for *member*: ask the plugin that gave it to an earlier invocation, else every plugin that is not in *asked*.

        To ask all of them for each invocation would cost more than most calls do. *asked* is the invocation's, and is added to.
        """
        asked = set() if asked is None else asked
        giver = self._givers.get(member) if member is not None else None
        if giver is not None and giver not in asked:
            self._ask(giver, invocation, app, extend)
            asked.add(giver)
            return
        for plugin in range(len(self._contexts)):
            if plugin not in asked:
                self._ask(plugin, invocation, app, self._noting(plugin, extend))
                asked.add(plugin)

    def _noting(self, plugin: int, extend: Extend) -> Extend:
        def note(member: str, methods: Mapping[str, Method], needs: str | None = None) -> None:
            self._givers[member] = plugin
            extend(member, methods, needs)

        return note

    def _ask(self, plugin: int, invocation: Invocation, app: AppVersion, extend: Extend) -> None:
        name, function, wanted = self._contexts[plugin]
        given = (invocation, app, extend, self.provider)
        try:
            function(*[given[at] for at in wanted])
        except ShowgroundError:
            raise
        except Exception as error:
            raise ShowgroundError("plugin_error", f"plugin {name!r} failed in context: {error!r}", "plugins") from error

    def routes(self, router: Router) -> None:
        for _ in self._each("routes", router=router, providers=self.provider):
            pass

    def commands(self, cli: Commands) -> None:
        for _ in self._each("commands", cli=cli):
            pass

    def observe(self, event: HostEvent) -> None:
        """Tell every observer. One that fails is logged once and never heard of by the caller."""
        for name, function in self._observers:
            try:
                function(event=event)
            except Exception:
                if name not in self._failed_observers:
                    self._failed_observers.add(name)
                    log.exception(
                        "plugin %s failed in observe(%s); further failures of it are not logged", name, event.name
                    )
