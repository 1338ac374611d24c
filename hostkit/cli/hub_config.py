"""`footfall hub config list|diff|rollback`: every version site.toml had. No logic."""

import difflib
import time
from datetime import datetime
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.hub.settings import roll_back, version_of, versions


@click.group()
def config() -> None:
    """The versions of site.toml: each change by command, calibration or hand keeps the one before."""


@config.command("list")
@site_option
@json_option
def list_(*, site_path: Path, as_json: bool) -> None:
    """List the versions that are kept, the oldest first; there is none before the first change.

    \b
    Example:
      footfall hub config list --site site.toml
    """
    load_site(site_path)
    kept = versions(site_path)
    if as_json:
        rows = [{"version": one.number, "at_s": int(one.at_s), "by": one.by} for one in kept]
        text.emit(msgspec.json.encode(rows).decode() + "\n")
        return
    when = [f"{datetime.fromtimestamp(one.at_s).astimezone():%Y-%m-%d %H:%M:%S %z}" for one in kept]
    text.table(("version", "at", "by"), [(str(one.number), at, one.by) for one, at in zip(kept, when, strict=True)])


@config.command()
@site_option
@click.argument("old", type=click.IntRange(1))
@click.argument("new", type=click.IntRange(1), required=False)
def diff(*, site_path: Path, old: int, new: int | None) -> None:
    """Show what changed from version OLD to version NEW, or to the file as it is.

    \b
    Example:
      footfall hub config diff --site site.toml 3
    """
    load_site(site_path)
    before = version_of(site_path, old).text
    after = site_path.read_text("utf-8-sig") if new is None else version_of(site_path, new).text
    name = str(site_path) if new is None else f"version {new}"
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"version {old}", name, lineterm="")
    text.emit("".join(f"{line}\n" for line in lines))


@config.command()
@site_option
@click.argument("version", type=click.IntRange(1))
def rollback(*, site_path: Path, version: int) -> None:
    """Write VERSION again, as the newest; a running hub takes it over within seconds.

    \b
    Example:
      footfall hub config rollback --site site.toml 3
    """
    load_site(site_path)
    now, _ = roll_back(site_path, version, by=f"rollback to {version}", at_s=time.time())
    text.remark(f"{site_path}: is version {now.number} now, the same as {version}")
