"""What commands print."""

from __future__ import annotations

import io
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from showground.cli.session import HttpSession


class SlowStream(io.StringIO):
    """Lets other threads write between one write and the next."""

    def write(self, text: str) -> int:
        written = super().write(text)
        time.sleep(0.001)
        return written


def test_documents_of_several_threads_are_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """`playtest` shows an app's log beside what it installs."""
    stream = SlowStream()
    monkeypatch.setattr(sys, "stdout", stream)
    session = HttpSession(None, None, Path(), as_json=True)
    with ThreadPoolExecutor(4) as threads:
        for number in range(100):
            threads.submit(session.show, {"number": number}, "")
    assert sorted(json.loads(line)["number"] for line in stream.getvalue().splitlines()) == list(range(100))
