"""What every provider of the scheduler capability must do. Subclass `SchedulerConformance` and give it a `bench` fixture.

class TestMyProvider(SchedulerConformance):
    @pytest.fixture
    def bench(self) -> SchedulerBench:
        ...

The claims stand by their subject in `firing`, `creation`, `control`, `outages` and `ownership`.
"""

from showground.testing.conformance.scheduler.bench import (
    BELL,
    CLOCK,
    MINUTE_MS,
    NOON_MS,
    POLL_S,
    START_MS,
    SchedulerBench,
    installation,
    job,
    pass_time,
    slots,
)
from showground.testing.conformance.scheduler.control import Control
from showground.testing.conformance.scheduler.creation import Creation
from showground.testing.conformance.scheduler.firing import Firing
from showground.testing.conformance.scheduler.outages import Outages
from showground.testing.conformance.scheduler.ownership import Ownership

__all__ = [
    "BELL",
    "CLOCK",
    "MINUTE_MS",
    "NOON_MS",
    "POLL_S",
    "START_MS",
    "SchedulerBench",
    "SchedulerConformance",
    "installation",
    "job",
    "pass_time",
    "slots",
]


class SchedulerConformance(Firing, Creation, Control, Outages, Ownership):
    """All claims. Each test gets a fresh `bench`."""
