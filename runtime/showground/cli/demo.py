"""What `showground demo` does once the host is up: installs the example apps, makes a post of each, and says where to look."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from showground.bundle.manifest import FILE
from showground.errors import ShowgroundError
from showground.host import Host

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
    click.echo(NEXT.format(url=host.url, community=COMMUNITY), err=True)


def _bundles(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{FILE}"))


NEXT = """
Look here:
  {url}/demo                     each example in several viewers side by side
  {url}/c/{community}            the community with its posts

Try next, in another terminal:
  ./run shell showground list
  ./run shell showground listen events --community {community} --app server-push
  ./run shell showground emit PostCreate --community {community} --data '{{"post": {{"id": "t3_1", "title": "Hi"}}}}' --wait 5
  ./run shell showground logs {community} counter-trigger --follow

Ctrl-C stops everything; the next start has all data again.
"""
