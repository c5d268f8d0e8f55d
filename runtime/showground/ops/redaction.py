"""Secrets stay out of logs: by value, by the name of a field, and by the shape of our own tokens."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from showground.errors import Problem, ShowgroundError

HIDDEN = "[redacted]"
MIN_LENGTH = 4
"""Shorter values are no secrets worth the name, and hiding each `1` would make logs useless."""
MAX_VALUES = 10_000

_NAMES = re.compile(
    r"(?i)pass(word|wd|phrase)|secret|token|api[-_]?key|authorization|cookie|credential|private[-_]?key"
)
_SHAPES = re.compile(r"sgt_[A-Za-z0-9_-]{43}|(?i:\bbearer )[A-Za-z0-9._~+/=-]{16,}|gAAAAA[A-Za-z0-9_=-]{60,}")


class Redactor:
    """Knows the secret values that this host has handed to apps. An app can print only what it was given here."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, None] = OrderedDict()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, value: str) -> None:
        """Hide *value* from now on, also as it looks within JSON and within a URL."""
        for form in (value, json.dumps(value)[1:-1], quote(value, safe="")):
            if len(form) < MIN_LENGTH:
                continue
            if form in self._values:
                self._values.move_to_end(form)
                continue
            self._values[form] = None
            self._pattern = None
            if len(self._values) > MAX_VALUES:
                self._values.popitem(last=False)

    def text(self, text: str) -> str:
        """*text* without secrets."""
        if self._pattern is None and self._values:
            # Longest first: a secret may be part of another.
            self._pattern = re.compile("|".join(re.escape(v) for v in sorted(self._values, key=len, reverse=True)))
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        return _SHAPES.sub(HIDDEN, text)

    def error(self, error: ShowgroundError) -> ShowgroundError:
        """*error* without secrets: what an app raises may quote what it was given."""
        details = [Problem(p.where, self.text(p.message), self.text(p.remedy)) for p in error.details]
        return replace(error, message=self.text(error.message), remedy=self.text(error.remedy), details=details)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Structured fields without secrets; what is under a telling name is hidden whole."""
        return {name: HIDDEN if _NAMES.search(name) else self._any(value) for name, value in fields.items()}

    def _any(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self.fields({str(k): v for k, v in value.items()})
        if isinstance(value, list | tuple):
            return [self._any(v) for v in value]
        return value
