"""What `showground demo` does once the host is up: installs the example apps, makes a post of each, and says where to look."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol, runtime_checkable

import click

from showground.bundle.manifest import FILE
from showground.capabilities import COMMUNITY as COMMUNITY_KEY
from showground.errors import ShowgroundError
from showground.host import Host
from showground.keys import InstallationId, installation_id
from showground.model import AppVersion

COMMUNITY = "playground"


async def prepare(host: Host, folder: Path) -> None:
    """Upload and install every bundle of *folder*. A bundle with faults is told and skipped; the others go on."""
    for bundle in await asyncio.to_thread(_bundles, folder):
        try:
            version = await host.bundles.put(bundle)
            await host.lifecycle.install(COMMUNITY, version.app, version.version, actor="demo")
        except ShowgroundError as error:
            click.echo(f"  {bundle.name}: {error}", err=True)
        else:
            click.echo(f"  {bundle.name}: {version.app} {version.version} is installed in {COMMUNITY}", err=True)
            await _offer_post(host, version)
    click.echo(NEXT.format(url=host.url, community=COMMUNITY), err=True)


@runtime_checkable
class TakesPosts(Protocol):
    """A community in which the demo can make posts; the built-in one is."""

    async def first_live_post(self, installation: InstallationId) -> str | None: ...

    async def submit_live_post(self, community: str, installation: InstallationId, title: str) -> str: ...


async def _offer_post(host: Host, version: AppVersion) -> None:
    """One post of each app that has a post type, made at the first start and kept from then on."""
    forum = host.plugins.provider(COMMUNITY_KEY)
    installation = installation_id(version.app, COMMUNITY)
    if not isinstance(forum, TakesPosts) or not version.registration.post_types:
        return
    if await forum.first_live_post(installation) is None:
        await forum.submit_live_post(COMMUNITY, installation, version.app.replace("-", " ").title())


def _bundles(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{FILE}"))


NEXT = """
Look here:
  each example in several viewers side by side   {url}/demo
  the community with its posts                   {url}/c/{community}

Try next, in another terminal:
  ./run shell showground list
  ./run shell showground listen events --community {community} --app server-push
  ./run shell showground emit PostCreate --community {community} --data '{{"post": {{"id": "t3_1", "title": "Hi"}}}}' --wait 5
  ./run shell showground logs {community} counter-trigger --follow

Ctrl-C stops everything; the next start has all data again.
"""
