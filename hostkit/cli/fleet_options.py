"""The options of commands over one board or many: which boards, which journal. No logic but reading them."""

from collections.abc import Sequence
from pathlib import Path

import click

from hostkit.install.fleet import AT_ONCE, Board, read_boards

JOURNAL = Path("footfall-install")

port_option = click.option("--port", metavar="PORT", help="Serial port of one board, or auto.")
probe_option = click.option("--probe", metavar="ID", help="Id of the probe it is to be.")
csv_option = click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path),
    help="Many boards at once: columns probe, port, optional chip; what is done is not done again.",
)
journal_option = click.option(
    "--journal",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder that remembers what is done.  [default with --csv: {JOURNAL}]",
)
again_option = click.option("--again", is_flag=True, help="Do what was done before once more.")
at_once_option = click.option(
    "--at-once", type=click.IntRange(1, 64), default=AT_ONCE, show_default=True, help="Boards side by side."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def boards_of(
    port: str | None, probe: str | None, table: Path | None, *, optional: Sequence[str] = ("chip",)
) -> tuple[Board, ...]:
    """Give the boards the options name."""
    if table and (port or probe):
        raise click.UsageError("--csv names probes and ports; leave out --port and --probe")
    if table:
        return read_boards(table, optional=optional)
    if not port:
        raise click.UsageError("say where: --port PORT (or auto), or --csv FILE")
    return (Board(probe=probe or "board", port=port),)


def journal_of(journal: Path | None, table: Path | None) -> Path | None:
    """Give the journal's folder; one board alone needs none."""
    return journal or (JOURNAL if table else None)
