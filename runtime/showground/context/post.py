"""The context object of a live post: the invocation's context, seen through whatever run is current.

Closures of one render serve later events, and other views in the same state, so what they captured as `context` must lead to
the viewer, the screen and the capabilities of the event that they handle. What they read of the viewer or the screen is noted:
views may share a result only as far as nothing personal went into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from showground.context.context import Context
from showground.context.ui import Ui
from showground.ui.effects import Effects
from showground.ui.hooks.form import FormHook
from showground.ui.names import nearest
from showground.ui.run import Env, Run, Viewer, current
from showground.ui.values import fresh


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The post's place on the viewer's screen, in CSS pixels."""

    width: float
    height: float
    scale: float
    font_scale: float


@dataclass(frozen=True, slots=True)
class PostEnvironment:
    """`context.ui_environment` in a post."""

    locale: str
    timezone: str
    color_scheme: str
    dimensions: Dimensions


class ViewContext:
    """Everything of `showground.context.context.Context`, and `dimensions`, `post_data` and forms of hooks."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if isinstance(getattr(Context, name, None), property) or name == "assets":
            return getattr(current(f"context.{name}").base(), name)
        return LateMember(name)

    # --- the viewer ---

    @property
    def user_id(self) -> str | None:
        return self._viewer("user_id").id

    @property
    def username(self) -> str | None:
        return self._viewer("username").name

    @property
    def is_moderator(self) -> bool:
        return self._viewer("is_moderator").moderator

    @staticmethod
    def _viewer(name: str) -> Viewer:
        run = current(f"context.{name}")
        run.read_viewer = True
        return run.viewer

    # --- the screen ---

    @property
    def ui_environment(self) -> PostEnvironment:
        env = self._env("ui_environment")
        return PostEnvironment(env.locale, env.timezone, env.color_scheme, _dimensions(env))

    @property
    def dimensions(self) -> Dimensions:
        return _dimensions(self._env("dimensions"))

    @staticmethod
    def _env(name: str) -> Env:
        run = current(f"context.{name}")
        run.read_env = True
        return run.env

    # --- the post ---

    @property
    def post_id(self) -> str:
        return str(current("context.post_id").post["id"])

    @property
    def post_data(self) -> Any:
        """What `submit_post` was given as the post's data: the caller's own copy, or None."""
        return fresh(current("context.post_data").post.get("data"))

    @property
    def ui(self) -> Ui:
        return PostUi(current("context.ui"))

    def to_json(self) -> dict[str, Any]:
        """The ids and names, for logging."""
        run = current("context.to_json")
        run.read_viewer = True
        found: dict[str, Any] = run.base().to_json()
        return {**found, "user_id": run.viewer.id, "username": run.viewer.name, "post_id": run.post["id"]}


class LateMember:
    """`context.redis` and its like: whatever captured it uses the invocation that runs when it is used."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(current(f"context.{self._name}").member(self._name), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return current(f"context.{self._name}").member(self._name)(*arguments, **named)

    def __repr__(self) -> str:
        return f"<context.{self._name}>"


def _dimensions(env: Env) -> Dimensions:
    return Dimensions(env.width, env.height, env.scale, env.font_scale)


class PostUi(Ui):
    """`context.ui` of a post: forms are those of `use_form`."""

    def __init__(self, run: Run) -> None:
        super().__init__({})
        self._run = run

    @property
    def collected(self) -> Effects:
        if self._run.rendering is not None:
            raise self._run.fault("context.ui was used while rendering", "Use it in a handler.")
        return self._run.effects

    def _form(self, key: str, data: Any) -> dict[str, Any]:
        hooks: Mapping[str, Any] = self._run.forms
        hook = hooks.get(key)
        if not isinstance(hook, FormHook):
            forms = [name for name, one in hooks.items() if isinstance(one, FormHook)]
            raise self._run.fault(
                f"Form does not exist: {key!r}. Make sure you have added it using use_form",
                nearest(str(key), forms) or "In a post, forms come from use_form; create_form is for menu items.",
            )
        return hook.show(self._run, data)
