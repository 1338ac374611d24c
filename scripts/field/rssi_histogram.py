"""Draw how loud the frames of a capture are: two hills are people inside and out, an edge at the weak end is the floor.

\b
Sample data: footfall simulate --people 20 --hours 0.5 --out shop
Example:     python scripts/field/rssi_histogram.py shop/probe-1.pcapng --step 3
"""

from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.main import guarded
from hostkit.field.captures import histogram, read_heard

WIDE = 60  # characters of the longest bar


@click.command(help=__doc__)
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--step", type=click.IntRange(1, 20), default=2, show_default=True, help="dB to a line.")
def main(capture: Path, step: int) -> None:
    """Draw a bar a bin."""
    edges, counts = histogram(read_heard(capture), step)
    top = int(counts.max())
    for edge, count in zip(edges.tolist(), counts.tolist(), strict=True):
        text.emit(f"{edge:5d} dBm {count:8,} {'#' * -(-count * WIDE // top)}\n")


if __name__ == "__main__":
    guarded(main)
