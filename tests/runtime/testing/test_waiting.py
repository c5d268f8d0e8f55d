"""A wait that was in vain says what it waited for."""

from functools import partial

import pytest

from showground.testing.waiting import eventually


async def test_a_vain_wait_shows_its_condition_however_it_was_written() -> None:
    def is_full(wanted: list[int]) -> bool:
        return len(wanted) == 3

    for condition, shown in (
        (lambda: is_full([1]), "lambda: is_full"),
        (partial(is_full, [1]), "return len(wanted) == 3"),
        ({}.__len__, "__len__"),
    ):
        with pytest.raises(AssertionError, match=r"not so within 0\.01 s") as failed:
            await eventually(condition, 0.01)
        assert shown in str(failed.value)
