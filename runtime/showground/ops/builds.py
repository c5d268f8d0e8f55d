"""Scripts and styles of every version that runs, in Redis, so that a page gets those that it was made for from any host.

While hosts are upgraded, a page of one version asks whichever host the load balancer picks for its scripts, and modules of two
versions do not fit each other. So each host leaves its files in `sg:static:<build>`, a hash of name → content, where *build* is
the digest of them all. It expires a day after the last host of that build was there; a page that is older has to be reloaded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from showground.clock import Clock
from showground.errors import ShowgroundError
from showground.keys import KeySpace
from showground.redis.api import Redis, Script

log = logging.getLogger("showground.ops.builds")

KEPT_S = 86_400.0
RENEW_S = KEPT_S / 8
RETRY_S = 30.0

_PUBLISH = Script("""
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
""")


class Builds:
    def __init__(self, redis: Redis, keys: KeySpace, clock: Clock) -> None:
        self._redis = redis
        self._keys = keys
        self._clock = clock

    async def publish(self, build: str, files: Mapping[str, bytes]) -> None:
        """Leave *files* for other hosts, for a day."""
        key = self._keys.host("static", build)
        words = [word for pair in files.items() for word in pair]
        await self._redis.run(_PUBLISH, [key], [int(KEPT_S * 1000), *words])

    async def find(self, build: str, name: str) -> bytes | None:
        """The file as *build* has it; None when no host of that build ran lately, or Redis does not answer."""
        try:
            found = await self._redis.call("HGET", self._keys.host("static", build), name)
        except ShowgroundError as error:
            log.debug("the files of build %s are not known: %s", build, error)
            return None
        return bytes(found) if found is not None else None

    async def keep(self, builds: Mapping[str, Mapping[str, bytes]]) -> None:
        """Publish *builds* again and again, for as long as this host runs."""
        while True:
            try:
                for build, files in builds.items():
                    await self.publish(build, files)
            except ShowgroundError as error:
                log.debug("this host's scripts are not there for others: %s", error)
                await self._clock.sleep(RETRY_S)
            else:
                await self._clock.sleep(RENEW_S)
