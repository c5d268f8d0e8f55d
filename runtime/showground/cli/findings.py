"""What `doctor` says about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from showground.errors import ShowgroundError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    status: Status
    text: str
    remedy: str = ""

    @classmethod
    def of(cls, name: str, error: ShowgroundError, status: Status = "fail") -> Finding:
        details = "; ".join(f"{p.where}: {p.message}" for p in error.details)
        return cls(name, status, f"{error.message}{': ' + details if details else ''}", error.remedy)
