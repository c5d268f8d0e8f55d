from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from showground.ops.host_logging import configure_logging
from showground.ops.redaction import Redactor


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level = root.level
    yield io.StringIO()
    for handler in [h for h in root.handlers if h.get_name() == "showground"]:
        root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def test_json_lines_carry_level_logger_time_and_traceback_without_secrets(stream: io.StringIO) -> None:
    redactor = Redactor()
    redactor.learn("hunter2-hunter2")
    configure_logging("json", "info", redactor, stream)
    log = logging.getLogger("showground.test")
    log.debug("not this")
    log.info("hello %s", "hunter2-hunter2", extra={"password": "x", "app": "counter"})
    try:
        raise RuntimeError("with hunter2-hunter2")
    except RuntimeError:
        log.exception("it failed")
    structlog.get_logger("showground.other").info("said by structlog", app="counter")
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert first["event"] == "hello [redacted]"
    assert (first["level"], first["logger"]) == ("info", "showground.test")
    assert (first["password"], first["app"]) == ("[redacted]", "counter")
    assert first["timestamp"].endswith("Z")
    assert "Traceback" in second["exception"]
    assert "hunter2" not in stream.getvalue()
    assert (third["event"], third["app"]) == ("said by structlog", "counter")


def test_to_configure_again_replaces_what_was(stream: io.StringIO) -> None:
    configure_logging("json", "info", Redactor(), stream)
    configure_logging("console", "info", Redactor(), stream)
    logging.getLogger("showground.test").info("once")
    assert stream.getvalue().count("once") == 1
