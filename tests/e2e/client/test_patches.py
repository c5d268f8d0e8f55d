"""The browser's patches against the host's diff, on trees that hypothesis makes."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.e2e.client.conftest import Gallery
from tests.e2e.client.test_presses import at

from showground.testing.browser import OpenPage
from showground.ui.diff import Tree, diff

pytestmark = pytest.mark.browser

LEAVES = st.tuples(
    st.sampled_from(["text", "button", "spacer", "icon"]),
    st.dictionaries(
        st.sampled_from(["text", "size", "width", "color"]), st.sampled_from(["small", "5px", "red"]), max_size=2
    ),
)


def _node(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(
        st.sampled_from(["hstack", "vstack", "zstack"]), st.just({}), st.lists(children, min_size=1, max_size=5)
    )


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    root = draw(st.recursive(LEAVES, _node, max_leaves=14))
    return ["blocks", {}, [_keyed(draw, root)]]


def _keyed(draw: st.DrawFn, node: Any) -> Tree:
    kind, attributes, *children = node
    if not children:
        return [kind, dict(attributes)]
    made = [_keyed(draw, child) for child in children[0]]
    keys = draw(st.lists(st.none() | st.integers(0, 9), min_size=len(made), max_size=len(made)))
    for index, (child, key) in enumerate(zip(made, keys, strict=True)):
        if key is not None and key not in keys[:index]:
            child[1] = {"k": key, **child[1]}
    return [kind, dict(attributes), made]


def pairs() -> list[tuple[Tree, Tree]]:
    """Some hundred pairs, always the same ones: a browser is asked once for all of them."""
    found: list[tuple[Tree, Tree]] = []

    @settings(max_examples=400, database=None, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees(), trees())
    def collect(old: Tree, new: Tree) -> None:
        found.append((old, new))

    collect()
    return found


RUN = """async (cases) => {
  const { apply, build, reconcile } = await import("/static/patch.js");
  const { Painter } = await import("/static/blocks.js");
  const toWire = ({ type, attrs, children }) => (children.length ? [type, attrs, children.map(toWire)] : [type, attrs]);
  const painter = () => new Painter({ add() {}, drop() {} });
  // An attribute that was set and taken away again may leave an empty style, and names their order.
  const plain = (element) => {
    for (const inner of [element, ...element.querySelectorAll("*")])
      if (!inner.getAttribute("style")) inner.removeAttribute("style");
    return element;
  };
  const sorted = (node) => JSON.stringify(node, (_, value) =>
    value && typeof value === "object" && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort()) : value);
  const drawn = (node) => {
    const own = painter();
    const root = build(node, own);
    own.settle();
    return plain(root.el);
  };
  const wrong = [];
  for (const [old, next, operations] of cases)
    for (const change of [(root, own) => apply(root, operations, own), (root, own) => reconcile(root, next, own)]) {
      const own = painter();
      let root = build(old, own);
      document.body.replaceChildren(root.el);
      own.settle();
      root = change(root, own);
      own.settle();
      if (sorted(toWire(root)) !== sorted(next)) wrong.push([change.toString(), toWire(root), next]);
      if (!plain(root.el).isEqualNode(drawn(next))) wrong.push([change.toString(), root.el.outerHTML, drawn(next).outerHTML]);
    }
  return wrong.slice(0, 3);
}"""


async def test_patches_and_whole_trees_end_where_a_fresh_drawing_does(open_page: OpenPage, gallery: Gallery) -> None:
    cases = [(old, new, diff(old, new)) for old, new in await asyncio.to_thread(pairs)]
    assert len(cases) > 300
    page = await at(open_page, await gallery("text"))
    assert await page.evaluate(RUN, json.loads(json.dumps(cases))) == []
