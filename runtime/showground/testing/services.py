"""What a host lends to a provider, for tests of a provider by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from showground.capabilities import Deliveries
from showground.clock import Clock, SystemClock
from showground.hookspecs import Emit, Services, send_nowhere
from showground.keys import KeySpace
from showground.redis.api import Redis


class Absent:
    """Stands for a service that the test did not give. Whoever uses it fails, by name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise AssertionError(f"the provider used {self._name}.{attribute}, which the test did not give it")


def services(
    options: Mapping[str, Any] | None = None,
    redis: Redis | None = None,
    *,
    keys: KeySpace | None = None,
    clock: Clock | None = None,
    deliveries: Deliveries | None = None,
    emit: Emit | None = None,
    host_id: str = "test",
    host_time: bool = False,
) -> Services:
    """Services with *options* as the provider's section of the settings; nothing else works but what is given."""
    no_redis: Any = Absent("redis")
    no_deliveries: Any = Absent("deliveries")
    return Services(
        redis=redis or no_redis,
        keys=keys or KeySpace(),
        clock=clock or SystemClock(),
        options=options or {},
        deliveries=deliveries or no_deliveries,
        observe=lambda event: None,
        host_id=host_id,
        emit=emit or send_nowhere,
        secret=b"the secret of tests, 32 bytes...",
        host_time=host_time,
    )
