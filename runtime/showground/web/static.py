"""The files of the browser client, served from the package, with the digest of their content as version."""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable

from aiohttp import web

from showground.errors import ShowgroundError
from showground.hookspecs import Router

TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


class StaticFiles:
    """All files are read at start: they are few and small, and a path that is not among them cannot lead anywhere."""

    def __init__(self, package: str, folder: str, prefix: str) -> None:
        self._prefix = prefix
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for name, file in _walk(resources.files(package) / folder, ""):
            suffix = name[name.rfind(".") :]
            if suffix in TYPES:
                content = file.read_bytes()
                self._files[name] = (content, TYPES[suffix], hashlib.sha256(content).hexdigest()[:16])

    def routes(self, router: Router) -> None:
        router("GET", self._prefix + "/{name:.+}", self.serve, None)

    def url(self, name: str) -> str:
        """The address of a file with its version; a page that uses it never shows an old file."""
        found = self._files.get(name)
        return f"{self._prefix}/{name}" + (f"?v={found[2]}" if found else "")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in self._files:
            raise ShowgroundError("not_found", f"there is no file {name}", request.path)
        content, kind, digest = self._files[name]
        etag = f'"{digest}"'
        forever = request.query.get("v") == digest
        headers = {
            "ETag": etag,
            # modules import each other without a version, so only a versioned address may be kept for good
            "Cache-Control": "public, max-age=31536000, immutable" if forever else "no-cache",
            "Content-Type": kind,
            "Cross-Origin-Resource-Policy": "cross-origin",
            # module scripts are always fetched by CORS (WHATWG HTML section 8.1.4.2), and embed.js is one
            "Access-Control-Allow-Origin": "*",
        }
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        response = web.Response(body=content, headers=headers)
        response.enable_compression()
        return response


def _walk(folder: Traversable, path: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    if folder.is_dir():
        for entry in folder.iterdir():
            name = f"{path}{entry.name}"
            found.extend(_walk(entry, f"{name}/") if entry.is_dir() else [(name, entry)])
    return found
