"""`footfall simulate`: options in, a folder out, the truth as a table. No logic."""

import json
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.cli.play_text import played_line
from hostkit.config import load_site
from hostkit.sim.export import Written, check_target, export
from hostkit.sim.live import play
from hostkit.sim.plan import MAX_PROBES, default_site
from hostkit.sim.player import DEFAULT_SPEED, MAX_SPEED
from hostkit.sim.world import MAX_HOURS, MAX_PEOPLE, MIN_HOURS, SimSettings
from hostkit.sim.world import simulate as run_world

_DEFAULTS = SimSettings()
_LONG_PHONES = 1000  # simulated in about two seconds
_EXAMPLE = """
\b
Example:
  footfall simulate --people 200 --hours 8 --out shop
  footfall replay --site shop/site.toml --probe probe-1=shop/probe-1.pcapng
  footfall simulate --people 20 --hours 0.5 --survey --out shop
  footfall simulate --site site.toml --mqtt mqtt://127.0.0.1:1883 --speed 60
"""


@click.command(epilog=_EXAMPLE)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write; must not exist yet.")
@click.option(
    "--mqtt", metavar="URL", help="Play the probes to the hub at this broker; --out then holds what was played."
)
@click.option(
    "--speed",
    type=click.FloatRange(0, MAX_SPEED, min_open=True),
    default=DEFAULT_SPEED,
    show_default=True,
    help="With --mqtt: times real time.",
)
@click.option("--force", is_flag=True, help="Replace an earlier simulation in --out.")
@click.option(
    "--people",
    type=click.IntRange(1, MAX_PEOPLE),
    default=_DEFAULTS.people,
    show_default=True,
    help="People who come near the shop, staff not counted.",
)
@click.option(
    "--hours", type=click.FloatRange(MIN_HOURS, MAX_HOURS), default=_DEFAULTS.hours, show_default=True, help="Length."
)
@click.option(
    "--start",
    type=click.DateTime(("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")),
    default=_DEFAULTS.start.isoformat(timespec="minutes"),
    show_default=True,
    help="Begin, site-local time.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=_DEFAULTS.seed, show_default=True, help="Same seed, same bytes."
)
@click.option("--site", "site_file", type=click.Path(path_type=Path), help="site.toml of an own shop.")
@click.option("--probes", type=click.IntRange(1, MAX_PROBES), help="Probes in the default shop.  [default: 4]")
@click.option(
    "--entrant-share",
    type=click.FloatRange(0, 1),
    default=_DEFAULTS.shares.entrant,
    show_default=True,
    help="Share of people who enter.",
)
@click.option("--staff", type=click.IntRange(0, 50), default=_DEFAULTS.staff, show_default=True, help="People at work.")
@click.option(
    "--clock-error-s",
    type=click.FloatRange(0, 60),
    default=_DEFAULTS.clock_error_s,
    show_default=True,
    help="Probe clocks are wrong by up to this much.",
)
@click.option("--transmissions", is_flag=True, help="Also write every frame in the air to truth/transmissions.csv.")
@click.option("--survey", is_flag=True, help="Also write a technician's surveys to survey/, for footfall calibrate.")
@click.option(
    "--technician",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --mqtt: `x,y` of a reference phone, read anew whenever a probe measures it.",
)
@json_option
def simulate(
    *,
    out: Path | None,
    mqtt: str | None,
    speed: float,
    force: bool,
    people: int,
    hours: float,
    start: datetime,
    seed: int,
    site_file: Path | None,
    probes: int | None,
    entrant_share: float,
    staff: int,
    clock_error_s: float,
    transmissions: bool,
    survey: bool,
    technician: Path | None,
    as_json: bool,
) -> None:
    """Simulate a shop full of phones: captures and batches of its probes, sales, and the truth to check against.

    With --mqtt the probes speak to a running hub as real ones do, until the end or Ctrl-C.
    """
    if site_file and probes:
        raise click.UsageError("--probes changes the default shop; with --site, edit the probes in that file")
    if not out and not mqtt:
        raise click.UsageError("say where it goes: --out DIR, --mqtt URL or both")
    if out:
        check_target(out, force=force)
    settings = SimSettings(
        site=load_site(site_file) if site_file else default_site(probes or len(_DEFAULTS.site.probes)),
        people=people,
        staff=staff,
        hours=hours,
        start=start,
        seed=seed,
        shares=replace(_DEFAULTS.shares, entrant=entrant_share),
        clock_error_s=clock_error_s,
    )
    with text.progress_bar("phones", long=_LONG_PHONES) as on_progress:
        simulation = run_world(settings, on_progress)
    played = None
    if mqtt:
        simulation, played = play(simulation, mqtt, speed=speed, say=text.remark, technician=technician)
    written = export(simulation, out, force=force, transmissions=transmissions, survey=survey) if out else None
    if as_json:
        parts = {"played": asdict(played)} if played else {}
        text.emit(json.dumps((asdict(written.summary) if written else {}) | parts) + "\n")
        return
    if played:
        text.emit(played_line(played))
    if written and out:
        _print(written, out)


def _print(written: Written, out: Path) -> None:
    summary = written.summary
    text.emit(
        f"Simulated {summary.people} people and {summary.staff} staff with {summary.phones_on} phones that are on "
        f"and {summary.fixed_devices} fixed devices: {summary.frames_in_air:,} frames in the air.\n\n"
    )
    text.table((f"written to {out}", "bytes", ""), [(str(path), f"{size:,}", "") for path, size in written.files])
    truth = [(name, "", value) for name, value in summary.kpis.items()]
    truth += [(name, of, value) for name, parts in summary.split.items() for of, value in parts.items()]
    text.emit("\n")
    text.table(("truth", "value", "of"), [(name, _number(value), of) for name, of, value in truth])


def _number(value: float | None) -> str:
    digits = 0 if value is None or value == round(value) else 3 if abs(value) < 10 else 1
    return text.number(value, digits)
