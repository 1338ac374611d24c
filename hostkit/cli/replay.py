"""`footfall replay`: captures in, figures out."""

import importlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.cli.play_text import played_line
from hostkit.cli.replay_text import footnote, headline, print_comparison, print_summary
from hostkit.config import load_site
from hostkit.core.methods import Method
from hostkit.errors import UsageError
from hostkit.hub.replay import ReplayResult, ReplaySettings
from hostkit.hub.replay import replay as run_replay
from hostkit.hub.report import report
from hostkit.io.addresses import read_addresses
from hostkit.io.files import check_directory, write_files
from hostkit.io.tables import kpis_csv, series_csv, visits_csv, zones_csv
from hostkit.model import Provenance
from hostkit.sim.compare import Row, compare, read_summary
from hostkit.sim.player import DEFAULT_SPEED, MAX_SPEED
from hostkit.sim.recorded import play_recorded
from hostkit.sim.truth import Summary

DAY_S = 86_400
MIN_BIN_S = 60
UNITS_S = {"": 60, "s": 1, "m": 60, "min": 60, "h": 3600}


def bin_seconds(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Read `10`, `10m`, `10min`, `300s` or `1h` as seconds; a plain number is minutes. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})\s*(s|m|min|h|)", value.strip(), re.ASCII)
    seconds = int(match[1]) * UNITS_S[match[2]] if match else 0
    if seconds < MIN_BIN_S or DAY_S % seconds:
        raise UsageError(
            f"{value!a} is no bin width", where="--bin", next_step="give a part of a day: 5m, 10m, 30m, 1h"
        )
    return seconds


