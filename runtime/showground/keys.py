"""Names: what an app, a community, a channel may be called, and where each thing lives in Redis.

Every key of an installation carries the hash tag `{app:community}`, so all of an installation shares one cluster slot and
MULTI, WATCH and scripts work on it. Keys of the host itself carry the tag of their shard, or none.
"""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass
from typing import Generic, NewType, TypeVar

from showground.errors import ShowgroundError

InstallationId = NewType("InstallationId", str)
"""`app:community`. One app in one community; the owner of keys, jobs, channels, logs and quotas."""

T = TypeVar("T")

APP_NAME = re.compile(r"[a-z][a-z0-9-]{1,31}")
COMMUNITY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
CHANNEL_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
"""Devvit allows `[a-zA-Z0-9_]+`; the length bound is ours."""
PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Without `:`, so that the keys of the deployment `sg` never take in those of another: were there an `sg:x`, a backup of `sg`
would copy it, and a restore over `sg` would delete it. Without `{`, which would take the place of the hash tags."""
PREFIX_RULE = "Use letters, digits, _, . and -, at most 64; no colon."


@dataclass(frozen=True, slots=True)
class CapabilityKey(Generic[T]):
    """A typed name under which plugins offer providers and the host finds the chosen one."""

    name: str


@functools.lru_cache(maxsize=4096)
def installation_id(app: str, community: str) -> InstallationId:
    """The id of *app* in *community*; raises `invalid` when either is no name."""
    if not APP_NAME.fullmatch(app):
        raise ShowgroundError(
            "invalid", f"{app!r} is not an app name", "app", "Use a-z, 0-9 and -, starting with a letter."
        )
    if not COMMUNITY_NAME.fullmatch(community):
        raise ShowgroundError(
            "invalid",
            f"{community!r} is not a community name",
            "community",
            "Use letters, digits, _ and -, at most 32.",
        )
    return InstallationId(f"{app}:{community}")


def split_installation(installation: InstallationId) -> tuple[str, str]:
    """`(app, community)` of an installation id."""
    app, _, community = installation.partition(":")
    return app, community


@dataclass(frozen=True, slots=True)
class KeySpace:
    """Builds every Redis key. *prefix* lets several deployments share one Redis; raises `misconfigured` when it can't be one."""

    prefix: str = "sg"
    shards: int = 8
    """How many slots the host-wide queues are spread over; fixed for the life of a deployment."""

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            raise ShowgroundError(
                "misconfigured", f"{self.prefix!r} can't be a prefix of keys", "redis.prefix", PREFIX_RULE
            )

    def host(self, *parts: str) -> str:
        """A key of the deployment as a whole: `sg:bundles`."""
        return ":".join((self.prefix, *parts))

    def of(self, installation: InstallationId, *parts: str) -> str:
        """A key of one installation: `sg:{app:community}:kv:name`."""
        return f"{self.prefix}:{{{installation}}}:" + ":".join(parts)

    def shard_of(self, name: str) -> int:
        """The shard that *name* (an installation id, a job id) always belongs to."""
        return zlib.crc32(name.encode()) % self.shards

    def shard(self, number: int, *parts: str) -> str:
        """A key on shard *number*: `sg:{3}:due`."""
        return f"{self.prefix}:{{{number}}}:" + ":".join(parts)


PERMANENT = (
    "host",
    "maintenance",
    "format",
    "bundle:*",
    "apps",
    "app:*",
    "installations",
    "tokens",
    "secret-key",
    "deployment-secret",
    "settings",
    "kept:*",
    "deliveries:d:*",
    "deliveries:out:*",
    "deliveries:ready:*",
    "deliveries:due",
    "deliveries:ring",
    "deliveries:leases",
    "deliveries:active",
    "deliveries:groups:*",
    "deliveries:queued:*",
    "deliveries:n",
)
"""Glob patterns, without prefix and hash tag, of the keys that may live without an expiry. The leak guard of
`showground.testing` refuses every other key that has none. Plugins add theirs with `offer.permanent(...)`."""
