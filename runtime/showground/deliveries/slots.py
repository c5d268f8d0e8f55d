"""How many deliveries one host runs at once, shared out between its shards."""

from __future__ import annotations

import asyncio


class Slots:
    """A count of free slots. A shard that found none is woken when one is free again."""

    def __init__(self, total: int) -> None:
        self.free = total
        self.total = total
        self._hungry: dict[int, asyncio.Event] = {}

    def take(self, shard: int, wake: asyncio.Event, at_most: int) -> int:
        """Reserve up to *at_most* slots, a fair share when other shards wait too; give back what is not used."""
        others = len(self._hungry) - (shard in self._hungry)
        share = min(at_most, self.free, max(1, self.free // (others + 1)))
        if share <= 0:
            self._hungry[shard] = wake
            return 0
        self._hungry.pop(shard, None)
        self.free -= share
        return share

    def give(self, n: int) -> None:
        self.free += n
        if self._hungry and self.free > 0:
            for wake in self._hungry.values():
                wake.set()
