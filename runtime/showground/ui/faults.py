"""Errors of an app's own making, that say which component and which line of the bundle, and what to do."""

from __future__ import annotations

import sys
from pathlib import PurePath

from showground.errors import ShowgroundError

_OURS = "showground."
_HIDDEN = ("<frozen", "<string>")


def app_line(folder: str = "") -> str:
    """`main.py:12`, the innermost line of the calling code that is not Showground's; relative to *folder* when inside of it."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        file = frame.f_code.co_filename
        if module != "showground" and not module.startswith(_OURS) and not file.startswith(_HIDDEN):
            return f"{_short(file, folder)}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""


def _short(file: str, folder: str) -> str:
    if folder and file.startswith(folder.rstrip("/") + "/"):
        return file[len(folder.rstrip("/")) + 1 :]
    return PurePath(file).name


def fault(message: str, remedy: str = "", folder: str = "") -> ShowgroundError:
    """An `app_error` at the app's current line."""
    return ShowgroundError("app_error", message, app_line(folder), remedy)


def error_line(error: BaseException, folder: str) -> str:
    """The innermost line of the bundle in *folder* that *error* passed through, or empty."""
    found, trace = "", error.__traceback__
    inside = folder.rstrip("/") + "/"
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if folder and file.startswith(inside):
            found = f"{file[len(inside) :]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
