"""One render: from the app's function to the wire's tree, the hooks by id, and the handlers by action id."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from showground.ui.calls import call
from showground.ui.diff import Tree
from showground.ui.elements import NO_DATA, Component, Element, Key, Node
from showground.ui.events import Event
from showground.ui.faults import fault
from showground.ui.run import Hook, Run, State
from showground.ui.values import json_value

MAX_NODES = 20_000
MAX_INTERRUPTS = 128
"""As many asynchronous initialisers may run in one render, one after the other."""


@dataclass(frozen=True, slots=True, eq=False)
class PageHook:
    """Passes on what the page of a `webview` block says."""

    id: str
    on_message: Callable[..., Any]

    async def handle(self, run: Run, event: Event) -> None:
        if event.visible is None:
            await call(self.on_message, msgspec.json.decode(event.data or b"null"))


class Interrupt(BaseException):
    """A hook needs something awaited before the render can go on: await `work`, then render again.

    Not an `Exception`, so that the app's own `except Exception` does not catch it.
    """

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self.work = work


Action = tuple[Callable[..., Any], Any]
"""A handler and the data of its block."""


@dataclass(slots=True, eq=False)
class Memo:
    """A component's last render: reused while arguments and state are the same."""

    component: Component
    tree: Tree | None
    state: State
    actions: dict[str, Action]
    hooks: dict[str, Hook]
    memos: dict[str, Memo]
    read_viewer: bool
    read_env: bool


@dataclass(slots=True, eq=False)
class Live:
    """The closures of one render. They serve one event: a handler may have changed lists that they captured."""

    actions: dict[str, Action] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Rendered:
    tree: Tree
    live: Live
    memos: dict[str, Memo]
    nodes: int


