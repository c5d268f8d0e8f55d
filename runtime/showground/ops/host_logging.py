"""The host's own log: JSON lines for machines, or a console for people; secrets redacted either way."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

from showground.ops.redaction import Redactor

LogFormat = Literal["auto", "console", "json"]


def configure_logging(
    format: LogFormat, level: str, redactor: Redactor, stream: TextIO | None = None
) -> logging.Handler:
    """Send everything that is logged by `logging` or structlog to *stream* (stderr unless told otherwise).

    Called once at start; called again it replaces what it did before. A JSON line has `timestamp` (ISO 8601, UTC), `level`,
    `logger`, `event`, and what else was logged with it.
    """
    target = stream or sys.stderr
    as_json = format == "json" or (format == "auto" and not target.isatty())

    def redact(logger: Any, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        fields.pop("message", None)  # left on a record by another handler's formatter; `event` says the same
        return redactor.fields(fields)

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    # Tracebacks become text before redaction, because a secret may stand in one.
    rendering += [structlog.processors.format_exc_info, redact]
    if as_json:
        rendering.append(structlog.processors.JSONRenderer(ensure_ascii=False))
    else:
        rendering.append(structlog.dev.ConsoleRenderer(colors=target.isatty()))
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()], processors=rendering
        )
    )
    handler.set_name("showground")
    root = logging.getLogger()
    for old in [h for h in root.handlers if h.get_name() == "showground"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return handler
