"""The judge tells a message that a failover took from one that was lost, doubled or made up."""

from __future__ import annotations

import pytest

from chaos.hearing import digest, kept, lost_tail

CHANNEL = [1, 2, 3, 6, 7]


@pytest.mark.parametrize(
    ("heard", "lost"),
    [
        ([1, 2, 3], 0),
        ([2, 3, 6], 0),
        ([2, 3, 4], 1),
        ([2, 3, 4, 5], 2),
        ([1, 3], None),
        ([1, 2, 2], None),
        ([2, 3, 5], None),
        ([1, 9, 2, 3], None),
        ([2, 3, 6, 8], 1),
    ],
)
def test_only_a_tail_of_numbers_that_were_given_out_in_order_counts_as_taken(
    heard: list[int], lost: int | None
) -> None:
    assert lost_tail(CHANNEL, CHANNEL.index(heard[0]), len(heard), digest(heard)) == lost


def test_positions_that_a_channel_lost_are_left_out_at_the_end_only() -> None:
    assert kept(["1", "2", "4", "5"], {"1", "2", "3"}) == 2
    assert kept(["1", "4", "2"], {"1", "2", "3"}) == 3
    assert kept([], set()) == 0
