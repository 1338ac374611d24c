"""`footfall calibrate count`: people counted by hand or by a beam counter against the devices of the same minutes."""

import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import Literal

import click

from hostkit.cli import text
from hostkit.cli.calibrate_live import http_option, served
from hostkit.cli.calibrate_options import FILE, Output, check_reports, close, language_option, report, report_option
from hostkit.cli.calibrate_text import print_count
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.core.reference import read_tap
from hostkit.errors import InputError, UsageError
from hostkit.field.count import Devices, door_trial, inside_trial, people_needed
from hostkit.field.courses import SOURCE
from hostkit.field.diary import is_diary
from hostkit.field.door import ALIVE_S, END, UNDO, Door, Tally, door, read_tally
from hostkit.field.phone import DoorView
from hostkit.field.trial import Trial
from hostkit.field.words import Language, say, say_need, say_note
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
from hostkit.hub.replay import ReplayResult, ReplaySettings, replay
from hostkit.io.addresses import read_addresses
from hostkit.io.calibrations import read_counts
from hostkit.io.mqtt import Client, Inbox, parse_url
from hostkit.io.webserver import parse_listen
from hostkit.model import Site

CLOCK_SLACK_S = 3.0
LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The site's file, and where the devices of counted minutes come from."""

    path: Path
    site: Site
    captures: tuple[Path, ...]
    fixed: Path | None
    broker: str
    http: str | None
    inside: int | None
    language: Language

    @property
    def source(self) -> Literal["hub", "capture"]:
        """Where they come from."""
        return "capture" if self.captures else "hub"


Took = Outcome | None


