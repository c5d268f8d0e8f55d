"""The diff: whatever changed, applying the operations to the old tree gives the new one."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from showground.ui.diff import Tree, apply, diff


def node(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    attributes = st.dictionaries(st.sampled_from(["gap", "grow", "width"]), st.integers(0, 2), max_size=2)

    def build(kind: str, attrs: dict[str, Any], key: str | None, inner: list[Any]) -> Tree:
        found = dict(attrs) if key is None else {"k": key, **attrs}
        seen: set[tuple[str, str]] = set()
        kept = []
        for child in inner:
            identity = (child[0], child[1].get("k"))
            if identity[1] is None or identity not in seen:
                kept.append(child)
                seen.add(identity)
        return [kind, found, kept] if kept else [kind, found]

    keys = st.none() | st.sampled_from("abcdefgh")
    return st.builds(build, st.sampled_from(["vstack", "hstack"]), attributes, keys, st.lists(children, max_size=8))


leaves = st.builds(
    lambda text, key: ["text", {"text": text} if key is None else {"k": key, "text": text}],
    st.sampled_from("xyz"),
    st.none() | st.sampled_from("abcdefgh"),
)
trees = node(st.recursive(leaves, node, max_leaves=30))


@settings(max_examples=150)
@given(trees, trees)
def test_applying_the_difference_gives_the_new_tree(old: Tree, new: Tree) -> None:
    before = json.dumps(old)
    ops = json.loads(json.dumps(diff(old, new)))
    assert apply(ops, old) == new
    assert json.dumps(old) == before, "the old tree is left as it is"


@given(trees)
def test_equal_trees_have_no_difference(tree: Tree) -> None:
    assert diff(tree, json.loads(json.dumps(tree))) == []


@given(st.permutations("abcdefgh"), st.permutations("abcdefgh"))
def test_reordering_keyed_children_only_moves_them(before: list[str], after: list[str]) -> None:
    def rows(keys: list[str]) -> Tree:
        return ["vstack", {}, [["text", {"k": key, "text": key}] for key in keys]]

    ops = diff(rows(before), rows(after))
    assert apply(ops, rows(before)) == rows(after)
    assert all(op[0] == "m" for op in ops)


def test_moving_the_first_child_to_the_end_is_one_operation() -> None:
    def rows(keys: str) -> Tree:
        return ["vstack", {}, [["text", {"k": key}] for key in keys]]

    assert diff(rows("abcdef"), rows("bcdefa")) == [["m", [], 0, 5]]
    assert diff(rows("abcdef"), rows("abef")) == [["d", [], 2, 2]]
