"""`footfall demo`: everything at once with no set-up, then measured against truth."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from hostkit.cli import text
from hostkit.cli.demo_text import live_line, live_table, print_result
from hostkit.cli.options import json_option
from hostkit.errors import UsageError
from hostkit.io.files import storage_error
from hostkit.io.process import Children
from hostkit.sim.demo import Demo, DemoResult, DemoSettings, LiveFigures
from hostkit.sim.player import DEFAULT_SPEED, MAX_SPEED
from hostkit.sim.stopping import stopping

_DURATION_S = 180.0
_PIPE_EVERY_S = 600  # simulated, between lines where no terminal can be redrawn

Show = Callable[[LiveFigures], None]


@click.command(
    epilog="""Examples:

    \b
      footfall demo
      footfall demo --duration 60 --headless
      footfall demo --json --seed 7 > figures.json
      footfall demo --keep shop

    \b
    Exit codes: 0 done, 2 wrong option or port in use, 5 disk full, 6 a service ended, 130 stopped by you
    before anything was played. Ctrl-C during the play ends it and measures what was played."""
)
@click.option(
    "--speed",
    type=click.FloatRange(1, MAX_SPEED),
    default=DEFAULT_SPEED,
    show_default=True,
    help="Times real time; slower by itself if the machine needs it.",
)
@click.option(
    "--duration",
    type=click.FloatRange(5, 86_400),
    default=_DURATION_S,
    show_default=True,
    help="Seconds to play, by the clock on the wall.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same shop.")
@click.option("--headless", is_flag=True, help="No live table: for scripts.")
@json_option
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep data, logs and truth there, a new folder."
)
@click.option("--broker", type=click.Choice(("mosquitto", "amqtt")), help="Instead of the one that is installed.")
@click.option("--http", "http_port", type=click.IntRange(1, 65_535), help="Port of the page.  [default: a free one]")
def demo(
    *,
    speed: float,
    duration: float,
    seed: int,
    headless: bool,
    as_json: bool,
    keep: Path | None,
    broker: str | None,
    http_port: int | None,
) -> None:
    """Run a simulated shop through probes, broker, hub, collector and page, and measure it against its truth.

    Every part is the process a user would run; every figure is marked simulated.
    """
    say = text.remark if as_json else lambda line: text.emit(line + "\n")
    settings = DemoSettings(speed=speed, duration_s=duration, seed=seed, broker=broker, http_port=http_port)
    with _folder(keep) as folder, Children() as children:
        running = Demo(folder, settings, children, say)
        say(f"page: {running.chain.http}/ (simulated)")
        with stopping(running.stop):
            if headless or as_json:
                running.play(lambda live: None)
            else:
                _play_shown(running)
        say("the play is over: open visits are closed, the last rows stored")
        result = running.measure()
    if result is None:
        raise click.Abort
    if as_json:
        text.emit(json.dumps(_object(result), allow_nan=False) + "\n")
    else:
        print_result(result)
    if keep:
        say(f"kept: {keep}")


def _play_shown(running: Demo) -> None:
    if not sys.stdout.isatty():
        running.play(_line_every(_PIPE_EVERY_S))
        return
    with Live(console=Console(highlight=False), transient=True, auto_refresh=False) as screen:
        running.play(lambda live: screen.update(live_table(live, running.settings.world.site), refresh=True))


def _line_every(seconds: int) -> Show:
    shown: list[int] = []

    def show(live: LiveFigures) -> None:
        if live.at_s is not None and (not shown or live.at_s - shown[-1] >= seconds):
            shown.append(live.at_s)
            text.emit(live_line(live) + "\n")

    return show


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give a private folder: the one to keep, or one that goes with everything in it."""
    if keep is not None:
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            raise UsageError("exists and is not empty", where=str(keep), next_step="choose another folder with --keep")
        try:
            keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(str(keep), error) from error
        yield keep
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix="footfall-demo-"))
    except OSError as error:
        raise storage_error(tempfile.gettempdir(), error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _object(result: DemoResult) -> dict[str, object]:
    compared = result.compared
    return {
        "provenance": result.truth.provenance,
        "start_s": result.start_s,
        "end_s": result.end_s,
        "wall_s": round(result.wall_s, 1),
        "truth": {row.id: row.truth for row in compared if row.of is None},
        "measured": {
            row.id: {"value": row.measured, "low": row.low, "high": row.high, "error": row.error}
            for row in compared
            if row.of is None
        },
        "split": [asdict(row) for row in compared if row.of is not None],
        "rows": asdict(result.rows),
    }
