"""Where in a bundle something is, as `main.py:12`."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any


class Places:
    """Names places relative to the bundle's folder."""

    def __init__(self, folder: Path) -> None:
        self._prefix = f"{folder}/"

    def short(self, where: str) -> str:
        return where.removeprefix(self._prefix)

    def of(self, function: Any, otherwise: str = "") -> str:
        """Where *function* was defined, or *otherwise* when it has no source of its own."""
        while isinstance(function, functools.partial):
            function = function.func
        code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
        if code is None:
            return self.short(otherwise)
        return self.short(f"{code.co_filename}:{code.co_firstlineno}")

    def of_error(self, error: BaseException) -> str:
        """The innermost line of the bundle that *error* passed through, or empty."""
        if isinstance(error, SyntaxError) and error.filename:
            return self.short(f"{error.filename}:{error.lineno or 1}")
        found, trace = "", error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if file.startswith(self._prefix):
                found = self.short(f"{file}:{trace.tb_lineno}")
            trace = trace.tb_next
        return found
