"""`check` and `new`: commands of an author, for which no host need run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from showground.bundle.check import check_folder
from showground.bundle.scaffold import scaffold
from showground.errors import Problem, ShowgroundError
from showground.hookspecs import Session


@click.command(short_help="Say all that is wrong with a bundle.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.pass_obj
def check(session: Session, folder: Path) -> int:
    """Say everything that is wrong with the bundle in FOLDER, where, and what to do about it."""
    from showground.checking import check_bundle  # brings the supervisor and the plugins along

    problems = list(check_folder(folder))
    if not any(p.where.startswith("app.json") for p in problems):
        try:
            asyncio.run(check_bundle(folder))
        except ShowgroundError as error:
            known = {(p.where, p.message) for p in problems}
            found = list(error.details) or [Problem(error.where or str(folder), error.message, error.remedy)]
            problems += [p for p in found if (p.where, p.message) not in known]
    lines = [f"{p.where}: {p.message}" + (f"\n    {p.remedy}" if p.remedy else "") for p in problems]
    document = {"ok": not problems, "problems": [p.to_json() for p in problems]}
    session.show(document, "\n".join(lines) if lines else f"{folder}: everything is right")
    return 1 if problems else 0


@click.command()
@click.argument("name")
@click.option("--in", "parent", type=click.Path(path_type=Path, file_okay=False), default=".", help="Where to make it.")
@click.pass_obj
def new(session: Session, name: str, parent: Path) -> None:
    """Make a small app called NAME that works, with its test."""
    folder = scaffold(name, parent)
    session.show({"folder": str(folder)}, f"Made {folder}. Next: showground check {folder}")


COMMANDS: tuple[click.Command, ...] = (check, new)
