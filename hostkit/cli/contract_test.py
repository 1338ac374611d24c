"""`footfall contract test`: a hub held against the contract, a line a check. No logic."""

import tempfile
from pathlib import Path

import click
import msgspec

from hostkit.cli.options import json_option
from hostkit.cli.text import emit
from hostkit.config import load_site
from hostkit.errors import ExitCode, UsageError
from hostkit.hub.ask import OPERATOR
from hostkit.sim.kit import Ear, Kit, Outcome, as_line, observe
from hostkit.sim.kitrun import run_own, skip_own


@click.command()
@click.option("--broker", metavar="URL", help="Test the hub on this broker; without it, one of our own.")
@click.option("--site", "site_path", type=click.Path(path_type=Path), metavar="FILE", help="The hub's site.toml.")
@click.option("--as", "node", metavar="NODE", default=OPERATOR, show_default=True, help="Your certificate's node.")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=15, show_default=True, help="How long to listen.")
@json_option
def test(*, broker: str | None, site_path: Path | None, node: str, seconds: float, as_json: bool) -> None:
    """Run a hub through the contract: birth, will, retained state, messages, acks, gaps, commands, poison.

    A hub in service is only listened to and asked what harms nothing. A hub of our own, beside a simulated shop, is
    also killed and fed broken batches; that takes a minute. Exit code 0: all hold; 6: some do not.

    \b
    Examples:
      footfall contract test
      footfall contract test --broker mqtt://127.0.0.1:1883 --site site.toml --json
    """
    if (broker is None) != (site_path is None):
        raise UsageError("--broker and --site go together", where="contract test", next_step="give both or neither")
    kit = Kit(tell=(lambda _: None) if as_json else lambda check: emit(as_line(check) + "\n"))
    if broker is None or site_path is None:
        with tempfile.TemporaryDirectory(prefix="footfall-kit-") as folder:
            run_own(kit, Path(folder))
    else:
        with Ear(broker, load_site(site_path), node=node) as ear:
            observe(kit, ear, seconds)
        skip_own(kit)
    failed = sum(check.outcome is Outcome.FAIL for check in kit.done)
    if as_json:
        emit(msgspec.json.encode({"checks": kit.done, "failed": failed}).decode() + "\n")
    else:
        emit(f"{len(kit.done)} checks, {failed} failed\n")
    if failed:
        raise click.exceptions.Exit(ExitCode.PEER)
