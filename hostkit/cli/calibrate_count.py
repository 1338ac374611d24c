"""`footfall calibrate count`: people counted by hand or by a beam counter against the devices of the same minutes."""

import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import click

from hostkit.cli import text
from hostkit.cli.calibrate_text import print_outcome
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.core.reference import DoorTally
from hostkit.errors import InputError, UsageError
from hostkit.hub.calibrate import (
    DoorCount,
    Heard,
    InsideCount,
    Outcome,
    door_from_replay,
    read_door_or_inside,
    take_door,
    take_inside,
)
from hostkit.hub.livelog import LiveLog
from hostkit.hub.replay import ReplaySettings, replay
from hostkit.io.addresses import read_addresses
from hostkit.io.mqtt import Client, Inbox, parse_url
from hostkit.model import Site

CLOCK_SLACK_S = 3.0
GREETING = "count now: Enter one in, a number so many in, p one by outside, u undo, q end"


@click.command(
    epilog="""Examples:

    \b
      footfall calibrate count --site site.toml
      footfall calibrate count --site site.toml --csv beam.csv --capture door.pcap
      footfall calibrate count --site site.toml --broker mqtts://hub.example:8883?ca=ca.pem
      footfall calibrate count --site site.toml --csv inside.csv --capture lab.pcap --fixed desktops.txt --json

    \b
    A table is `time,entered`, `time,entered,passed` or, for how many are inside, `time,people`; time in Unix seconds,
    a row for each minute. Counts are kept in calibration/ beside site.toml; see footfall calibrate list and undo.
    Exit codes: 0 taken, PASS or FAIL; 3 the count or capture cannot be used; 6 no hub."""
)
@site_option
@click.option(
    "--csv",
    "table",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Counts of a beam counter or of a list, instead of the keyboard.",
)
@click.option(
    "--capture",
    "captures",
    multiple=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Capture of the counted minutes, instead of the running hub.",
)
@click.option(
    "--broker",
    default="mqtt://127.0.0.1:1883",
    show_default=True,
    metavar="URL",
    help="Site broker of the running hub.",
)
@click.option(
    "--fixed",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="With --capture: addresses to leave out, one a line.",
)
@json_option
def count(
    *,
    site_path: Path,
    table: Path | None,
    captures: tuple[Path, ...],
    broker: str,
    fixed: Path | None,
    as_json: bool,
) -> None:
    """Count people for some minutes and learn how many people there are per counted device.

    Stand at the door and press Enter for everybody who comes in; ten minutes with twenty people are a good count.
    The devices of the same minutes come from the running hub, or from --capture. Counts of other hours and days are
    combined; PASS says that the figure is known to a factor of 1.5.
    """
    site = load_site(site_path)
    if fixed and not captures:
        raise UsageError("goes with --capture", where="--fixed", next_step="the hub finds fixed devices by itself")
    if table:
        counted = read_door_or_inside(table)
        if not captures:
            raise UsageError("needs the devices of then", where="--csv", next_step="add --capture monday.pcap")
        outcome = _from_captures(site_path, site, counted, captures, fixed)
    elif captures:
        outcome = _from_captures(site_path, site, _by_hand(), captures, fixed)
    else:
        outcome = _from_hub(site_path, site, broker)
    print_outcome(outcome, as_json=as_json)


def _from_captures(
    site_path: Path, site: Site, counted: DoorCount | InsideCount, captures: tuple[Path, ...], fixed: Path | None
) -> Outcome:
    settings = ReplaySettings(
        captures=tuple((path, None) for path in captures),
        site=site,
        fixed_addresses=read_addresses(fixed) if fixed else (),
    )
    with text.progress_bar("capture") as on_progress:
        result = replay(settings, on_progress)
    if isinstance(counted, InsideCount):
        return take_inside(site_path, counted, result, time.time())
    return take_door(site_path, site, counted, door_from_replay(counted, result), time.time())


def _from_hub(site_path: Path, site: Site, broker: str) -> Outcome:
    with _hub(site, broker) as log:
        log.wait_first()
        counted = _by_hand()
        if counted.passed is not None:
            raise UsageError("only a capture tells who passed by", where="p", next_step="count entrants alone")
        text.remark("hub: is two to three minutes behind; leave this open until it says PASS or FAIL")
        devices = log.devices(counted.start_s, counted.end_s)
    return take_door(site_path, site, counted, Heard(devices=devices, source="hub"), time.time())


@contextmanager
def _hub(site: Site, broker: str) -> Iterator[LiveLog]:
    inbox: Inbox = Queue(10_000)
    topic = f"footfall/v1/{site.tenant}/{site.site}/hub/live"
    client = Client(
        parse_url(broker),
        inbox,
        name="calibrate",
        client_id=f"calibrate-{secrets.token_hex(8)}",
        subscriptions=((topic, 1),),
    )
    client.start()
    try:
        yield LiveLog(client, inbox)
    finally:
        client.stop()


def _by_hand() -> DoorCount:
    """Count what a person types, until q or the end of input. InputError where the clock was set meanwhile."""
    tally = DoorTally()
    began_s, began = time.time(), time.monotonic()
    text.remark(f"door: {GREETING}")
    for line in sys.stdin:
        if line.strip().lower() == "q":
            break
        text.remark(f"door: {tally.take(line)}; Enter goes on, q ends")
    took_s = time.monotonic() - began
    if abs(time.time() - began_s - took_s) > CLOCK_SLACK_S:
        raise InputError("the clock was set meanwhile", where="the count", next_step="count again")
    return DoorCount(
        start_s=began_s, end_s=began_s + took_s, entered=tally.entered, passed=tally.passed if tally.passed else None
    )
