"""What a host logs when hostile input made it stumble."""

import logging

import pytest


def faults(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> list[str]:
    """What was logged at *level* or above, but for that the loop stood still: that speaks of the machine, not of the input."""
    return [r.getMessage()[:300] for r in caplog.records if r.levelno >= level and not _of_the_machine(r)]


def _of_the_machine(record: logging.LogRecord) -> bool:
    return record.name == "showground.ops.stalls" or (
        record.name == "showground.ops.health" and "event loop" in record.getMessage()
    )
