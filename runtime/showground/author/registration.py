"""From what a bundle collected to its `Registration` (data, for the host) and its `Handlers` (functions, for the worker)."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, get_args

from showground.author.collection import Collection, Entry
from showground.author.fields import SettingFields
from showground.author.options import Options
from showground.author.places import Places
from showground.author.records import CustomPostType, Form, Handler, Height, Location, MenuItem, UserType
from showground.bundle.manifest import FILE, HandlerLimit, Manifest
from showground.errors import Problem, ShowgroundError
from showground.model import FormSpec, JobSpec, Json, MenuItemSpec, PostTypeSpec, Registration, TriggerSpec

EVENTS: Final = (
    "AppInstall",
    "AppUninstall",
    "AppUpgrade",
    "AutomoderatorFilterComment",
    "AutomoderatorFilterPost",
    "CommentCreate",
    "CommentDelete",
    "CommentReport",
    "CommentSubmit",
    "CommentUpdate",
    "ModAction",
    "ModMail",
    "PostCreate",
    "PostDelete",
    "PostFlairUpdate",
    "PostNsfwUpdate",
    "PostReport",
    "PostSpoilerUpdate",
    "PostSubmit",
    "PostUpdate",
)
"""Devvit's 19, and AppUninstall."""
CUSTOM_EVENT: Final = re.compile(r"[a-z0-9.-]+\.[A-Za-z0-9.]+")
"""An event that an operator defines: dotted, as CloudEvents recommends (`com.example.order.paid`)."""
LOCATIONS: tuple[str, ...] = get_args(Location)
USER_TYPES: tuple[str, ...] = get_args(UserType)
HEIGHTS: tuple[str, ...] = get_args(Height)


@dataclass(frozen=True, slots=True)
class Handlers:
    """The functions of a bundle, by the name that an invocation carries."""

    triggers: Mapping[str, Sequence[Handler]] = field(default_factory=dict)
    jobs: Mapping[str, Handler] = field(default_factory=dict)
    post_types: Mapping[str, CustomPostType] = field(default_factory=dict)
    menu_items: Mapping[str, MenuItem] = field(default_factory=dict)
    forms: Mapping[str, Form] = field(default_factory=dict)
    validators: Mapping[str, Handler] = field(default_factory=dict)


