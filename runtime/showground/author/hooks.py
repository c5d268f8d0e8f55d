"""Asks a bundle's plugins, through pluggy, for everything that they register."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import pluggy

from showground.author.collection import Collection, Entry
from showground.author.places import Places
from showground.author.records import CustomPostType, Form, MenuItem, SchedulerJob, Trigger
from showground.errors import Problem
from showground.hookspecs import PROJECT, BundleHooks

HOOKS = tuple(sorted(name for name in vars(BundleHooks) if not name.startswith("_")))
RECORDS = {
    "add_trigger": Trigger,
    "add_scheduler_job": SchedulerJob,
    "add_custom_post_type": CustomPostType,
    "add_menu_item": MenuItem,
    "create_form": Form,
}


class _Manager(pluggy.PluginManager):
    """Looks at the names of hooks only. pluggy looks at every name, which took half of loading a small bundle (2026-11-24);
    a hook function of another name has been refused before."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        return super().parse_hookimpl_opts(plugin, name) if name in HOOKS else None


def gather(module: ModuleType, collection: Collection, places: Places, problems: list[Problem]) -> Collection:
    """One collection of what *module*'s `@hookimpl` functions return and what `Devvit` recorded in *collection*.

    What `Devvit` recorded comes first, because `Devvit.create_form` has given out its keys already.
    """
    manager = _Manager(PROJECT)
    manager.add_hookspecs(BundleHooks)
    if not _refused(module, places, problems):
        manager.register(module)
    manager.register(collection)  # pluggy calls the last registered first
    return Collection(
        options=_ask(manager, "configure", places, problems),
        triggers=_ask(manager, "add_trigger", places, problems),
        jobs=_ask(manager, "add_scheduler_job", places, problems),
        post_types=_ask(manager, "add_custom_post_type", places, problems),
        menu_items=_ask(manager, "add_menu_item", places, problems),
        settings=_ask(manager, "add_settings", places, problems),
        forms=_ask(manager, "create_form", places, problems),
    )


def _refused(module: ModuleType, places: Places, problems: list[Problem]) -> bool:
    """Report the hook functions that pluggy would refuse, all of them rather than the first."""
    before = len(problems)
    for name, value in vars(module).items():
        if not inspect.isroutine(value) or getattr(value, f"{PROJECT}_impl", None) is None:
            continue
        if name not in HOOKS:
            near = difflib.get_close_matches(name, HOOKS, 1)
            guess = f"Did you mean {near[0]}? " if near else ""
            problems.append(
                Problem(places.of(value), f"{name} is not a bundle hook", f"{guess}The hooks are {', '.join(HOOKS)}.")
            )
        elif inspect.signature(value).parameters:
            problems.append(Problem(places.of(value), f"the hook {name} takes arguments", f"Write `def {name}():`."))
        elif inspect.iscoroutinefunction(value):
            problems.append(
                Problem(places.of(value), f"the hook {name} is async", "Hooks only declare; write a plain `def`.")
            )
    return len(problems) > before


def _ask(manager: pluggy.PluginManager, hook: str, places: Places, problems: list[Problem]) -> list[Entry[Any]]:
    found: list[Entry[Any]] = []
    caller: pluggy.HookCaller = getattr(manager.hook, hook)
    for implementation in reversed(caller.get_hookimpls()):
        where = places.of(implementation.function)
        try:
            given = implementation.function()
            items = list(_items(given))
        except Exception as error:
            problems.append(
                Problem(places.of_error(error) or where, f"the hook {hook} failed: {type(error).__name__}: {error}")
            )
            continue
        for item in items:
            entry = item if isinstance(item, Entry) else Entry(item, where)
            wanted = RECORDS.get(hook)
            if wanted is not None and not isinstance(entry.record, wanted):
                problems.append(
                    Problem(
                        places.short(entry.where),
                        f"the hook {hook} returned a {type(entry.record).__name__}",
                        f"Return a list of showground.{wanted.__name__}(...).",
                    )
                )
            else:
                found.append(entry)
    return found


def _items(given: Any) -> Iterable[Any]:
    """Hooks return a list, one record, or nothing."""
    if given is None:
        return ()
    if isinstance(given, Mapping | str) or not isinstance(given, Iterable):
        return (given,)
    return given