def probe_captures(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[tuple[Path, str], ...]:
    """Read each `door=monday.pcap` as (file, probe id). Raises UsageError."""
    return tuple(_probe_capture(one) for one in value)


def _probe_capture(value: str) -> tuple[Path, str]:
    probe, _, path = value.partition("=")
    if not path or not re.fullmatch(r"[a-z0-9-]{1,32}", probe, re.ASCII):
        raise UsageError(
            f"{value!a} is not ID=FILE",
            where="--probe",
            next_step="write it as door=monday.pcap, the id in small letters, digits and hyphens, at most 32",
        )
    return Path(path), probe


@click.command(
    epilog="""Examples:

    \b
      footfall replay monday.pcap
      footfall replay --site site.toml --probe door=door.pcapng --probe till=till.pcapng
      footfall replay --json --bin 1h *.pcap > figures.json
      footfall replay --csv out --plot out.png --fixed desktops.txt monday.pcap
      footfall replay --site site.toml --mqtt mqtt://127.0.0.1:1883 --speed 60 monday.pcap

    \b
    Exit codes: 0 done (remarks on stderr tell of captures cut short or a clock set back),
    2 wrong option, 3 input cannot be read, 4 site.toml is broken or contradicts itself,
    5 disk full or no permission, 130 stopped by you, 1 a defect of Footfall: please report it."""
)
@click.argument("captures", nargs=-1, type=click.Path(path_type=Path, readable=False), metavar="CAPTURE...")
@click.option(
    "--probe",
    "probes",
    multiple=True,
    callback=probe_captures,
    metavar="ID=FILE",
    help="A capture and the probe that made it.",
)
@click.option(
    "--site",
    "site_path",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="site.toml of the place.",
)
@click.option(
    "--fixed",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Addresses to report apart, one a line.",
)
@click.option(
    "--bin", "bin_s", callback=bin_seconds, default="10m", show_default=True, metavar="WIDTH", help="Width of a count."
)
@click.option(
    "--method",
    type=click.Choice([method.value for method in Method]),
    default=Method.TRACKS.value,
    show_default=True,
    help="How devices per bin are counted; others than tracks state no error.",
)
@json_option
@click.option(
    "--csv", "csv_dir", type=click.Path(path_type=Path, readable=False), metavar="DIR", help="Write tables there."
)
@click.option(
    "--plot", type=click.Path(path_type=Path, readable=False), metavar="FILE.png", help="Draw counts and dwell."
)
@click.option("--mqtt", metavar="URL", help="Play the captures to the hub at this broker instead; needs --site.")
@click.option(
    "--speed",
    type=click.FloatRange(0, MAX_SPEED, min_open=True),
    default=DEFAULT_SPEED,
    show_default=True,
    help="With --mqtt: times real time.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="summary.json of a simulation to compare.",
)
def replay(
    *,
    captures: tuple[Path, ...],
    probes: tuple[tuple[Path, str], ...],
    site_path: Path | None,
    fixed: Path | None,
    bin_s: int,
    method: str,
    as_json: bool,
    csv_dir: Path | None,
    plot: Path | None,
    truth: Path | None,
    mqtt: str | None,
    speed: float,
) -> None:
    """Turn captures of probe requests (pcap, pcapng, ESP32 records) into counts, visits and dwell with intervals.

    Captures that follow each other are one probe's; those that overlap in time are several probes', whose clocks
    are fitted on the frames they both heard. Without --site: UTC, one zone, signal strength alone tells inside
    from outside. Nothing that could name a phone is printed or written.
    """
    settings = ReplaySettings(
        captures=(*((path, None) for path in captures), *probes),
        site=load_site(site_path) if site_path else None,
        fixed_addresses=read_addresses(fixed) if fixed else (),
        bin_s=bin_s,
        method=Method(method),
    )
    if not settings.captures:
        raise UsageError("no capture", where="replay", next_step="name one: footfall replay monday.pcap")
    _check_named_once([path for path, _ in settings.captures])
    if mqtt:
        if csv_dir or plot or truth or fixed:
            raise click.UsageError("with --mqtt the hub and its collector have the figures, not this command")
        _play(settings, mqtt, speed, as_json=as_json)
        return
    if csv_dir:
        check_directory(csv_dir)
    summary = read_summary(truth) if truth else None
    with text.progress_bar("replay") as on_progress:
        result = run_replay(settings, on_progress)
    for line in result.warnings:
        text.remark(line)
    compared = _compare(result, summary) if summary else None
    write_files(_tables(result, csv_dir) | _drawing(result, plot))
    if as_json:
        against = {} if compared is None else {"truth": [asdict(row) for row in compared]}
        text.emit(json.dumps(report(result) | against, indent=2, allow_nan=False) + "\n")
        return
    print_summary(result)
    if compared is not None:
        print_comparison(compared)


def _check_named_once(paths: list[Path]) -> None:
    """Every frame of a capture named twice would count twice. Raises UsageError."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError("named twice", where=str(path), next_step="name it once, as CAPTURE or with --probe")
        seen.add(path.resolve())


def _play(settings: ReplaySettings, mqtt: str, speed: float, *, as_json: bool) -> None:
    if settings.site is None:
        raise UsageError(
            "the hub's site is not known", where="--mqtt", next_step="add --site site.toml, as the hub has"
        )
    played = play_recorded(settings.captures, settings.site, mqtt, speed=speed, say=text.remark)
    text.emit(json.dumps(asdict(played)) + "\n" if as_json else played_line(played))


def _compare(result: ReplayResult, summary: Summary) -> tuple[Row, ...]:
    if result.provenance is not Provenance.SIMULATED:
        raise UsageError("recorded captures have no such truth", where="--truth", next_step="give simulated captures")
    return compare(result.kpis, summary)


def _tables(result: ReplayResult, directory: Path | None) -> dict[Path, bytes]:
    if directory is None:
        return {}
    return {
        directory / "series.csv": series_csv(result.bins, result.provenance),
        directory / "visits.csv": visits_csv(result.visits, result.provenance),
        directory / "kpis.csv": kpis_csv(result.kpis, result.provenance),
        directory / "zones.csv": zones_csv(result.visits, result.provenance),
    }


def _drawing(result: ReplayResult, path: Path | None) -> dict[Path, bytes]:
    if path is None:
        return {}
    plot = importlib.import_module("hostkit.io.plot")  # a second of CPU on a Pi, for those who ask for it
    chart = plot.Chart(
        bins=result.bins,
        visits=result.visits,
        time_zone=result.site.time_zone,
        bin_s=result.bin_s,
        title=headline(result),
        note=footnote(result),
    )
    drawn: bytes = plot.png(chart)
    return {path: drawn}
