"""What commands print: tables, progress and remarks. Colour only on a terminal that wants it; no figures of its own."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from hostkit.errors import ExitCode
from hostkit.io.files import storage_error
from hostkit.model import Estimate

PIPE_WIDTH = 120  # columns where no terminal says how wide it is
LONG_INPUT_BYTES = 50_000_000  # read in about a second


def emit(text: str) -> None:
    """Write to standard output and see that it arrives: StorageError on a full disk, a quiet end on a closed pipe.

    Characters the output's encoding lacks become `?`.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more as it ends
        if isinstance(error, BrokenPipeError):
            raise click.exceptions.Exit(ExitCode.OK) from error
        raise storage_error("standard output", error) from error


def remark(line: str) -> None:
    """Print one line `where: what; next step` about the input to standard error; a path cannot break the line."""
    click.echo(f"footfall: {''.join(c if c.isprintable() else '?' for c in line)}", err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns: the first to the left, the others to the right but for the last."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(header):
        outer = at in {0, len(header) - 1}
        grid.add_column(name, justify="left" if outer else "right", no_wrap=at < len(header) - 1)
    for row in rows:
        grid.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(grid)
    emit("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def number(value: float | None, digits: int = 0) -> str:
    """Write a figure with thousands apart; a dash for what is undefined."""
    return "–" if value is None else f"{value:,.{digits}f}"


def between(estimate: Estimate, digits: int = 0) -> str:
    """Write the interval of an estimate."""
    if estimate.value is None:
        return estimate.reason or "undefined"
    return f"{number(estimate.low, digits)} to {number(estimate.high, digits)}"


def duration(seconds: float | None) -> str:
    """Write a duration in the unit a person would use."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress_bar(name: str, *, long: int = LONG_INPUT_BYTES) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, total) that draws a bar to standard error: on a terminal, for totals above `long`."""
    bar = Progress(
        TextColumn(name), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=Console(stderr=True),
        transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task(name, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=total > long)
