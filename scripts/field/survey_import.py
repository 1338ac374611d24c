"""Turn a survey with a column a probe, as phone apps and robots write it, into what `footfall calibrate walk` reads.

\b
Sample data: footfall simulate --people 20 --hours 0.5 --survey --out shop
Example:     python scripts/field/survey_import.py shop/survey/app.csv walk.csv --time ms --units-per-s 1000
                 --x x --y y --column rssi_1=probe-1 --column rssi_2=probe-2
"""

import csv
import io
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.main import guarded
from hostkit.errors import UsageError
from hostkit.field.importing import HEADER, Layout, long_rows
from hostkit.io.files import write_files


@click.command(help=__doc__)
@click.argument("table", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--time", default="time_s", show_default=True, help="Column of time.")
@click.option("--units-per-s", default=1.0, show_default=True, help="1000 for ms, 1e9 for ns.")
@click.option("--x", default="x_m", show_default=True, help="Column of x in metres.")
@click.option("--y", default="y_m", show_default=True, help="Column of y in metres.")
@click.option("--column", "columns", multiple=True, metavar="COLUMN=PROBE", help="A column of levels and its probe.")
def main(*, table: Path, out: Path, time: str, units_per_s: float, x: str, y: str, columns: tuple[str, ...]) -> None:
    """Write OUT."""
    pairs = [column.partition("=") for column in columns]
    for column, equals, probe in pairs:
        if not (column and equals and probe):
            raise UsageError(f"{column!a} names no probe", where="--column", next_step="write rssi_1=window-left")
    probes = {column: probe for column, _, probe in pairs}
    rows = long_rows(table, Layout(time=time, units_per_s=units_per_s, x=x, y=y, probes=probes))
    body = io.StringIO(newline="")
    csv.writer(body).writerows([HEADER, *rows])
    write_files({out: body.getvalue().encode()})
    text.emit(f"{out}: {len(rows):,} readings of {len({row[1] for row in rows})} probes\n")


if __name__ == "__main__":
    guarded(main)
