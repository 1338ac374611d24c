"""Say what was heard on each channel of a capture, to choose the channels a probe hops over.

\b
Sample data: footfall simulate --people 20 --hours 0.5 --out shop
Example:     python scripts/field/channel_survey.py shop/probe-1.pcapng
"""

from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.main import guarded
from hostkit.field.captures import channels, read_heard


@click.command(help=__doc__)
@click.argument("capture", type=click.Path(path_type=Path))
def main(capture: Path) -> None:
    """Print a line a channel."""
    rows = channels(read_heard(capture))
    total = sum(row.frames for row in rows)
    shown = []
    for row in rows:
        figures = (f"{row.frames:,}", f"{row.frames / total:.0%}", f"{row.addresses:,}", f"{row.median_dbm:.0f}")
        shown.append((str(row.channel), *figures, ""))
    text.table(("channel", "frames", "share", "addresses", "median dBm", ""), shown)


if __name__ == "__main__":
    guarded(main)
