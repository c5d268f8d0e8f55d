"""The bundle that is being loaded: where `Devvit` writes. A context variable, so many bundles load in one process."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from showground.author.records import CustomPostType, Form, MenuItem, SchedulerJob, Trigger
from showground.errors import ShowgroundError
from showground.hookspecs import hookimpl

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Entry(Generic[R]):
    """A record and the place in the bundle that made it (`/path/main.py:12`)."""

    record: R
    where: str


@dataclass(slots=True)
class Collection:
    """What the `Devvit` calls of one bundle recorded, in order; itself a plugin that hands it out through the bundle hooks."""

    options: list[Entry[Mapping[str, Any]]] = field(default_factory=list)
    triggers: list[Entry[Trigger]] = field(default_factory=list)
    jobs: list[Entry[SchedulerJob]] = field(default_factory=list)
    post_types: list[Entry[CustomPostType]] = field(default_factory=list)
    menu_items: list[Entry[MenuItem]] = field(default_factory=list)
    settings: list[Entry[Any]] = field(default_factory=list)
    forms: list[Entry[Form]] = field(default_factory=list)
    unused: dict[object, Entry[str]] = field(default_factory=dict)
    """Decorators that were made and not applied yet; the record is the name of the call."""

    @hookimpl
    def configure(self) -> Iterable[Any]:
        return self.options

    @hookimpl
    def add_trigger(self) -> Iterable[Any]:
        return self.triggers

    @hookimpl
    def add_scheduler_job(self) -> Iterable[Any]:
        return self.jobs

    @hookimpl
    def add_custom_post_type(self) -> Iterable[Any]:
        return self.post_types

    @hookimpl
    def add_menu_item(self) -> Iterable[Any]:
        return self.menu_items

    @hookimpl
    def add_settings(self) -> Iterable[Any]:
        return self.settings

    @hookimpl
    def create_form(self) -> Iterable[Any]:
        return self.forms


_loading: ContextVar[Collection | None] = ContextVar("showground_bundle_being_loaded", default=None)


@contextmanager
def loading(collection: Collection) -> Iterator[Collection]:
    """Make *collection* the one that `Devvit` writes into, within the block."""
    token = _loading.set(collection)
    try:
        yield collection
    finally:
        _loading.reset(token)


def current(call: str) -> Collection:
    """The bundle being loaded; *call* is named in the error when there is none."""
    collection = _loading.get()
    if collection is None:
        raise ShowgroundError(
            "bundle_invalid",
            f"Devvit.{call} was called while no bundle is being loaded",
            caller(),
            "Call it at the top level of the bundle's modules. A test loads a bundle with "
            "showground.author.loading.load_bundle.",
        )
    return collection


def caller() -> str:
    """`file:line` of the nearest frame outside of the author surface."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("showground.author."):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
