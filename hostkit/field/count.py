"""People counted at the door against the devices of the same minutes, tried on halves that were held out.

What is compared is how far off a half may be told, 9 times in 10: the interval score (Gneiting and Raftery 2007) of the
log of people per device, which punishes being sure and wrong. As a factor: 1.5 is half again as many, or two thirds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from hostkit.core.count import Z90
from hostkit.core.reference import (
    SPREAD_LOG_SD,
    UNKNOWN_LOG_SD,
    Kappa,
    ReferenceCount,
    combine,
    day_variance,
    log_ratios,
    reference_count,
)
from hostkit.field.trial import Check, Held, Need, Note, ProbeRow, Trial
from hostkit.hub.adjust import changes_of
from hostkit.hub.calibrate import DoorCount, InsideCount, check_enough, devices_log_sd, inside_ratios
from hostkit.hub.replay import ReplayResult
from hostkit.io.calibrations import CountRecord
from hostkit.model import Site

LEAST_PEOPLE = 20  # at the door: chance alone is then 1.4 either way at 90 %
LEAST_DEVICES = 10  # in the same minutes: of fewer, half of them tells nothing
LEAST_BINS = 4  # of people inside: two to a half
KNOWN = 1.5  # factor within which figures in people are published; core.reference.PASS_LOG_SD is the same
MISSED = 0.1  # of truths lie outside a 90 % interval
APART_SD = 2.6  # halves further apart than this are not one shop: 1 in 100 by chance
ODD_SD = 3.0
Devices = Callable[[DoorCount], float]  # how many entered meanwhile
CountKind = Literal["door", "inside"]
_EMPTY = Trial(kind="count", unit="factor", source="", needs=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a count, or an earlier one: its name, people, devices, and the ratio of the two."""

    name: str
    people: float
    devices: float
    ratio: ReferenceCount


def people_needed(spans: Sequence[DoorCount]) -> Need:
    """Say how many people were counted of those needed."""
    return Need(word="people", have=round(sum(one.people for one in spans)), least=LEAST_PEOPLE)


def door_trial(
    site: Site, spans: Sequence[DoorCount], devices: Devices, records: Sequence[CountRecord], source: str
) -> Trial:
    """Try runs in which somebody counted at the door. InputError where people and devices do not belong together."""
    need = people_needed(spans)
    if not need.met:
        return Trial(kind="count", unit="factor", source=source, needs=(need,))
    people, heard = sum(one.people for one in spans), sum(map(devices, spans))
    check_enough(people, heard)
    needs = (need, Need(word="devices_heard", have=int(heard), least=LEAST_DEVICES))
    if not needs[1].met:
        return Trial(kind="count", unit="factor", source=source, needs=needs)
    whole = reference_count(people, heard, devices_log_sd(heard))
    halves = [_part(site, half, devices) for half in _halves(spans)]
    earlier = [one for one in records if one.kind == "door" and one.in_force]
    return _trial(site, "door", whole, halves, earlier, replace(_EMPTY, needs=needs, source=source))


def inside_trial(site: Site, counted: InsideCount, result: ReplayResult, records: Sequence[CountRecord]) -> Trial:
    """Try a count of how many were inside. InputError where no time of it says anything."""
    pairs = inside_ratios(counted, result)
    parts = [log_ratios(one) for one in pairs]
    need = Need(word="bins", have=len(parts[0]), least=LEAST_BINS)
    trial = replace(_EMPTY, needs=(need,), source="capture")
    if not need.met or not all(map(len, parts)):
        return trial
    noise = site.occupancy.noise_log_sd
    whole, *ratios = (
        ReferenceCount(log_ratio=float(np.median(one)), variance=day_variance(noise, len(one))) for one in parts
    )
    halves: list[Part] = []
    for ratio, half in zip(ratios, pairs[1:], strict=True):
        people = float(np.mean([people for people, _ in half]))
        name = f"{len(halves) + 1}/2"
        halves.append(Part(name=name, people=people, devices=people / math.exp(ratio.log_ratio), ratio=ratio))
    earlier = [one for one in records if one.kind == "inside" and one.in_force]
    return _trial(site, "inside", whole, halves, earlier, trial)


def _trial(  # noqa: PLR0917
    site: Site,
    kind: CountKind,
    whole: ReferenceCount,
    halves: Sequence[Part],
    earlier: Sequence[CountRecord],
    trial: Trial,
) -> Trial:
    """Fill in a trial: each half is predicted from the other and all earlier counts in force."""
    known = [ReferenceCount(log_ratio=one.log_ratio, variance=one.variance) for one in earlier]
    now, guess = _now(site, kind), Kappa(median=1.0, log_sd=UNKNOWN_LOG_SD, counts=0)
    prior = min((one.before for one in earlier), key=lambda one: one.reference_counts, default=now).median
    after = combine([*known, whole], prior_median=prior)
    first, second = (one.ratio for one in halves)
    told = [(combine([*known, other], prior_median=prior), half) for half, other in ((first, second), (second, first))]
    held = Held(
        before=_factor([(now, first), (now, second)]),
        after=_factor(told),
        naive=_factor([(guess, first), (guess, second)]),
    )
    known_to = Check(word="kappa_known", value=math.exp(Z90 * after.log_sd), limit=KNOWN, unit="factor")
    return replace(
        trial,
        held=held,
        checks=(known_to, _halves_agree(first, second)),
        changes=changes_of(site, _values(kind, after)),
        columns=("devices", "ratio", "ratio_low", "ratio_high"),
        rows=tuple(_row(one) for one in (*map(_earlier, earlier), *halves)),
        weak=_weak((first, second), known, earlier, after),
    )


