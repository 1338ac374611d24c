"""`footfall site check`: what will go wrong in a shop, before anything is mounted. No logic."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import file_argument, json_option, named_option, one_site
from hostkit.config import load_site
from hostkit.errors import ExitCode
from hostkit.install.findings import Finding
from hostkit.install.sitecheck import FloorFacts, check_site


@click.command(
    epilog="""Examples:

    \b
      footfall site check
      footfall site check --site shop/site.toml --json

    \b
    Exit codes: 0 no problem (advice may be left), 7 problems, 2 wrong option, 4 site.toml is broken."""
)
@file_argument
@named_option
@json_option
def check(*, file: Path | None, named: Path | None, as_json: bool) -> None:
    """Look at a site file as an installer would: places of probes, coverage, predicted accuracy, zones, channels.

    A problem makes figures wrong or missing; advice would make them better. Each line says where, what, what to do.
    """
    path = one_site(file, named)
    report = check_site(load_site(path), path.parent)
    if as_json:
        floors = [asdict(floor) for floor in report.floors]
        found = [asdict(finding) for finding in report.findings]
        text.emit(json.dumps({"problems": report.problems, "floors": floors, "findings": found}, indent=2) + "\n")
    else:
        for floor in report.floors:
            text.emit(_floor_line(floor))
        for finding in report.findings:
            text.emit(_line(finding))
        if not report.findings:
            text.emit("nothing to remark; next: footfall site show\n")
    if report.problems:
        raise click.exceptions.Exit(ExitCode.FOUND)


def _floor_line(floor: FloorFacts) -> str:
    counts = f"floor {floor.floor}: {floor.probes} probes, {floor.zones} zones, {floor.walls} walls"
    if floor.error_m is None or floor.covered_share is None:
        return f"{counts}; presence only\n"
    return f"{counts}; three probes hear {floor.covered_share:.0%} of it, predicted error {floor.error_m:.1f} m\n"


def _line(finding: Finding) -> str:
    return f"{finding.level}: {finding}\n"
