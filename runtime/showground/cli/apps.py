"""`upload`, `install`, `uninstall`, `rollback`, `list`: apps and where they are installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from showground.hookspecs import Session


@click.command(short_help="Upload a bundle as a new version.")
@click.argument("bundle", type=click.Path(exists=True, path_type=Path), default=".")
@click.pass_obj
def upload(session: Session, bundle: Path) -> None:
    """Upload BUNDLE, a folder or its zip, as a new version of its app."""
    if bundle.is_dir():
        from showground.bundle import archive  # brings a schema validator along
        from showground.bundle.manifest import manifest_bytes
        from showground.bundle.schema import check_manifest

        check_manifest(manifest_bytes(bundle))
        body, _ = archive.pack(bundle)
    else:
        body = bundle.read_bytes()
    made = session.post("/api/v1/apps", body)
    session.show(made, f"{made['app']} {made['version']} is uploaded ({made['digest'][:12]})")


@click.command(short_help="Install an app into a community.")
@click.argument("community")
@click.argument("app", metavar="APP[@VERSION]")
@click.pass_obj
def install(session: Session, community: str, app: str) -> None:
    """Install APP into COMMUNITY, its newest version unless one is given; or bring an installation to that version."""
    name, _, version = app.partition("@")
    made = session.put(_path(community, name), {"version": version} if version else None)
    session.show(made, f"{made['app']} {made['version']} is installed in {community}")


@click.command(short_help="Remove an app with all that it stored.")
@click.argument("community")
@click.argument("app")
@click.pass_obj
def uninstall(session: Session, community: str, app: str) -> None:
    """Remove APP from COMMUNITY with everything that it stored there."""
    gone = session.delete(_path(community, app))
    session.show(gone, f"{app} is uninstalled from {community}")


@click.command()
@click.argument("community")
@click.argument("app")
@click.pass_obj
def rollback(session: Session, community: str, app: str) -> None:
    """Return APP in COMMUNITY to the version that ran before."""
    made = session.post(_path(community, app) + "/rollback")
    session.show(made, f"{app} in {community} is back at {made['version']}")


@click.command("list", short_help="List apps, or what a community has.")
@click.argument("community", required=False)
@click.pass_obj
def list_(session: Session, community: str | None) -> None:
    """List the apps of the host, or, with COMMUNITY, what is installed there."""
    if community is None:
        document = session.get("/api/v1/apps")
        lines = [_app_line(app) for app in document["apps"]]
        session.show(document, "\n".join(lines) or "no apps yet; `showground upload` brings one")
        return
    document = session.get(f"/api/v1/communities/{community}/apps")
    lines = [f"{i['app']} {i['version']}" for i in document["installations"]]
    session.show(document, "\n".join(lines) or f"nothing is installed in {community}")


def _app_line(app: dict[str, Any]) -> str:
    versions = ", ".join(v["version"] for v in app["versions"])
    where = ", ".join(app["communities"])
    return f"{app['name']}  {versions}" + (f"  installed in {where}" if where else "")


def _path(community: str, app: str) -> str:
    return f"/api/v1/communities/{community}/apps/{app}"


COMMANDS: tuple[click.Command, ...] = (upload, install, uninstall, rollback, list_)
