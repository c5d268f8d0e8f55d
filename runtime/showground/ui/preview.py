"""The tree of a post's preview: what is shown until, and where, the post itself cannot run."""

from __future__ import annotations

from typing import Any

import msgspec

from showground.ui.faults import fault
from showground.ui.render import Render
from showground.ui.run import Env, Run, Viewer

MAX_BYTES = 64 * 1024


def preview_tree(preview: Any) -> bytes:
    """JSON of the wire's tree of a block without hooks. Handlers are left out: nothing in a preview can be pressed.

    Raises `app_error` when it is no block, uses hooks, or is larger than 64 kB.
    """
    run = Run({}, Viewer(), Env(), {}, _no_context)
    render = Render(run, {})
    render.component = "the preview"
    tree = msgspec.json.encode(_still(render.finish(preview, "regular").tree))
    if len(tree) > MAX_BYTES:
        raise fault(f"the preview has {len(tree)} bytes", f"At most {MAX_BYTES}: a preview is a sketch.")
    return tree


def _still(node: Any) -> Any:
    attributes = {name: value for name, value in node[1].items() if name != "press"}
    return [node[0], attributes, [_still(child) for child in node[2]]] if len(node) > 2 else [node[0], attributes]


def _no_context() -> Any:
    raise fault("a preview used the context", "Give it finished blocks.")
