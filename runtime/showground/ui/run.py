"""The run of one view's events: what hooks, setters and the context reach through one context variable.

Nothing of a viewer is kept in a module, and closures of a render hold no state: a setter that was made in one render acts on
whatever run calls it. So one render's closures can serve many views that are in the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from showground.errors import ShowgroundError
from showground.ui.effects import Effects
from showground.ui.faults import fault

IMPERSONAL = frozenset({"settings"})
"""Members whose answers are the same for all viewers and that change nothing: they may be asked for many views at once."""

State = dict[str, Any]
"""Hook id to JSON value. A run replaces values and never changes one in place."""


@dataclass(frozen=True, slots=True)
class Viewer:
    id: str | None = None
    name: str | None = None
    moderator: bool = False


@dataclass(frozen=True, slots=True)
class Env:
    """What the viewer's screen is like. Sizes in CSS pixels."""

    width: float = 512
    height: float = 320
    scale: float = 1.0
    font_scale: float = 1.0
    color_scheme: str = "light"
    locale: str = "en"
    timezone: str = "UTC"


class Alone(BaseException):
    """A capability was called while many views were run together: the view must be run in a request of its own.

    Nothing has happened yet. Not an `Exception`, so that the app's own `except Exception` does not catch it.
    """


class Assets(Protocol):
    """`context.assets`, as far as blocks need it."""

    def get_url(self, path: str, /) -> str:
        """The address of a file of the bundle; empty when there is none of that name."""
        ...


class Hook(Protocol):
    """What a hook leaves behind for the events that are addressed to it."""

    @property
    def id(self) -> str: ...


class Rendering(Protocol):
    """The render that goes on, as the hooks that it calls see it."""

    component: str
    """The name of the function that is being called."""

    def hook_id(self, name: str) -> str:
        """The id of the next hook of this component: `state-0`, or `v0.cell:5/state-0` within a component."""
        ...

    def has(self, hook_id: str) -> bool:
        """Whether a hook of that id was added already."""
        ...

    def add(self, hook: Hook) -> None:
        """Raises `app_error` when there is one of its id."""
        ...


@dataclass(slots=True, eq=False)
class Run:
    """One view, from the state that it was in to the one that it will be in."""

    state: State
    viewer: Viewer
    env: Env
    post: Mapping[str, Any]
    base: Callable[[], Any]
    """Makes the invocation's own context: clients and ids."""
    folder: str = ""
    assets: Assets | None = None
    """None: names of assets are left as they are."""
    together: bool = False
    """Other views are run with this one, so it may not act in its viewer's name."""
    effects: Effects = field(default_factory=Effects)
    rendering: Rendering | None = None
    read_viewer: bool = False
    read_env: bool = False
    made: bool = False
    """A function made initial state: it may be random or personal, so what comes of this run is this view's own."""
    forms: Mapping[str, Any] = field(default_factory=dict)
    """Forms of the current render, hook id to what `show_form` needs."""
    closed: bool = False

    def address(self, name: str) -> str:
        """Where the browser finds an asset of the bundle; addresses come back unchanged. Raises `app_error`."""
        if self.assets is None or name.startswith(("https://", "data:", "/")):
            return name
        found = self.assets.get_url(name)
        if not found:
            raise self.fault(f"the bundle has no asset {name!r}", "Put the file into the bundle's assets folder.")
        return found

    def member(self, name: str) -> Any:
        """A member of the invocation's context through which the host is called; raises `Alone` where that may not be."""
        if self.together and name not in IMPERSONAL:
            raise Alone
        return getattr(self.base(), name)

    def reads(self) -> tuple[bool, bool]:
        return self.read_viewer, self.read_env

    def made_state(self, reads: tuple[bool, bool]) -> None:
        """What an initialiser read is in the state now, and only there: views that reach the same state may share again."""
        self.made = True
        self.read_viewer, self.read_env = reads

    def fault(self, message: str, remedy: str = "") -> ShowgroundError:
        return fault(message, remedy, self.folder)


_current: ContextVar[Run | None] = ContextVar("showground_view_run", default=None)


def enter(run: Run) -> None:
    """Make *run* the current one of this task."""
    _current.set(run)


def current(what: str) -> Run:
    """The run that *what* acts on; raises `app_error` outside of one and after its end."""
    run = _current.get()
    if run is None:
        raise fault(
            f"{what} was used outside of a live post",
            "Use it in the render function of a post type, or in a handler of a block.",
        )
    if run.closed:
        raise run.fault(
            f"{what} was used after its handler had ended",
            "Await what the handler starts; background tasks do not outlive it.",
        )
    return run


def rendering(hook: str) -> tuple[Run, Rendering]:
    """The render that calls *hook*; raises `app_error` when none is going on."""
    run = current(hook)
    if run.rendering is None:
        raise run.fault(
            f"{hook} was called outside of a render",
            "Call hooks at the top of the render function or of a component, not in handlers.",
        )
    return run, run.rendering
