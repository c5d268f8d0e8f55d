"""Files of bundles for browsers: `/assets/<digest>/<path>`. The digest names the content, so an answer never changes."""

from __future__ import annotations

import asyncio
import mimetypes
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from showground.bundle.schema import load_manifest
from showground.errors import ShowgroundError
from showground.hookspecs import Router

CACHED_FOLDERS = 256
HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    # An app's page must not act as the host's own: without allow-same-origin it has an origin of its own.
    "Content-Security-Policy": "sandbox allow-scripts allow-forms allow-popups",
}


class Assets:
    def __init__(self, folder: Callable[[str], Awaitable[Path]]) -> None:
        self._folder = folder
        self._roots: OrderedDict[str, Path] = OrderedDict()

    def register(self, router: Router) -> None:
        router("GET", "/assets/{digest}/{path:.+}", self.serve, None)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One file; ranges and conditional requests as aiohttp's FileResponse does them."""
        parts = request.match_info["path"].split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            raise _missing()
        root = await self._root(request.match_info["digest"])
        path = root.joinpath(*parts)
        if not await asyncio.to_thread(_is_file, path):
            raise _missing()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return web.FileResponse(path, headers={**HEADERS, "Content-Type": kind})

    async def _root(self, digest: str) -> Path:
        root = self._roots.get(digest)
        if root is None:
            folder = await self._folder(digest)
            root = folder / (await asyncio.to_thread(load_manifest, folder)).assets
            self._roots[digest] = root
            if len(self._roots) > CACHED_FOLDERS:
                self._roots.popitem(last=False)
        return root


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is longer than any file's
        return False


def _missing() -> ShowgroundError:
    return ShowgroundError("not_found", "there is no such asset", "path")
