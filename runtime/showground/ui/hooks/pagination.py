"""`use_pagination`: show a list page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from showground.ui.hooks.state import use_state
from showground.ui.run import rendering

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pagination(Generic[T]):
    current_page: int
    """Counts from 0."""
    pages_count: int
    current_items: Sequence[T]
    is_first_page: bool
    is_last_page: bool
    to_prev_page: Callable[[], None] | None
    """None on the first page; fit for `on_press`."""
    to_next_page: Callable[[], None] | None


def use_pagination(items: Sequence[T], items_per_page: int = 10) -> Pagination[T]:
    """The page of *items* that the viewer is on. When the list shrinks, the viewer is on its last page."""
    run, render = rendering("use_pagination")
    if not isinstance(items_per_page, int) or items_per_page < 1:
        raise run.fault(f"{render.component}: use_pagination got {items_per_page!r} items per page", "At least 1.")
    wanted, set_page = use_state(0)
    pages = max(1, -(-len(items) // items_per_page))
    page = max(0, min(wanted, pages - 1))
    first, last = page == 0, page == pages - 1
    return Pagination(
        current_page=page,
        pages_count=pages,
        current_items=items[page * items_per_page : (page + 1) * items_per_page],
        is_first_page=first,
        is_last_page=last,
        to_prev_page=None if first else lambda: set_page(page - 1),
        to_next_page=None if last else lambda: set_page(page + 1),
    )
