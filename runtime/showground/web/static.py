"""The files of the browser client, served from the package under an address that names the build they are of.

Modules and styles name each other relatively, so all that a page loads is of one build, also while hosts of two versions serve
it: a host that is asked for another build looks for it where all hosts leave theirs (`showground.ops.builds`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
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
BUILD = re.compile(r"v-([0-9a-f]{16})/(.+)")
"""What follows the prefix in the address of a file of one build."""
RELATIVE = re.compile(rb'(\bfrom "|\bimport\("|\bimport ")\./|(@import url\(")(?![/:])')

Find = Callable[[str, str], Awaitable[bytes | None]]
"""(build, name) → the content of a file of another host's build."""


class StaticFiles:
    """All files are read at start: they are few and small, and a path that is not among them cannot lead anywhere."""

    def __init__(self, package: str, folder: str, prefix: str, find: Find | None = None) -> None:
        self._prefix = prefix
        self._find = find
        self.contents: dict[str, bytes] = {
            name: file.read_bytes()
            for name, file in _walk(resources.files(package) / folder, "")
            if _suffix(name) in TYPES
        }
        self.build = _digest(
            b"".join(f"{name} {_digest(data)}\n".encode() for name, data in sorted(self.contents.items()))
        )
        self._entries = {name: self._entry(data) for name, data in self.contents.items()}

    def routes(self, router: Router) -> None:
        router("GET", self._prefix + "/{name:.+}", self.serve, None)

    def url(self, name: str) -> str:
        """The address of a file of this build; a page that uses it never gets one of another."""
        return f"{self._prefix}/v-{self.build}/{name}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        named = BUILD.fullmatch(name)
        content, forever = await self._of(*named.groups()) if named else (self._entries.get(name), False)
        if content is None:
            raise ShowgroundError("not_found", f"there is no file {name}", request.path)
        etag = f'"{_digest(content)}"'
        headers = {
            "ETag": etag,
            "Cache-Control": "public, max-age=31536000, immutable" if forever else "no-cache",
            "Content-Type": TYPES[_suffix(name)],
            "Cross-Origin-Resource-Policy": "cross-origin",
            # module scripts are always fetched by CORS (WHATWG HTML section 8.1.4.2), and embed.js is one
            "Access-Control-Allow-Origin": "*",
        }
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        response = web.Response(body=content, headers=headers)
        response.enable_compression()
        return response

    async def _of(self, build: str, name: str) -> tuple[bytes | None, bool]:
        """The file as *build* has it, and whether it is that for good. Of a build that nobody knows any more, ours may do."""
        if build == self.build:
            return self.contents.get(name), True
        if self._find is not None and _suffix(name) in TYPES:
            found = await self._find(build, name)
            if found is not None:
                return found, True
        return self.contents.get(name), False

    def _entry(self, content: bytes) -> bytes:
        """*content* for the address without a build, which any host may answer: what it loads is of this build."""
        ours = f"{self._prefix}/v-{self.build}/".encode()
        return RELATIVE.sub(lambda found: (found[1] or found[2]) + ours, content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _walk(folder: Traversable, path: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    if folder.is_dir():
        for entry in folder.iterdir():
            name = f"{path}{entry.name}"
            found.extend(_walk(entry, f"{name}/") if entry.is_dir() else [(name, entry)])
    return found
