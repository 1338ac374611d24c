"""Reference counts of a site: what a person counted, the devices of the same minutes, and what follows for kappa."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from hostkit.config import load_site
from hostkit.core.count import TRACK_LOG_SD
from hostkit.core.inside import Inside, stays
from hostkit.core.kpi import compute
from hostkit.core.reference import (
    LEAST_PEOPLE,
    Kappa,
    ReferenceCount,
    combine,
    day_variance,
    log_ratios,
    reference_count,
)
from hostkit.errors import InputError
from hostkit.hub.replay import ReplayResult
from hostkit.hub.settings import change
from hostkit.io.calibrations import Before, CountRecord, encoded, free_id, read_counts
from hostkit.io.csvtable import Table, read_table
from hostkit.io.files import write_files
from hostkit.model import Occupancy, PeoplePerDevice, Site

LEAST_COUNTED = 5  # people; fewer say next to nothing
LONGEST_S = 86_400.0
MOST_RATIO = 20.0  # of people to devices or the other way round: beyond, minutes or places were mixed up
SILENCE_S = 300.0  # a capture may hear nobody for so long at its ends
LIVE_SLACK_S = 60.0  # the hub's first figure may be so much later than the count's beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorCount:
    """People counted at the door within [start_s, end_s): entrants, and passers-by where somebody counted them.

    `rows`: time, entered and passed, of which it is the sum; empty where only the sum is known.
    """

    start_s: float
    end_s: float
    entered: float
    passed: float | None
    rows: tuple[tuple[float, float, float], ...] = ()

    @property
    def people(self) -> float:
        """All who were counted."""
        return self.entered + (self.passed or 0.0)

    def within(self, start_s: float, end_s: float) -> "DoorCount | None":
        """Give the part within [start_s, end_s); None for none. It needs rows."""
        rows = tuple(row for row in self.rows if start_s <= row[0] < end_s)
        low, high = max(start_s, self.start_s), min(end_s, self.end_s)
        if low >= high:
            return None
        passed = None if self.passed is None else sum(row[2] for row in rows)
        return DoorCount(start_s=low, end_s=high, entered=sum(row[1] for row in rows), passed=passed, rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideCount:
    """How many were inside, at times (Unix seconds)."""

    times_s: tuple[float, ...]
    people: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Devices of the counted minutes, and where that figure is from: hub or capture."""

    devices: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a count, or undoing one, has done: kappa of its kind from all counts in force."""

    record: CountRecord
    kappa: Kappa
    site: Site
    version: int  # of site.toml; 0: it was not touched


# ---- what was counted ----


def read_door_or_inside(path: Path) -> DoorCount | InsideCount:
    """Read a beam counter's or a person's table: `time,entered[,passed]`, or `time,people` for how many were inside.

    `time` is Unix seconds, when each row began; the last row lasts as long as rows usually do. InputError names the
    line that is wrong: negative, not whole numbers of people, time that goes back or stands still.
    """
    table = _table(path)
    times_s = table.floats("time")
    if len(times_s) < 2:
        raise InputError("has fewer than two rows", where=str(path), next_step="give a row for each minute")
    for row in np.flatnonzero(np.diff(times_s) <= 0).tolist():
        step = "put the rows in order; if the clock was set, count again"
        raise InputError("time does not go on", where=table.where(row + 1), next_step=step)
    if times_s[-1] - times_s[0] > LONGEST_S:
        raise InputError("is longer than a day", where=str(path), next_step="give one day: keys of devices live a day")
    for name in ("entered", "passed", "people"):
        if name in table:
            _check_counts(table, name)
    if "people" in table:
        return InsideCount(times_s=tuple(times_s.tolist()), people=tuple(table.floats("people").tolist()))
    entered = table.floats("entered")
    passed = table.floats("passed") if "passed" in table else None
    by = np.zeros(len(entered)) if passed is None else passed
    return DoorCount(
        start_s=float(times_s[0]),
        end_s=float(times_s[-1] + np.median(np.diff(times_s))),
        entered=float(entered.sum()),
        passed=None if passed is None else float(passed.sum()),
        rows=tuple(zip(times_s.tolist(), entered.tolist(), by.tolist(), strict=True)),
    )


def _table(path: Path) -> Table:
    columns = {"entered": float, "passed": float, "people": float}
    table = read_table(path, {"time": float}, optional=columns)
    if ("people" in table) == ("entered" in table):
        raise InputError("needs one of the columns entered, people", where=str(path), next_step="write time,entered")
    return table


def _check_counts(table: Table, name: str) -> None:
    values = table.floats(name)
    bad = np.flatnonzero((values < 0) | (values != np.round(values)))
    if len(bad):
        row = int(bad[0])
        raise InputError(f"{name} is {values[row]:g}", where=table.where(row), next_step="give how many people")


# ---- the devices of the same minutes ----


def door_from_replay(counted: DoorCount, result: ReplayResult) -> Heard:
    """Devices that entered, and that passed if people were counted who did."""
    kpis = compute(result.visits, result.site, start_s=counted.start_s, end_s=counted.end_s, coverage=result.coverage)
    _check_covered(counted.start_s, counted.end_s, result)
    by_id = {kpi.id: kpi.devices for kpi in kpis if kpi.of is None and kpi.devices}
    wanted = [by_id["footfall"], *([by_id["passersby"]] if counted.passed is not None else [])]
    return Heard(devices=sum(one.value or 0.0 for one in wanted), source="capture")


def door_from_live(points: Sequence[tuple[float, float]], start_s: float, end_s: float) -> float | None:
    """Devices that entered within [start_s, end_s), from the day's running total at times; None if too little is known.

    `points`: (Unix seconds, total) in order of time. Who came just before and is not told from a passer-by yet makes up
    for who came last. InputError where the day's total began anew.
    """
    if not points:
        return None
    times_s, totals = np.array(points, np.float64).T
    if times_s[0] > start_s + LIVE_SLACK_S or times_s[-1] < end_s:
        return None
    first, last = (float(np.interp(at, times_s, totals)) for at in (start_s, end_s))
    if last < first:
        raise InputError("the day began anew", where="the count", next_step="count again, not over midnight")
    return last - first


def devices_log_sd(devices: float) -> float:
    """Chance in a device figure: how many came, and how many tracks were split or merged of so few."""
    return math.sqrt(1 / max(devices, 1.0) + (TRACK_LOG_SD / 2) ** 2)


def _check_covered(start_s: float, end_s: float, result: ReplayResult) -> None:
    first = min(capture.start_s for capture in result.captures)
    last = max(capture.end_s for capture in result.captures)
    if start_s < first - SILENCE_S or end_s > last + SILENCE_S:
        zone = ZoneInfo(result.site.time_zone)
        heard = " to ".join(f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}" for at in (first, last))
        raise InputError(
            f"the capture holds {heard} only", where="the count", next_step="give the capture of the counted minutes"
        )


# ---- taking it in ----


def take_door(
    site_path: Path, site: Site, counted: DoorCount, heard: Heard, at_s: float, *, applied: bool = True
) -> Outcome:
    """Save a door count and, if `applied`, bring `people_per_device` up to date. InputError if it says nothing."""
    people = counted.people
    check_enough(people, heard.devices)
    one = reference_count(people, heard.devices, devices_log_sd(heard.devices))
    records = read_counts(site_path)
    record = CountRecord(
        id=_id(site, counted.start_s, counted.end_s, records),
        kind="door",
        from_s=counted.start_s,
        to_s=counted.end_s,
        people=people,
        devices=heard.devices,
        log_ratio=one.log_ratio,
        variance=one.variance,
        source=heard.source,
        before=_before(site.people_per_device),
        applied=applied,
    )
    return _apply(site_path, record, [*records, record], at_s)


def inside_ratios(counted: InsideCount, result: ReplayResult) -> tuple[list[tuple[float, Inside]], ...]:
    """People and devices of the bins that were counted and listened to, and those of each half of them."""
    pairs = _pairs(counted, result)
    if not len(log_ratios(pairs)):
        what = f"no {result.bin_s // 60} min with {LEAST_PEOPLE:g} people or more and devices heard inside"
        raise InputError(what, where="the count", next_step="count while people are there, with the capture of then")
    middle = (len(pairs) + 1) // 2
    return pairs, pairs[:middle], pairs[middle:]


def take_inside(
    site_path: Path, counted: InsideCount, result: ReplayResult, at_s: float, *, applied: bool = True
) -> Outcome:
    """Save a count of people inside and, if `applied`, bring `occupancy` up to date. InputError if it says nothing."""
    pairs = inside_ratios(counted, result)[0]
    ratios = log_ratios(pairs)
    site, records = result.site, read_counts(site_path)
    log_ratio, people = float(np.median(ratios)), float(np.mean([people for people, _ in pairs]))
    record = CountRecord(
        id=_id(site, counted.times_s[0], counted.times_s[-1], records),
        kind="inside",
        from_s=counted.times_s[0],
        to_s=counted.times_s[-1],
        people=people,
        devices=people / math.exp(log_ratio),
        log_ratio=log_ratio,
        variance=day_variance(site.occupancy.noise_log_sd, len(ratios)),
        source="capture",
        before=_before(site.occupancy),
        applied=applied,
    )
    return _apply(site_path, record, [*records, record], at_s)


def _pairs(counted: InsideCount, result: ReplayResult) -> list[tuple[float, Inside]]:
    """People and devices of the bins that were counted and listened to."""
    people: dict[int, list[float]] = {}
    for time_s, counted_then in zip(counted.times_s, counted.people, strict=True):
        people.setdefault(int(time_s // result.bin_s), []).append(counted_then)
    there = stays([(bin_.start_s, bin_.inside) for bin_ in result.bins], bin_s=result.bin_s)
    return [
        (float(np.mean(people[number])), inside)
        for bin_, inside in zip(result.bins, there, strict=True)
        if (number := int(bin_.start_s // result.bin_s)) in people and bin_.inside.listened_s > result.bin_s / 2
    ]


def undo(site_path: Path, record: CountRecord, at_s: float) -> Outcome:
    """Take a count back: kappa is that of the others, or what it was before any."""
    undone = msgspec.structs.replace(record, undone=True)
    others = [one for one in read_counts(site_path) if one.id != record.id]
    return _apply(site_path, undone, [*others, undone], at_s)


def redo(site_path: Path, record: CountRecord, at_s: float) -> Outcome:
    """Take a count in again that was taken back; InputError where one in force is of the same minutes."""
    others = [one for one in read_counts(site_path) if one.id != record.id]
    _check_apart(record.from_s, record.to_s, others)
    again = msgspec.structs.replace(record, undone=False)
    return _apply(site_path, again, [*others, again], at_s)


def check_enough(people: float, devices: float) -> None:
    """Raise InputError where people and devices say nothing of each other."""
    if people < LEAST_COUNTED:
        raise InputError(
            f"{people:g} people were counted", where="the count", next_step=f"go on until {LEAST_COUNTED} or more came"
        )
    if devices < 1:
        raise InputError(
            "no device was heard in these minutes",
            where="the count",
            next_step="see that the probes listen (footfall watch), then count again",
        )
    if not devices / MOST_RATIO <= people <= devices * MOST_RATIO:
        raise InputError(
            f"{people:g} people and {devices:.0f} devices do not belong together",
            where="the count",
            next_step="see that count and capture are of the same minutes and the probes listen (footfall watch)",
        )


def _id(site: Site, start_s: float, end_s: float, records: tuple[CountRecord, ...]) -> str:
    """Name a new count; InputError if one in force is of the same minutes."""
    _check_apart(start_s, end_s, records)
    return free_id(f"count-{datetime.fromtimestamp(start_s, ZoneInfo(site.time_zone)):%Y%m%d-%H%M}", records)


def _check_apart(start_s: float, end_s: float, records: Sequence[CountRecord]) -> None:
    for record in records:
        if not record.undone and record.from_s < end_s and start_s < record.to_s:
            step = f"footfall calibrate undo {record.id}, if it was wrong"
            raise InputError(f"{record.id} is of the same minutes", where="the count", next_step=step)


def _before(it: PeoplePerDevice | Occupancy) -> Before:
    median = it.median if isinstance(it, PeoplePerDevice) else it.people_per_device
    return Before(median=median, log_sd=it.log_sd, reference_counts=it.reference_counts)


def _apply(site_path: Path, changed: CountRecord, records: Sequence[CountRecord], at_s: float) -> Outcome:
    """Compute kappa of the changed record's kind from all in force; write the record and site.toml."""
    of_kind = [record for record in records if record.kind == changed.kind]
    base = min(of_kind, key=lambda record: record.before.reference_counts).before
    in_force = [record for record in of_kind if record.in_force]
    counts = [ReferenceCount(log_ratio=record.log_ratio, variance=record.variance) for record in in_force]
    kappa = combine(counts, prior_median=base.median)
    log_sd = kappa.log_sd if counts else base.log_sd
    median, log_sd = round(kappa.median, 4), round(log_sd, 4)

    def make(now: Site) -> Site:
        if changed.kind == "door":
            one = PeoplePerDevice(median=median, log_sd=log_sd, reference_counts=len(counts))
            return replace(now, people_per_device=one)
        it = replace(now.occupancy, people_per_device=median, log_sd=log_sd, reference_counts=len(counts))
        return replace(now, occupancy=it)

    place, body = encoded(site_path, changed)
    if not changed.applied:
        write_files({place: body})
        return Outcome(record=changed, kappa=kappa, site=load_site(site_path), version=0)
    by = f"{'without' if changed.undone else 'with'} {changed.id}"
    version, site = change(site_path, make, by=by, at_s=at_s, also={place: body})
    return Outcome(record=changed, kappa=kappa, site=site, version=version.number)
