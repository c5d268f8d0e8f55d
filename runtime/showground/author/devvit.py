"""`Devvit`: the registrations of an app, under the names that Devvit's authors know, as calls or as decorators.

A thin face over the bundle hooks of `showground.hookspecs`: it only records, into the bundle that is being loaded.
Checking happens once the whole bundle has been read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from showground.author.collection import Entry, caller, current
from showground.author.records import (
    CustomPostType,
    Form,
    Height,
    Location,
    MenuItem,
    SchedulerJob,
    SettingField,
    SettingGroup,
    Trigger,
    UserType,
)

H = TypeVar("H", bound=Callable[..., Any])


class Devvit:
    """Used through its static methods only, at the top level of a bundle's modules."""

    @staticmethod
    def configure(**options: Any) -> None:
        """State which capabilities the app uses: `Devvit.configure(redis=True, http={"domains": ["example.com"]})`.

        Several calls are merged, later ones win. Each option is `True`, `False` or a mapping with `enabled`.
        """
        current("configure").options.append(Entry(options, caller()))

    @overload
    @staticmethod
    def add_trigger(
        *names: str,
        event: str | None = None,
        events: Sequence[str] = (),
        timeout_s: float | None = None,
        max_attempts: int | None = None,
    ) -> Callable[[H], H]: ...

    @overload
    @staticmethod
    def add_trigger(
        *names: str,
        on_event: H,
        event: str | None = None,
        events: Sequence[str] = (),
        timeout_s: float | None = None,
        max_attempts: int | None = None,
    ) -> H: ...

    @staticmethod
    def add_trigger(
        *names: str,
        on_event: Any = None,
        event: str | None = None,
        events: Sequence[str] = (),
        timeout_s: float | None = None,
        max_attempts: int | None = None,
    ) -> Any:
        """Call `on_event(event, context)` for each of the named events."""
        if len(names) == 1 and callable(
            names[0]
        ):  # @Devvit.add_trigger, without a call: reported with the other faults
            on_event = names[0]
        wanted = (*names, *([] if event is None else [event]), *([events] if isinstance(events, str) else events))

        def record(handler: H) -> H:
            trigger = Trigger(event=wanted, handler=handler, timeout_s=timeout_s, max_attempts=max_attempts)
            current("add_trigger").triggers.append(Entry(trigger, caller()))
            return handler

        return _decorator("add_trigger", record) if on_event is None else record(on_event)

    @overload
    @staticmethod
    def add_scheduler_job(
        name: str, *, timeout_s: float | None = None, max_attempts: int | None = None
    ) -> Callable[[H], H]: ...

    @overload
    @staticmethod
    def add_scheduler_job(
        name: str, *, on_run: H, timeout_s: float | None = None, max_attempts: int | None = None
    ) -> H: ...

    @staticmethod
    def add_scheduler_job(
        name: str, *, on_run: Any = None, timeout_s: float | None = None, max_attempts: int | None = None
    ) -> Any:
        """Call `on_run(event, context)` when a job called *name* is due; the event carries `name` and `data`."""

        def record(handler: H) -> H:
            job = SchedulerJob(name=name, handler=handler, timeout_s=timeout_s, max_attempts=max_attempts)
            current("add_scheduler_job").jobs.append(Entry(job, caller()))
            return handler

        return _decorator("add_scheduler_job", record) if on_run is None else record(on_run)

    @overload
    @staticmethod
    def add_custom_post_type(name: str, *, description: str = "", height: Height = "regular") -> Callable[[H], H]: ...

    @overload
    @staticmethod
    def add_custom_post_type(name: str, *, render: H, description: str = "", height: Height = "regular") -> H: ...

    @staticmethod
    def add_custom_post_type(
        name: str, *, render: Any = None, description: str = "", height: Height = "regular"
    ) -> Any:
        """Draw the app's live posts with `render(context)`. An app has at most one post type."""

        def record(function: H) -> H:
            post_type = CustomPostType(name=name, render=function, description=description, height=height)
            current("add_custom_post_type").post_types.append(Entry(post_type, caller()))
            return function

        return _decorator("add_custom_post_type", record) if render is None else record(render)

    @overload
    @staticmethod
    def add_menu_item(
        label: str,
        location: Location | Sequence[Location],
        *,
        description: str = "",
        post_filter: str = "none",
        for_user_type: UserType | Sequence[UserType] = "member",
    ) -> Callable[[H], H]: ...

    @overload
    @staticmethod
    def add_menu_item(
        label: str,
        location: Location | Sequence[Location],
        *,
        on_press: H,
        description: str = "",
        post_filter: str = "none",
        for_user_type: UserType | Sequence[UserType] = "member",
    ) -> H: ...

    @staticmethod
    def add_menu_item(
        label: str,
        location: Any,
        *,
        on_press: Any = None,
        description: str = "",
        post_filter: Any = "none",
        for_user_type: Any = "member",
    ) -> Any:
        """Call `on_press(event, context)` when a user picks the item; the event carries `location` and `target_id`."""

        def record(handler: H) -> H:
            item = MenuItem(
                label=label,
                location=location,
                on_press=handler,
                description=description,
                post_filter=post_filter,
                for_user_type=for_user_type,
            )
            current("add_menu_item").menu_items.append(Entry(item, caller()))
            return handler

        return _decorator("add_menu_item", record) if on_press is None else record(on_press)

    @staticmethod
    def add_settings(
        *fields: SettingField
        | SettingGroup
        | Mapping[str, Any]
        | Sequence[SettingField | SettingGroup | Mapping[str, Any]],
    ) -> None:
        """Declare settings; may be called many times. Names are unique over all scopes and groups."""
        where = caller()
        found = current("add_settings").settings
        for given in fields:
            several = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
            found.extend(Entry(one, where) for one in several)

    @overload
    @staticmethod
    def create_form(form: Mapping[str, Any] | Callable[..., Any]) -> Callable[[Callable[..., Any]], str]: ...

    @overload
    @staticmethod
    def create_form(form: Mapping[str, Any] | Callable[..., Any], on_submit: Callable[..., Any]) -> str: ...

    @staticmethod
    def create_form(form: Any, on_submit: Any = None) -> Any:
        """Make a form for `context.ui.show_form`. Returns its key; as a decorator it leaves the key under the function's name."""

        def record(handler: Callable[..., Any]) -> str:
            forms = current("create_form").forms
            key = f"form.{len(forms)}"
            forms.append(Entry(Form(form=form, on_submit=handler, key=key), caller()))
            return key

        return _decorator("create_form", record) if on_submit is None else record(on_submit)


def _decorator(call: str, record: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """*record* as a decorator; one that is never applied is a fault, because it would register nothing."""
    unused = current(call).unused
    token = object()
    unused[token] = Entry(call, caller())

    def decorate(handler: Any) -> Any:
        unused.pop(token, None)
        return record(handler)

    return decorate
