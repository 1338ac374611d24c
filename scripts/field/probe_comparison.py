"""Compare captures of probes that hung side by side: how much each hears, and how much louder one is than the other.

\b
Sample data: footfall simulate --people 20 --hours 0.5 --out shop
Example:     python scripts/field/probe_comparison.py shop/probe-1.pcapng shop/probe-2.pcapng
"""

import secrets
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.main import guarded
from hostkit.core.pseudonym import KEY_BYTES
from hostkit.field.captures import compared, read_heard


@click.command(help=__doc__)
@click.argument("captures", nargs=-1, required=True, type=click.Path(path_type=Path))
def main(captures: tuple[Path, ...]) -> None:
    """Compare each capture with the first."""
    key = secrets.token_bytes(KEY_BYTES)
    first, *others = [read_heard(path, key) for path in captures]
    rows = []
    for other in others:
        found = compared(first, other)
        middle, low, high = found.louder_db
        share = f"{found.common / max(found.frames):.0%}"
        spread = f"{low:+.0f} to {high:+.0f} dB"
        counts = (f"{found.frames[1]:,}", f"{found.common:,}")
        rows.append((other.path.name, *counts, share, f"{middle:+.1f} dB", spread, ""))
    text.emit(f"{first.path.name}: {len(first.frames):,} frames\n\n")
    text.table(("against it", "frames", "both heard", "share", "louder by", "10 to 90 %", ""), rows)


if __name__ == "__main__":
    guarded(main)
