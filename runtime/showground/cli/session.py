"""The host's HTTP API as commands see it, and the way they print. Implements `showground.hookspecs.Session`."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from threading import Lock
from typing import Any

from showground.errors import ShowgroundError

HOST_FILE = "host.json"
TIMEOUT_S = 60.0
"""Longer than the longest answer that the API waits for (`?wait=30`)."""
UPLOAD_TIMEOUT_S = 900.0
"""For a bundle or an export: the host answers once it has taken in all of it."""

Query = str | int | float | None


class HttpSession:
    """Talks to one host. Its address and token: flags, then the environment, then `host.json` of a host on this machine."""

    def __init__(self, url: str | None, token: str | None, data_dir: Path, as_json: bool) -> None:
        self._url = url or os.environ.get("SHOWGROUND_URL")
        self._token = token or os.environ.get("SHOWGROUND_TOKEN")
        self.data_dir = data_dir
        self.as_json = as_json
        self._showing = Lock()

    def get(self, path: str, **query: Query) -> Any:
        return self._json("GET", path, None, query)

    def post(self, path: str, body: Any = None, *, media_type: str = "", **query: Query) -> Any:
        return self._json("POST", path, body, query, media_type)

    def put(self, path: str, body: Any = None, **query: Query) -> Any:
        return self._json("PUT", path, body, query)

    def delete(self, path: str, **query: Query) -> Any:
        return self._json("DELETE", path, None, query)

    def lines(self, path: str, **query: Query) -> Iterator[str]:
        with self._open("GET", path, None, query) as response:
            try:
                for line in response:
                    yield line.decode("utf-8", "replace").rstrip("\r\n")
            except (OSError, HTTPException) as error:
                raise ShowgroundError(
                    "not_ready", f"the host ended the stream: {error}", path, "Call again."
                ) from error

    def show(self, document: Any, text: str) -> None:
        """Print one or the other, whole lines also when several threads show something."""
        with self._showing:
            print(json.dumps(document, ensure_ascii=False) if self.as_json else text, flush=True)

    def _json(self, method: str, path: str, body: Any, query: Mapping[str, Query], media_type: str = "") -> Any:
        with self._open(method, path, body, query, media_type) as response:
            try:
                raw = response.read()
                return json.loads(raw) if raw else None
            except (OSError, HTTPException, ValueError) as error:
                raise ShowgroundError(
                    "not_ready",
                    f"the host's answer was cut off: {error!r}",
                    path,
                    "It may have done what was asked: look before you repeat it.",
                ) from None

    def _open(
        self, method: str, path: str, body: Any, query: Mapping[str, Query], media_type: str = ""
    ) -> HTTPResponse:
        url, token = self._where()
        asked = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        headers = {"Accept": "application/json", "User-Agent": "showground"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data: Any = None
        timeout_s = TIMEOUT_S
        if isinstance(body, bytes) or hasattr(body, "read"):
            data, headers["Content-Type"] = body, media_type or "application/octet-stream"
            timeout_s = UPLOAD_TIMEOUT_S
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), media_type or "application/json"
        elif method != "GET":
            data = b""
        address = f"{url.rstrip('/')}{urllib.parse.quote(path)}{'?' + asked if asked else ''}"
        request = urllib.request.Request(address, data=data, headers=headers, method=method)  # noqa: S310 - the operator's own address
        try:
            opened: HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
        except urllib.error.HTTPError as error:
            raise _told(error) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ShowgroundError(
                "not_ready",
                f"no host answers at {url}: {reason}",
                "--url",
                "Start one with `showground serve`, or name another.",
            ) from None
        return opened

    def address(self) -> str | None:
        """Where the host is that commands would talk to; None when none is named and none runs here."""
        try:
            return self._where()[0]
        except ShowgroundError:
            return None

    def _where(self) -> tuple[str, str | None]:
        if self._url:
            return self._url, self._token
        file = self.data_dir / HOST_FILE
        try:
            left = json.loads(file.read_text("utf-8"))
            return str(left["url"]), self._token or str(left["token"])
        except (ValueError, KeyError, TypeError):
            raise ShowgroundError(
                "misconfigured", "it does not say where the host is", str(file), "Delete it and start the host again."
            ) from None
        except PermissionError:
            raise ShowgroundError(
                "forbidden",
                "this user may not read where the host is",
                str(file),
                "Be its owner, or give --url and --token.",
            ) from None
        except OSError:
            raise ShowgroundError(
                "not_ready",
                f"no host is named, and none runs here ({file} is not there)",
                "--url",
                "Start one with `showground serve`, or give --url and --token (SHOWGROUND_URL, SHOWGROUND_TOKEN).",
            ) from None


def _told(error: urllib.error.HTTPError) -> ShowgroundError:
    try:
        with error:
            return ShowgroundError.from_json(json.loads(error.read()))
    except (OSError, HTTPException, ValueError):
        return ShowgroundError("internal", f"the answer was {error.code} {error.reason}", error.url or "")


def fail(error: ShowgroundError, as_json: bool) -> None:
    """Print *error* for a person on stderr, or as the one JSON shape."""
    if as_json:
        print(json.dumps(error.to_json(), ensure_ascii=False), flush=True)
    else:
        print(f"showground: {error}", file=sys.stderr, flush=True)
