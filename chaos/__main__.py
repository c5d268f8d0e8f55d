"""`python -m chaos`: exit 0 when every invariant held, 1 when one did not."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import get_args

import click

from chaos.overload import run_overload
from chaos.plan import Deployment
from chaos.run import run_with_faults
from chaos.storm import run_storm
from chaos.upgrade import run_upgrade


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--scenario",
    type=click.Choice(["faults", "overload", "storm", "upgrade"]),
    default="faults",
    show_default=True,
    help="What happens.",
)
@click.option(
    "--redis",
    "deployment",
    type=click.Choice(get_args(Deployment)),
    default="single",
    show_default=True,
    help="What the hosts of the scenario faults are on.",
)
@click.option("--seconds", default=120.0, show_default=True, help="How long load and faults go on.")
@click.option("--seed", type=int, help="Of the plan of faults; a random one is taken, and shown.")
@click.option("--hosts", default=2, show_default=True, type=click.IntRange(1, 8))
@click.option("--jobs", default=500, show_default=True, type=click.IntRange(0, 2000))
@click.option("--viewers", default=2000, show_default=True, type=click.IntRange(1, 20_000), help="Of the storm.")
@click.option(
    "--from", "ref", metavar="REF", help="Commit whose hosts are upgraded; else this one's are replaced by their like."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--keep", is_flag=True, help="Keep the hosts' logs and data, and say where.")
def main(
    scenario: str,
    deployment: Deployment,
    seconds: float,
    seed: int | None,
    hosts: int,
    jobs: int,
    viewers: int,
    ref: str | None,
    as_json: bool,
    keep: bool,
) -> None:
    """Run several hosts under load while they are killed, frozen and cut off, and check that nothing acknowledged is lost."""
    folder = Path(tempfile.mkdtemp(prefix="showground-chaos-"))
    seed = secrets.randbelow(10**6) if seed is None else seed
    match scenario:
        case "overload":
            run = run_overload(folder, seed=seed, seconds=seconds)
        case "storm":
            run = run_storm(folder, seed=seed, viewers=viewers)
        case "upgrade":
            run = run_upgrade(folder, seed=seed, seconds=seconds, hosts=hosts, jobs=jobs, ref=ref)
        case _:
            run = run_with_faults(folder, seed=seed, seconds=seconds, hosts=hosts, jobs=jobs, deployment=deployment)
    report = asyncio.run(run)
    click.echo(report.json() if as_json else report.text())
    if keep or not report.passed:
        click.echo(f"Logs and data are in {folder}.", err=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if report.passed else 1)


main()