class Render:
    """Collects what one render makes. Hooks reach it through the current run, as a `showground.ui.run.Rendering`."""

    def __init__(self, run: Run, memos: dict[str, Memo]) -> None:
        self._run = run
        self._old_memos = memos
        self.live = Live()
        self.memos: dict[str, Memo] = {}
        self.nodes = 0
        self.scope = ""
        """Path of the component that is being called, with a `/` at its end; empty for the root."""
        self.component = ""
        self._counter = 0

    def hook_id(self, name: str) -> str:
        found = f"{self.scope}{name}-{self._counter}"
        self._counter += 1
        return found

    def has(self, hook_id: str) -> bool:
        return hook_id in self.live.hooks

    def add(self, hook: Hook) -> None:
        if hook.id in self.live.hooks:
            raise self._run.fault(
                f"{self.component}: hook id {hook.id!r} is used already", "Give the components different keys."
            )
        self.live.hooks[hook.id] = hook

    def finish(self, root: Any, height: str) -> Rendered:
        """Resolve what the render function returned."""
        if isinstance(root, Component):
            tree = self._component(root, root.tag)
            root_children = [] if tree is None else [tree]
            attrs: dict[str, Any] = {}
        elif isinstance(root, Element) and root.block == "blocks":
            attrs = root.attrs
            root_children = self._children(root.children or [], "")
        elif isinstance(root, Element):
            attrs = {}
            root_children = [self._element(root, _place(root, 0))]
        else:
            what = "nothing" if root is None else f"a {type(root).__name__}"
            raise fault(
                f"the render function {self.component} returned {what}",
                "Return exactly one block: blocks(…), or a stack, which is put into blocks().",
                self._run.folder,
            )
        if height == "regular":
            attrs = {name: value for name, value in attrs.items() if name != "height"} if "height" in attrs else attrs
        elif attrs.get("height") != height:
            attrs = {**attrs, "height": height}
        return Rendered(
            ["blocks", attrs, root_children] if root_children else ["blocks", attrs], self.live, self.memos, self.nodes
        )

    def _children(self, children: list[Node | None], path: str) -> list[Tree]:
        found: list[Tree] = []
        prefix = f"{path}." if path else ""
        self.nodes += len(children)
        if self.nodes > MAX_NODES:
            raise self._run.fault(
                f"{self.component} draws more than {MAX_NODES} blocks", "Show a page of them at a time."
            )
        keys: set[tuple[str, Key]] = set()
        keyed = 0
        for slot, child in enumerate(children):
            if child is None:
                continue
            key = child.key
            if key is None:
                place = f"{prefix}{child.tag}{slot}"
            else:
                keyed += 1
                keys.add((child.tag, key))
                place = f"{prefix}{child.tag}:{key if key.__class__ is int else _escaped(key)}"
            if child.__class__ is Component:
                tree = self._component(child, place)
                if tree is not None:
                    found.append(tree)
            else:
                found.append(self._element(child, place))  # type: ignore[arg-type]
        if keyed != len(keys):
            self._refuse_twins(children)
        return found

    def _refuse_twins(self, children: list[Node | None]) -> None:
        seen: set[tuple[str, Key]] = set()
        for child in children:
            if child is not None and child.key is not None:
                if (child.tag, child.key) in seen:
                    raise self._run.fault(
                        f"{self.component}: two siblings have the key {child.key!r}", "Keys differ among siblings."
                    )
                seen.add((child.tag, child.key))

    def _element(self, element: Element, path: str) -> Tree:
        attrs = element.attrs
        key = element.key
        press = element.press
        if element.block == "image" or element.block == "webview":
            attrs = {**attrs, "url": self._run.address(attrs["url"])}
            if element.block == "webview" and press is not None:
                self.add(PageHook(path, press))
                attrs["hook"] = path
                press = None
        if press is not None and "disabled" not in attrs:
            if element.id is not None:
                path = f"#{element.id}"
            actions = self.live.actions
            if path in actions:
                raise self._run.fault(
                    f"{self.component}: two blocks have the id {element.id!r}", "Ids differ within a post."
                )
            attrs = {**attrs, "press": path} if key is None else {"k": key, **attrs, "press": path}
            data = element.data
            if data is not NO_DATA:
                data = json_value(data, f"{element.block}(data=…)")
            actions[path] = (press, data)
        elif key is not None:
            attrs = {"k": key, **attrs}
        if not element.children:
            return [element.block, attrs]
        children = self._children(element.children, path if element.id is None else f"#{element.id}")
        return [element.block, attrs, children] if children else [element.block, attrs]

    def _component(self, component: Component, path: str) -> Tree | None:
        if component.memo:
            memo = self._old_memos.get(path)
            if memo is not None and self._reusable(memo, component):
                return self._reuse(path, memo)
        outer = (self.scope, self.component, self._counter, self.live, self.memos)
        flags = (self._run.read_viewer, self._run.read_env)
        self.scope, self.component, self._counter = f"{path}/", component.function.__name__, 0
        if component.memo:
            self.live, self.memos = Live(), {}
            self._run.read_viewer = self._run.read_env = False
        try:
            drawn = component.function(*component.args, **component.kwargs)
            if inspect.isawaitable(drawn):
                if inspect.iscoroutine(drawn):
                    drawn.close()
                raise self._run.fault(
                    f"the component {self.component} is async",
                    "Only a post type's render function may be; load data with use_async or an async use_state.",
                )
            tree = self._drawn(drawn, path, component.key)
            if component.memo:
                self._remember(path, component, tree, outer, flags)
            return tree
        finally:
            self.scope, self.component, self._counter, self.live, self.memos = outer

    def _drawn(self, drawn: Any, path: str, key: Key | None) -> Tree | None:
        if drawn is None or drawn is False:
            return None
        self.nodes += 1
        if isinstance(drawn, Component):
            tree = self._component(drawn, f"{path}.{_place(drawn, 0)}")
        elif isinstance(drawn, Element) and drawn.block != "blocks":
            tree = self._element(drawn, f"{path}.{_place(drawn, 0)}")
        else:
            what = "blocks()" if isinstance(drawn, Element) else f"a {type(drawn).__name__}"
            raise self._run.fault(f"the component {self.component} returned {what}", "Return one block, or None.")
        if tree is not None and key is not None and "k" not in tree[1]:
            tree = [tree[0], {"k": key, **tree[1]}, *tree[2:]]  # the component's place among its siblings
        return tree

    # --- memo ---

    def _reusable(self, memo: Memo, component: Component) -> bool:
        was = memo.component
        state = self._run.state
        return (
            was.function is component.function
            and was.args == component.args
            and was.kwargs == component.kwargs
            and all(state.get(name, _ABSENT) is value for name, value in memo.state.items())
        )

    def _reuse(self, path: str, memo: Memo) -> Tree | None:
        self.live.actions.update(memo.actions)
        self.live.hooks.update(memo.hooks)
        self.memos.update(memo.memos)
        self.memos[path] = memo
        self._run.read_viewer |= memo.read_viewer
        self._run.read_env |= memo.read_env
        return memo.tree

    def _remember(
        self, path: str, component: Component, tree: Tree | None, outer: Any, flags: tuple[bool, bool]
    ) -> None:
        run = self._run
        memo = Memo(
            component,
            tree,
            {name: run.state.get(name, _ABSENT) for name in self.live.hooks},
            self.live.actions,
            self.live.hooks,
            self.memos,
            run.read_viewer,
            run.read_env,
        )
        live, memos = outer[3], outer[4]
        live.actions.update(memo.actions)
        live.hooks.update(memo.hooks)
        memos.update(memo.memos)
        memos[path] = memo
        run.read_viewer |= flags[0]
        run.read_env |= flags[1]


_ABSENT = object()


def _place(node: Node, slot: int) -> str:
    return f"{node.tag}{slot}" if node.key is None else f"{node.tag}:{_escaped(node.key)}"


def _escaped(key: Key) -> str:
    text = str(key)
    if "." in text or "/" in text or "%" in text:
        text = text.replace("%", "%25").replace(".", "%2E").replace("/", "%2F")
    return text


async def render(run: Run, function: Callable[..., Any], context: Any, height: str, memos: dict[str, Memo]) -> Rendered:
    """Call the render function until no hook needs anything awaited. Hooks that are gone lose their state."""
    for _ in range(MAX_INTERRUPTS):
        one = Render(run, memos)
        one.component = getattr(function, "__name__", "render")
        run.rendering = one
        try:
            root = function(context)
            if inspect.isawaitable(root):
                root = await root
            rendered = one.finish(root, height)
        except Interrupt as interrupt:
            run.rendering = None
            await interrupt.work()
            continue
        finally:
            run.rendering = None
        if run.state.keys() != rendered.live.hooks.keys():
            for gone in run.state.keys() - rendered.live.hooks.keys():
                del run.state[gone]
        return rendered
    raise run.fault(
        f"{getattr(function, '__name__', 'render')} needed more than {MAX_INTERRUPTS} asynchronous initialisers",
        "Load the data in one use_state, or with use_async.",
    )
