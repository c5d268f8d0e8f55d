"""HTTP routes of export and import of an installation; both need a token of scope `admin`."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import msgspec
from aiohttp import web

from showground.apps.installations import Installations
from showground.apps.transfer import Transfer
from showground.errors import ShowgroundError
from showground.hookspecs import Router
from showground.keys import installation_id
from showground.model import Installation

MAX_IMPORT_BYTES = 4 * 1024**3
AT_ONCE = 2
MEDIA_TYPE = "application/x-ndjson"


class TransferRoutes:
    def __init__(self, transfer: Transfer, installations: Installations, scratch: Path) -> None:
        self._transfer = transfer
        self._installations = installations
        self._scratch = scratch
        self._imports = asyncio.Semaphore(AT_ONCE)

    def register(self, router: Router) -> None:
        one = "/api/v1/communities/{community}/apps/{app}"
        router("GET", f"{one}/export", self.export, "admin")
        router("POST", f"{one}/import", self.load, "admin")

    async def export(self, request: web.Request) -> web.StreamResponse:
        """`?secrets=1` puts secrets in, in the clear. The last line says `"record":"end"`; without it the export is a part."""
        installation = self._found(request)
        secrets = request.query.get("secrets", "") not in ("", "0", "false")
        response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"})
        await response.prepare(request)
        async for line in self._transfer.export(installation, secrets=secrets):
            await response.write(line)
        await response.write_eof()
        return response

    async def load(self, request: web.Request) -> web.Response:
        """Body: the lines of an export. Everything of the installation is replaced, or nothing."""
        installation = self._found(request)
        async with self._imports:
            with tempfile.TemporaryFile(dir=self._scratch) as file:
                size = 0
                async for chunk in request.content.iter_chunked(256 * 1024):
                    size += len(chunk)
                    if size > MAX_IMPORT_BYTES:
                        raise ShowgroundError(
                            "too_large", "the export is too large", "body", f"At most {MAX_IMPORT_BYTES} bytes."
                        )
                    await asyncio.to_thread(file.write, chunk)
                done = await self._transfer.import_(installation, file)
        return web.Response(
            body=msgspec.json.encode({**msgspec.to_builtins(done), "installation": installation.id}),
            content_type="application/json",
        )

    def _found(self, request: web.Request) -> Installation:
        key = installation_id(request.match_info["app"], request.match_info["community"])
        fault, found = self._installations.fault(key), self._installations.get(key)
        if fault is not None or found is None:
            raise fault or ShowgroundError("not_found", f"{key} is not installed", "app")
        return found