class Registrar:
    """Checks one bundle; what is wrong is appended to *problems*, in the order of the kinds."""

    def __init__(self, manifest: Manifest, places: Places, problems: list[Problem]) -> None:
        self._manifest = manifest
        self._places = places
        self._problems = problems

    def build(self, found: Collection) -> tuple[Registration, Handlers]:
        options = Options(found.options, self._manifest, self._places, self._problems)
        triggers, trigger_specs = self._triggers(found)
        jobs, job_specs = self._jobs(found)
        post_types = self._post_types(found)
        menu_items = self._menu_items(found)
        forms, form_specs = self._forms(found)
        settings = SettingFields(self._problems, self._check_handler)
        for index, given in enumerate(self._manifest.settings):
            settings.add(given, f"{FILE}/settings/{index}")
        for entry in found.settings:
            settings.add(entry.record, self._places.short(entry.where))
        self._manifest_jobs(jobs)
        self._manifest_handlers(triggers, jobs)
        implied = {"scheduler"} if jobs else set()
        implied |= {"settings"} if settings.found else set()
        implied |= {"cache"} if "redis" in options.capabilities else set()
        registration = Registration(
            capabilities=frozenset(options.capabilities | implied),
            http_domains=options.http_domains,
            user_scopes=options.user_scopes,
            triggers=tuple(trigger_specs),
            jobs=tuple(job_specs),
            static_jobs=self._manifest.jobs,
            post_types=tuple(
                PostTypeSpec(name=p.name, description=p.description, height=p.height) for p in post_types.values()
            ),
            menu_items=tuple(_menu_spec(key, item) for key, item in menu_items.items()),
            forms=tuple(form_specs),
            settings=tuple(s.spec for s in settings.found.values()),
            configured=options.configured,
        )
        validators = {name: s.validator for name, s in settings.found.items() if s.validator is not None}
        return registration, Handlers(triggers, jobs, post_types, menu_items, forms, validators)

    def _problem(self, where: str, message: str, remedy: str = "") -> None:
        self._problems.append(Problem(where, message, remedy))

    def _check_handler(self, handler: Any, arguments: int, what: str, where: str) -> None:
        call = "(event, context)" if arguments == 2 else "(context)"
        if not callable(handler):
            self._problem(
                where, f"{what} is a {type(handler).__name__}, not a function", f"Give a function that takes {call}."
            )
            return
        try:
            signature = inspect.signature(handler)
        except (TypeError, ValueError):
            return  # a builtin without a signature: nothing to compare
        try:
            signature.bind(*(None,) * arguments)
        except TypeError:
            name = getattr(handler, "__name__", type(handler).__name__)
            self._problem(
                self._places.of(handler, where),
                f"{what}, {name}{signature}, cannot be called with {arguments} argument{'s' * (arguments > 1)}",
                f"Write `def {name if name.isidentifier() else 'handler'}{call}:`.",
            )

    def _named(self, name: Any, kind: str, where: str) -> bool:
        if isinstance(name, str) and name.strip():
            return True
        self._problem(where, f"{kind} has no name", "Give it a name, a string that is not empty.")
        return False

    def _limits(self, kind: str, name: str, timeout_s: Any, attempts: Any, where: str) -> HandlerLimit:
        if timeout_s is not None and not (_number(timeout_s) and timeout_s > 0):
            self._problem(where, f"timeout_s of the {kind} {name} is {timeout_s!r}", "Give seconds, more than 0.")
            timeout_s = None
        if attempts is not None and not (isinstance(attempts, int) and attempts >= 1):
            self._problem(where, f"max_attempts of the {kind} {name} is {attempts!r}", "Give a whole number from 1.")
            attempts = None
        said = self._manifest.handler_limit(kind, name)
        timeout_s = said.timeout_s if said.timeout_s is not None else timeout_s
        most = self._manifest.limits.timeout_s
        if timeout_s is not None and timeout_s > most:
            self._problem(
                where,
                f"the {kind} {name} may take {timeout_s:g} s, but the app's limit is {most:g} s",
                f"Raise limits.timeout_s in {FILE}, which bounds every call.",
            )
        return HandlerLimit(
            timeout_s=timeout_s,
            max_attempts=said.max_attempts if said.max_attempts is not None else attempts,
        )

    def _triggers(self, found: Collection) -> tuple[dict[str, list[Handler]], list[TriggerSpec]]:
        handlers: dict[str, list[Handler]] = {}
        specs: dict[str, TriggerSpec] = {}
        for entry in found.triggers:
            trigger, where = entry.record, self._places.short(entry.where)
            names: Sequence[Any] = (trigger.event,) if isinstance(trigger.event, str) else tuple(trigger.event)
            if not names:
                self._problem(where, "a trigger names no event", 'Write add_trigger("PostCreate").')
            for name in names:
                if not self._known_event(name, where):
                    continue
                limit = self._limits("trigger", name, trigger.timeout_s, trigger.max_attempts, where)
                handlers.setdefault(name, []).append(trigger.handler)
                before = specs.get(name, TriggerSpec(event=name))
                specs[name] = TriggerSpec(
                    event=name,
                    timeout_s=_larger(before.timeout_s, limit.timeout_s),
                    max_attempts=_larger(before.max_attempts, limit.max_attempts),
                )
            self._check_handler(trigger.handler, 2, f"the handler of the trigger {_list(names)}", where)
        return handlers, list(specs.values())

    def _known_event(self, name: Any, where: str) -> bool:
        if isinstance(name, str) and (name in EVENTS or CUSTOM_EVENT.fullmatch(name)):
            return True
        if callable(name):
            self._problem(where, "add_trigger got a function for an event", 'Write @Devvit.add_trigger("AppInstall").')
            return False
        near = difflib.get_close_matches(str(name), EVENTS, 3, 0.5)
        guess = f"Did you mean {_list(near)}? " if near else f"The events are {', '.join(EVENTS)}. "
        self._problem(
            where,
            f"Unknown trigger event: {name}",
            f"{guess}An event of your own has a dotted name, such as com.example.OrderPaid.",
        )
        return False

    def _jobs(self, found: Collection) -> tuple[dict[str, Handler], list[JobSpec]]:
        handlers: dict[str, Handler] = {}
        specs: list[JobSpec] = []
        for entry in found.jobs:
            job, where = entry.record, self._places.short(entry.where)
            if not self._named(job.name, "a scheduler job", where):
                continue
            self._check_handler(job.handler, 2, f"the handler of the job {job.name}", where)
            if job.name in handlers:
                first = self._places.of(handlers[job.name])
                self._problem(
                    where,
                    f"Job {job.name} is already defined",
                    f"The other one is at {first}; rename one." if first else "Rename one of the two.",
                )
                continue
            limit = self._limits("job", job.name, job.timeout_s, job.max_attempts, where)
            handlers[job.name] = job.handler
            specs.append(JobSpec(name=job.name, timeout_s=limit.timeout_s, max_attempts=limit.max_attempts))
        return handlers, specs

    def _manifest_jobs(self, jobs: Mapping[str, Handler]) -> None:
        for index, job in enumerate(self._manifest.jobs):
            if job.name not in jobs:
                self._problem(
                    f"{FILE}/jobs/{index}/name",
                    f"Job {job.name} not found",
                    _nearest(job.name, jobs, f"Add @Devvit.add_scheduler_job({job.name!r}) to the code."),
                )

    def _manifest_handlers(self, triggers: Iterable[str], jobs: Iterable[str]) -> None:
        known = [*(f"trigger:{name}" for name in triggers), *(f"job:{name}" for name in jobs)]
        for key in self._manifest.handlers:
            if key not in known:
                self._problem(
                    f"{FILE}/handlers/{key}",
                    f"the bundle has no {key.replace(':', ' ', 1)}",
                    _nearest(key, known, "Remove it, or register the handler."),
                )

    def _post_types(self, found: Collection) -> dict[str, CustomPostType]:
        kept: dict[str, CustomPostType] = {}
        for entry in found.post_types:
            post_type, where = entry.record, self._places.short(entry.where)
            if not self._named(post_type.name, "a custom post type", where):
                continue
            self._check_handler(post_type.render, 1, f"render of the post type {post_type.name}", where)
            self._one_of(post_type.height, HEIGHTS, f"the height of the post type {post_type.name}", where)
            if kept:
                self._problem(
                    where,
                    f"{post_type.name} is a second custom post type, after {next(iter(kept))}",
                    "An app has one; draw both with it, by context.post_data or by state.",
                )
            else:
                kept[post_type.name] = post_type
        return kept

    def _menu_items(self, found: Collection) -> dict[str, MenuItem]:
        items: dict[str, MenuItem] = {}
        for entry in found.menu_items:
            item, where = entry.record, self._places.short(entry.where)
            if not isinstance(item.label, str) or not item.label.strip():
                self._problem(where, "a menu item has no label", "Give it one; users read it.")
            named = f"the menu item {item.label!r}"
            for location in _several(item.location) or ("",):
                self._one_of(location, LOCATIONS, f"the location of {named}", where)
            for user_type in _several(item.for_user_type):
                self._one_of(user_type, USER_TYPES, f"for_user_type of {named}", where)
            self._one_of(item.post_filter, ("none", "currentApp"), f"post_filter of {named}", where)
            self._check_handler(item.on_press, 2, f"on_press of {named}", where)
            items[f"menuItem.{len(items)}"] = item
        return items

    def _one_of(self, value: Any, known: Sequence[str], what: str, where: str) -> None:
        if value not in known:
            self._problem(where, f"{what} is {value!r}", f"Use {' or '.join(known)}.")

    def _forms(self, found: Collection) -> tuple[dict[str, Form], list[FormSpec]]:
        forms: dict[str, Form] = {}
        specs: list[FormSpec] = []
        for index, entry in enumerate(found.forms):
            form, where = entry.record, self._places.short(entry.where)
            key = form.key or f"form.{index}"
            self._check_handler(form.on_submit, 2, f"on_submit of {key}", where)
            if key in forms:
                self._problem(where, f"the form key {key} is used twice", "Give each form a key of its own.")
                continue
            forms[key] = form
            if isinstance(form.form, Mapping):
                specs.append(FormSpec(id=key, form=self._static_form(form.form, where)))
            else:
                if not callable(form.form):
                    self._problem(
                        where,
                        f"{key} is a {type(form.form).__name__}",
                        "A form is a mapping with fields, or a function of the data that returns one.",
                    )
                specs.append(FormSpec(id=key))
        return forms, specs

    def _static_form(self, form: Mapping[str, Any], where: str) -> Mapping[str, Json]:
        from showground.ui.forms import normalise_form  # most apps have no forms

        try:
            return normalise_form(form)
        except ShowgroundError as error:
            self._problem(where, error.message, error.remedy)
            return {}


def _menu_spec(key: str, item: MenuItem) -> MenuItemSpec:
    return MenuItemSpec(
        id=key,
        label=item.label,
        location=tuple(_several(item.location)),
        description=item.description,
        post_filter=item.post_filter,
        for_user_type=tuple(_several(item.for_user_type)),
    )


def _several(value: Any) -> Sequence[Any]:
    return (value,) if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _larger(one: Any, other: Any) -> Any:
    return max(one, other) if one is not None and other is not None else (other if one is None else one)


def _list(names: Iterable[Any]) -> str:
    return ", ".join(str(getattr(n, "__name__", n)) for n in names)


def _nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"Did you mean {near[0]}?" if near else otherwise


__all__ = ["CUSTOM_EVENT", "EVENTS", "Entry", "Handlers", "Registrar"]
