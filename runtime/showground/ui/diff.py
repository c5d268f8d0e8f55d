"""The difference of two wire trees as a list of operations, and its inverse. Pure; operations: docs/browser-protocol.md.

Equal subtrees cost one comparison in C, and none at all when they are the same object, so an update with one change costs a
fraction of walking the tree.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

Tree = list[Any]
"""`[type, attributes]` or `[type, attributes, children]`."""
Op = list[Any]
Path = list[int]


def diff(old: Tree, new: Tree) -> list[Op]:
    """Operations that make *new* of *old*; empty when they are equal. Both are left as they are."""
    ops: list[Op] = []
    if old is not new and old != new:
        _node(old, new, [], ops)
    return ops


def _node(old: Tree, new: Tree, path: Path, ops: list[Op]) -> None:
    """*old* and *new* differ."""
    if old[0] != new[0] or old[1].get("k") != new[1].get("k"):
        ops.append(["r", path, new])
        return
    before, after = old[1], new[1]
    if before is not after and before != after:
        changes = {name: value for name, value in after.items() if name not in before or before[name] != value}
        for name in before:
            if name not in after:
                changes[name] = None
        ops.append(["a", path, changes])
    old_children: Sequence[Tree] = old[2] if len(old) > 2 else ()
    new_children: Sequence[Tree] = new[2] if len(new) > 2 else ()
    if old_children is not new_children and old_children != new_children:
        _children(old_children, new_children, path, ops)


def _children(old: Sequence[Tree], new: Sequence[Tree], path: Path, ops: list[Op]) -> None:
    if len(old) == len(new) and all(
        a[0] == b[0] and a[1].get("k") == b[1].get("k") for a, b in zip(old, new, strict=True)
    ):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            if a is not b and a != b:
                _node(a, b, [*path, index], ops)
        return
    _rearrange(old, new, path, ops)


def _identities(children: Sequence[Tree]) -> list[tuple[Any, ...]]:
    """Type and key; without a key, type and the how-manieth of that type it is."""
    counts: dict[str, int] = {}
    found: list[tuple[Any, ...]] = []
    for child in children:
        key = child[1].get("k")
        if key is None:
            number = counts.get(child[0], 0)
            counts[child[0]] = number + 1
            found.append((child[0], number, None))
        else:
            found.append((child[0], key))
    return found


def _rearrange(old: Sequence[Tree], new: Sequence[Tree], path: Path, ops: list[Op]) -> None:
    old_ids, new_ids = _identities(old), _identities(new)
    old_by_id = dict(zip(old_ids, old, strict=True))
    wanted = set(new_ids)
    current = list(old_ids)
    _remove(current, wanted, path, ops)
    place = {identity: index for index, identity in enumerate(new_ids)}
    staying = _longest_rise([place[identity] for identity in current])
    stay = {current[index] for index in staying}
    # From the right, so that whatever a child is put in front of has its final place already.
    anchor: tuple[Any, ...] | None = None
    for index in range(len(new_ids) - 1, -1, -1):
        identity = new_ids[index]
        if identity not in old_by_id:
            target = len(current) if anchor is None else current.index(anchor)
            ops.append(["i", path, target, new[index]])
            current.insert(target, identity)
        elif identity not in stay:
            source = current.index(identity)
            current.pop(source)
            target = len(current) if anchor is None else current.index(anchor)
            current.insert(target, identity)
            if source != target:
                ops.append(["m", path, source, target])
        anchor = identity
    for index, identity in enumerate(new_ids):
        before = old_by_id.get(identity)
        if before is not None and before is not new[index] and before != new[index]:
            _node(before, new[index], [*path, index], ops)


def _remove(current: list[tuple[Any, ...]], wanted: set[tuple[Any, ...]], path: Path, ops: list[Op]) -> None:
    """Drop what is not wanted, neighbours together, from the right so that indexes stay true."""
    end = len(current)
    while end > 0:
        if current[end - 1] in wanted:
            end -= 1
            continue
        start = end - 1
        while start > 0 and current[start - 1] not in wanted:
            start -= 1
        ops.append(["d", path, start, end - start])
        del current[start:end]
        end = start


def _longest_rise(numbers: Sequence[int]) -> list[int]:
    """Indexes of a longest increasing subsequence: the children that need not move."""
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for index, number in enumerate(numbers):
        at = bisect_left(tails, number)
        previous.append(ends[at - 1] if at else -1)
        if at == len(tails):
            tails.append(number)
            ends.append(index)
        else:
            tails[at] = number
            ends[at] = index
    found: list[int] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        found.append(index)
        index = previous[index]
    return found[::-1]


def apply(ops: Sequence[Op], tree: Tree) -> Tree:
    """The tree that *ops* make of *tree*, which is left as it is. What a client does; raises `ValueError` on a bad operation."""
    for op in ops:
        kind, path = op[0], op[1]
        if kind == "r" and not path:
            tree = op[2]
        elif kind == "r":
            tree = _at(tree, path[:-1], lambda node, op=op, last=path[-1]: _with_child(node, last, op[2]))
        elif kind == "a":
            tree = _at(tree, path, lambda node, op=op: [node[0], _merged(node[1], op[2]), *node[2:]])
        elif kind in ("i", "d", "m"):
            tree = _at(tree, path, lambda node, op=op: _with_children(node, op))
        else:
            raise ValueError(f"unknown operation {kind!r}")
    return tree


def _at(tree: Tree, path: Sequence[int], change: Any) -> Tree:
    if not path:
        found: Tree = change(tree)
        return found
    children = list(tree[2])
    children[path[0]] = _at(children[path[0]], path[1:], change)
    return [tree[0], tree[1], children]


def _with_child(node: Tree, index: int, child: Tree) -> Tree:
    children = list(node[2])
    children[index] = child
    return [node[0], node[1], children]


def _merged(attributes: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**attributes, **changes}.items() if value is not None}


def _with_children(node: Tree, op: Op) -> Tree:
    children = list(node[2]) if len(node) > 2 else []
    match op:
        case ["i", _, index, child]:
            children.insert(index, child)
        case ["d", _, index, count]:
            del children[index : index + count]
        case ["m", _, source, target]:
            children.insert(target, children.pop(source))
    return [node[0], node[1], children] if children else [node[0], node[1]]