@click.command(
    epilog="""Examples:

    \b
      footfall calibrate count --site site.toml --http 0.0.0.0:8090 --report count.pdf
      footfall calibrate count --site site.toml --from beam.csv --capture door.pcap
      footfall calibrate count --site site.toml --broker mqtts://hub.example:8883?ca=ca.pem
      footfall calibrate count --site site.toml --inside 4 --capture door.pcap
      footfall calibrate count --site site.toml --from inside.csv --capture lab.pcap --fixed desktops.txt --json

    \b
    A table is `time,entered`, `time,entered,passed` or, for how many are inside, `time,people`; time in Unix seconds,
    a row for each minute. Every tap is kept in calibration/count-live.jsonl: after a crash the same command goes on,
    and --from takes that file. It needs 20 people (four times ten minutes of people inside). Each half is predicted
    from the other and from all counts in force; site.toml changes only if that gets better. PASS: people per device is
    known to a factor of 1.5 and the halves agree. See footfall calibrate list and undo.
    Exit codes: 0 tried, PASS or FAIL; 3 the count or capture cannot be used; 6 no hub."""
)
@site_option
@click.option(
    "--from",
    "--csv",
    "table",
    type=FILE,
    metavar="FILE",
    help="Counts of a beam counter or of a list, or kept by an earlier run, instead of the keyboard.",
)
@click.option(
    "--capture",
    "captures",
    multiple=True,
    type=FILE,
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
    "--inside",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="With --capture: so many are inside now; who comes and goes then calibrates people inside.",
)
@click.option("--fixed", type=FILE, metavar="FILE", help="With --capture: addresses to leave out, one a line.")
@http_option
@language_option
@report_option
@json_option
def count(
    *,
    site_path: Path,
    table: Path | None,
    captures: tuple[Path, ...],
    broker: str,
    fixed: Path | None,
    inside: int | None,
    http: str | None,
    language: Language,
    reports: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Count people for some minutes and learn how many people there are per counted device.

    Stand at the door and press Enter, or tap a phone, for everybody who comes in; ten minutes with twenty people are a
    good count. The devices of the same minutes come from the running hub, or from --capture. Counts of other hours and
    days are combined.
    """
    check_reports(reports)
    site = load_site(site_path)
    if fixed and not captures:
        raise UsageError("goes with --capture", where="--fixed", next_step="the hub finds fixed devices by itself")
    if inside is not None and (table or not captures):
        raise UsageError("goes with --capture and counting by hand", where="--inside", next_step="leave out --from")
    if http is not None:
        parse_listen(http)
    means = Means(
        path=site_path,
        site=site,
        captures=captures,
        fixed=fixed,
        broker=broker,
        http=http,
        inside=inside,
        language=language,
    )
    trial, outcome = _by_hand(means) if table is None else _from_file(means, table)
    print_count(trial, outcome, language, as_json=as_json)
    record = None if outcome is None else outcome.record
    close(site_path, trial, record.id if record else None, language)
    wanted = Output(language=language, as_json=as_json, reports=reports)
    report(site, trial, record, wanted, time.time())


def _from_file(means: Means, path: Path) -> tuple[Trial, Took]:
    if is_diary(path):
        return _judged(means, read_tally(path), str(path))
    counted = read_door_or_inside(path)
    if not means.captures:
        raise UsageError("needs the devices of then", where="--from", next_step="add --capture monday.pcap")
    if isinstance(counted, DoorCount):
        return _door(means, (counted,), lambda: _replayed_devices(means), str(path))
    return _inside(means, counted, str(path))


def _inside(means: Means, counted: InsideCount, source: str) -> tuple[Trial, Took]:
    result = _replayed(means)
    trial = replace(inside_trial(result.site, counted, result, read_counts(means.path)), source=source)
    if trial.held is None:
        return trial, None
    return trial, take_inside(means.path, counted, result, time.time(), applied=trial.improves)


def _by_hand(means: Means) -> tuple[Trial, Took]:
    """Let people be counted until the end, and try what there is."""
    if means.captures:
        with door(means.path, "capture", time.time, means.inside) as counting:
            _counted(means, counting, lambda: time.sleep(LOOK_S))
            return _judged(means, counting.tally, SOURCE)
    with _hub(means) as log:
        log.wait_first()
        with door(means.path, "hub", time.time) as counting:
            if log.last is not None:
                counting.total(*log.last)
            log.take = counting.total
            _counted(means, counting, log.step)
            spans = counting.tally.counted()
            if people_needed(spans).met:
                text.remark(f"hub: {say('hub_behind', means.language)}")
                log.wait_for(spans[-1].end_s)
            return _judged(means, counting.tally, SOURCE)


def _judged(means: Means, tally: Tally, source: str) -> tuple[Trial, Took]:
    """Try runs by hand. A file that the hub's totals are in needs no hub any more."""
    spans = tally.counted()
    if not spans and (not tally.spans or tally.spans[0].opened.inside is None):
        raise InputError("nobody was counted", where="the count", next_step="count who comes in, from Enter to Enter")
    if tally.spans[0].opened.source == "capture":
        if not means.captures:
            raise UsageError("needs the devices of then", where="--from", next_step="add --capture monday.pcap")
        if tally.spans[0].opened.inside is not None:
            return _inside(means, tally.inside(), source)
        return _door(means, spans, lambda: _replayed_devices(means), source)
    if people_needed(spans).met:
        spans, lost = tally.reached()
        if lost:
            text.remark(f"hub: {say('count_lost', means.language, str(lost))}")
    return _door(means, spans, lambda: tally.devices, source)


def _door(means: Means, spans: tuple[DoorCount, ...], heard: Callable[[], Devices], source: str) -> tuple[Trial, Took]:
    records = read_counts(means.path)
    if not people_needed(spans).met:
        return door_trial(means.site, spans, lambda _: 0.0, records, source), None
    devices = heard()
    trial = door_trial(means.site, spans, devices, records, source)
    if trial.held is None:
        return trial, None
    whole = DoorCount(
        start_s=spans[0].start_s,
        end_s=spans[-1].end_s,
        entered=sum(one.entered for one in spans),
        passed=None if spans[0].passed is None else sum(one.passed or 0.0 for one in spans),
    )
    told = Heard(devices=sum(map(devices, spans)), source=means.source)
    return trial, take_door(means.path, means.site, whole, told, time.time(), applied=trial.improves)


def _replayed_devices(means: Means) -> Devices:
    result = _replayed(means)
    return lambda part: door_from_replay(part, result).devices


def _replayed(means: Means) -> ReplayResult:
    settings = ReplaySettings(
        captures=tuple((path, None) for path in means.captures),
        site=means.site,
        fixed_addresses=read_addresses(means.fixed) if means.fixed else (),
    )
    with text.progress_bar("capture") as on_progress:
        return replay(settings, on_progress)


@contextmanager
def _hub(means: Means) -> Iterator[LiveLog]:
    inbox: Inbox = Queue(10_000)
    topic = f"footfall/v1/{means.site.tenant}/{means.site.site}/hub/live"
    client = Client(
        parse_url(means.broker),
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


def _counted(means: Means, counting: Door, wait: Callable[[], None]) -> None:
    """Let keyboard and phone count until one says it is the end. InputError where the clock was set meanwhile."""
    language = means.language
    before = round(sum(one.people for one in counting.tally.counted()))
    kept = say("count_goes_on", language, str(before)) if before else say("count_kept", language)
    text.remark(f"{counting.path}: {kept}")
    server = served(DoorView(counting, language), means.http)
    keys = say("keys_count" if counting.by_hub else "keys_count_by", language)
    text.remark(f"{say('count', language)}: {say('guide_count', language)} {keys}")
    threading.Thread(target=_keyboard, args=(counting, language, means.http is not None), daemon=True).start()
    began_s, began, alive = time.time(), time.monotonic(), time.monotonic()
    try:
        while not counting.over.is_set():
            wait()
            if time.monotonic() - alive > ALIVE_S:
                alive = time.monotonic()
                counting.alive()
    finally:
        server.stop()
    if abs(time.time() - began_s - (time.monotonic() - began)) > CLOCK_SLACK_S:
        counting.void()
        raise InputError("the clock was set meanwhile", where="the count", next_step="count again")


def _keyboard(counting: Door, language: Language, page: bool) -> None:
    """Turn lines into taps; the end of input is the end, unless a phone goes on."""
    for line in sys.stdin:
        word = line.strip().lower()
        if word == "q":
            counting.give(END)
            break
        text.remark(f"door: {_answer(counting, word, language)}")
    else:
        if not page:
            counting.give(END)


def _answer(counting: Door, word: str, language: Language) -> str:
    """Take a line and say where the count stands."""
    tap = read_tap(word)
    if word == UNDO[0]:
        counting.give(UNDO)
    elif tap is None:
        keys = say("keys_count" if counting.by_hub else "keys_count_by", language)
        return f"{say('no_tap', language, repr(word[:20]))}; {keys}"
    elif tap[1] and not counting.give(*tap):
        return say("only_capture", language)
    missing = [say_need(need, language) for need in counting.needs()]
    return "; ".join((say_note(counting.line(), language), *missing, *([counting.trouble] if counting.trouble else [])))