def _span_name(site: Site, start_s: float, end_s: float) -> str:
    """Write when a part was counted."""
    zone = ZoneInfo(site.time_zone)
    return "–".join(f"{datetime.fromtimestamp(at, zone):%H:%M}" for at in (start_s, end_s))


def _halves(spans: Sequence[DoorCount]) -> tuple[tuple[DoorCount, ...], tuple[DoorCount, ...]]:
    """Cut where half of the people had come: halves of equal right, whatever the hours were like."""
    rows = sorted(row for one in spans for row in one.rows)
    least, middle = sum(one.people for one in spans) / 2, math.inf
    for at, row in enumerate(rows[:-1]):
        least -= row[1] + row[2]
        if least <= 0 and rows[at + 1][0] > row[0]:
            middle = rows[at + 1][0]
            break
    early, late = ([one.within(*ends) for one in spans] for ends in ((-math.inf, middle), (middle, math.inf)))
    return tuple(one for one in early if one), tuple(one for one in late if one)


def _part(site: Site, spans: Sequence[DoorCount], devices: Devices) -> Part:
    people = max(sum(one.people for one in spans), 0.5)  # nobody and half a person say the same
    heard = max(sum(map(devices, spans)), 0.5)
    return Part(
        name=_span_name(site, spans[0].start_s, spans[-1].end_s),
        people=people,
        devices=heard,
        ratio=reference_count(people, heard, devices_log_sd(heard)),
    )


def _earlier(record: CountRecord) -> Part:
    ratio = ReferenceCount(log_ratio=record.log_ratio, variance=record.variance)
    return Part(name=record.id, people=record.people, devices=record.devices, ratio=ratio)


def _now(site: Site, kind: CountKind) -> Kappa:
    """What site.toml says; before any count that is a guess."""
    if kind == "door":
        it = site.people_per_device
        return Kappa(median=it.median, log_sd=_sure(it.log_sd, it.reference_counts), counts=it.reference_counts)
    inside = site.occupancy
    log_sd = _sure(inside.log_sd, inside.reference_counts)
    return Kappa(median=inside.people_per_device, log_sd=log_sd, counts=inside.reference_counts)


def _sure(log_sd: float, counts: int) -> float:
    return log_sd if counts else UNKNOWN_LOG_SD


def _factor(told: Sequence[tuple[Kappa, ReferenceCount]]) -> float:
    """Mean interval score of halves about what was told of them, as the factor of an interval of that width."""
    score = 0.0
    for kappa, half in told:
        reach = Z90 * math.hypot(kappa.log_sd, math.sqrt(half.variance))
        off = abs(half.log_ratio - math.log(kappa.median))
        score += 2 * reach + 2 / MISSED * max(off - reach, 0.0)
    return math.exp(score / len(told) / 2)


def _halves_agree(first: ReferenceCount, second: ReferenceCount) -> Check:
    apart = math.exp(abs(first.log_ratio - second.log_ratio))
    limit = math.exp(APART_SD * math.sqrt(first.variance + second.variance))
    return Check(word="halves", value=apart, limit=limit, unit="factor")


def _row(part: Part) -> ProbeRow:
    ratio, reach = math.exp(part.ratio.log_ratio), math.exp(Z90 * math.sqrt(part.ratio.variance))
    figures = (part.devices, ratio, ratio / reach, ratio * reach)
    return ProbeRow(name=part.name, figures=figures, readings=round(part.people))


def _values(kind: CountKind, kappa: Kappa) -> dict[str, float]:
    if kind == "door":
        return {"people_per_device.median": kappa.median, "people_per_device.log_sd": kappa.log_sd}
    return {"occupancy.people_per_device": kappa.median, "occupancy.log_sd": kappa.log_sd}


def _weak(
    halves: tuple[ReferenceCount, ReferenceCount],
    known: Sequence[ReferenceCount],
    earlier: Sequence[CountRecord],
    kappa: Kappa,
) -> tuple[Note, ...]:
    notes = []
    if not _halves_agree(*halves).passed:
        values = tuple(f"{math.exp(one.log_ratio):.2f}" for one in halves)
        notes.append(Note(word="halves_apart", values=values))
    if not earlier:
        notes.append(Note(word="one_count"))
    for ratio, record in zip(known, earlier, strict=True):
        off = abs(ratio.log_ratio - math.log(kappa.median)) / math.hypot(math.sqrt(ratio.variance), SPREAD_LOG_SD)
        if off > ODD_SD:
            notes.append(Note(word="count_odd", values=(record.id, f"{math.exp(ratio.log_ratio):.2f}")))
    return tuple(notes)
