"""What really happened in a simulated shop: visits, stays in zones, the KPIs they add up to. Never what was heard."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hostkit.model import ZoneKind
from hostkit.sim.people import Person, PersonKind
from hostkit.sim.plan import Plan, Points, in_polygon
from hostkit.sim.till import Sale
from hostkit.sim.world import Simulation

BIN_S = 600
ZONE_VISIT_MIN_S = 10.0  # a shorter stay is walking through
_GRID_S = 0.5  # ways are looked at this often: edges are right to half of it


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueStay:
    """A stay in a zone, in seconds since the start."""

    zone: str
    enter_s: float
    leave_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueVisit:
    """One person's time in the mapped area, in seconds since the start; `inside_s` is the time within the shop."""

    person: int
    kind: PersonKind
    near_s: tuple[float, float]
    inside_s: tuple[float, float] | None
    stays: tuple[TrueStay, ...]

    @property
    def dwell_s(self) -> float:
        """Give the time inside, 0 for a passer-by."""
        return self.inside_s[1] - self.inside_s[0] if self.inside_s else 0.0

    @property
    def visit_class(self) -> str:
        """Give `entrant`, `passerby` or `staff`."""
        if self.kind is PersonKind.STAFF:
            return "staff"
        return "entrant" if self.inside_s else "passerby"


@dataclass(frozen=True, slots=True, kw_only=True)
class OccupancyBin:
    """Customers inside: mean over the bin, staff not counted. Unix seconds."""

    start_s: int
    people: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBin:
    """Phones of visitors and staff in a bin: switched on and mapped, and of those beyond, too, which transmitted."""

    start_s: int
    present: int
    transmitting: int
    fixed_transmitting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Truth by KPI id; `split` has the KPIs with one value a zone or local hour. Undefined is None.

    A zone visit is an entrant visit that spent at least ZONE_VISIT_MIN_S there; shares are of all entrants' zone time.
    """

    provenance: str
    seed: int
    start_s: int
    end_s: int
    people: int
    staff: int
    phones: int
    phones_on: int
    fixed_devices: int
    frames_in_air: int
    kpis: dict[str, float | None]
    split: dict[str, dict[str, float | None]]
    occupancy: list[OccupancyBin]
    devices: list[DeviceBin]


def true_visits(simulation: Simulation) -> tuple[TrueVisit, ...]:
    """Read every person's visits off the ways walked, in the order of people."""
    plan = simulation.plan
    return tuple(visit for index, person in enumerate(simulation.people) for visit in _visits_of(plan, index, person))


def summarise(simulation: Simulation, visits: tuple[TrueVisit, ...], sales: tuple[Sale, ...]) -> Summary:
    """Add up the truth."""
    settings = simulation.settings
    start_s = settings.start_us // 1_000_000
    return Summary(
        provenance="simulated",
        seed=settings.seed,
        start_s=start_s,
        end_s=start_s + round(settings.duration_s),
        people=len(simulation.visitors),
        staff=settings.staff,
        phones=sum(phone.owner is not None for phone in simulation.phones),
        phones_on=sum(phone.owner is not None and phone.switched_on for phone in simulation.phones),
        fixed_devices=sum(phone.owner is None for phone in simulation.phones),
        frames_in_air=len(simulation.emissions),
        kpis=_kpis(simulation, visits, sales),
        split=_zone_kpis(simulation.plan, visits) | {"arrivals_by_hour": _arrivals(simulation, visits)},
        occupancy=_occupancy(simulation, visits),
        devices=_devices(simulation, visits),
    )


def _visits_of(plan: Plan, index: int, person: Person) -> list[TrueVisit]:
    times_s = np.append(np.arange(person.times_s[0], person.times_s[-1], _GRID_S), person.times_s[-1])
    xy = person.at(times_s)
    x_min, y_min, x_max, y_max = plan.floor.bounds_m
    mapped = (xy[:, 0] >= x_min) & (xy[:, 0] <= x_max) & (xy[:, 1] >= y_min) & (xy[:, 1] <= y_max)
    inside = in_polygon(xy, plan.floor.interior_m)
    visits = []
    for first, last in _runs(mapped):
        within = _runs(inside[first : last + 1])
        visits.append(
            TrueVisit(
                person=index,
                kind=person.kind,
                near_s=(float(times_s[first]), float(times_s[last])),
                inside_s=(float(times_s[first + within[0][0]]), float(times_s[first + within[-1][1]]))
                if within
                else None,
                stays=_stays(plan, times_s[first : last + 1], xy[first : last + 1]),
            )
        )
    return visits


def _stays(plan: Plan, times_s: NDArray[np.float64], xy: Points) -> tuple[TrueStay, ...]:
    stays = [
        TrueStay(zone=zone.id, enter_s=float(times_s[first]), leave_s=float(times_s[last]))
        for zone in plan.site.zones
        for first, last in _runs(in_polygon(xy, zone.polygon_m))
        if last > first
    ]
    return tuple(sorted(stays, key=lambda stay: stay.enter_s))


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Give the first and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(after) - 1) for first, after in zip(edges[::2], edges[1::2], strict=True)]


def _kpis(simulation: Simulation, visits: tuple[TrueVisit, ...], sales: tuple[Sale, ...]) -> dict[str, float | None]:
    thresholds = simulation.settings.site.thresholds
    entrants = [visit for visit in visits if visit.visit_class == "entrant"]
    dwell_s = np.array([visit.dwell_s for visit in entrants])
    passersby = sum(visit.visit_class == "passerby" for visit in visits)
    visitors = _visitors(entrants, thresholds.reentry_s)
    revenue = sum(sale.gross_minor for sale in sales)
    deep = [
        visit.dwell_s >= thresholds.deep_s or _sales_zones(simulation.plan, visit) >= thresholds.deep_zones
        for visit in entrants
    ]
    stopped = _stopped_at_window(simulation.plan, visits, thresholds.window_stop_s)
    return {
        "footfall": len(entrants),
        "visitors": visitors,
        "passersby": passersby,
        "capture_rate": _ratio(len(entrants), len(entrants) + passersby),
        "window_stop_rate": _ratio(len(stopped), len(entrants) + passersby),
        "window_to_entry": _ratio(sum(visit.visit_class == "entrant" for visit in stopped), len(stopped)),
        "dwell_mean": float(dwell_s.mean()) if entrants else None,
        "dwell_median": float(np.median(dwell_s)) if entrants else None,
        "dwell_p90": float(np.percentile(dwell_s, 90)) if entrants else None,
        "bounce_rate": _ratio(int((dwell_s < thresholds.bounce_s).sum()), len(entrants)),
        "deep_visit_rate": _ratio(sum(deep), len(entrants)),
        "transactions": len(sales),
        "revenue": revenue,
        "atv": _ratio(revenue, len(sales)),
        "conversion_rate": _ratio(len(sales), visitors),
        "sales_per_visitor": _ratio(revenue, len(entrants)),
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _visitors(entrants: list[TrueVisit], reentry_s: float) -> int:
    """Count entrant visits, those of one person merged where the gap outside is within `reentry_s`."""
    count, left_s = 0, dict[int, float]()
    for visit in entrants:
        assert visit.inside_s is not None
        if visit.inside_s[0] - left_s.get(visit.person, -np.inf) > reentry_s:
            count += 1
        left_s[visit.person] = visit.inside_s[1]
    return count


def _sales_zones(plan: Plan, visit: TrueVisit) -> int:
    ids = {zone.id for zone in plan.zones_of(ZoneKind.SALES)}
    return sum(_time_in(visit, zone) >= ZONE_VISIT_MIN_S for zone in ids)


def _stopped_at_window(plan: Plan, visits: tuple[TrueVisit, ...], stop_s: float) -> list[TrueVisit]:
    windows = {zone.id for zone in plan.zones_of(ZoneKind.WINDOW)}
    return [
        visit
        for visit in visits
        if visit.visit_class != "staff"
        and any(stay.zone in windows and stay.leave_s - stay.enter_s >= stop_s for stay in visit.stays)
    ]


def _zone_kpis(plan: Plan, visits: tuple[TrueVisit, ...]) -> dict[str, dict[str, float | None]]:
    entrants = [visit for visit in visits if visit.visit_class == "entrant"]
    spent_s = {zone.id: np.array([_time_in(visit, zone.id) for visit in entrants]) for zone in plan.site.zones}
    total_s = sum(float(spent.sum()) for spent in spent_s.values())
    long = {zone: spent[spent >= ZONE_VISIT_MIN_S] for zone, spent in spent_s.items()}
    return {
        "zone_visits": {zone: len(spent) for zone, spent in long.items()},
        "zone_dwell": {zone: float(spent.mean()) if len(spent) else None for zone, spent in long.items()},
        "zone_share": {zone: _ratio(float(spent.sum()), total_s) for zone, spent in spent_s.items()},
    }


def _time_in(visit: TrueVisit, zone: str) -> float:
    return sum(stay.leave_s - stay.enter_s for stay in visit.stays if stay.zone == zone)


def _arrivals(simulation: Simulation, visits: tuple[TrueVisit, ...]) -> dict[str, float | None]:
    """Count entrant visits by the local hour in which they went in."""
    zone, origin_s = ZoneInfo(simulation.settings.site.time_zone), simulation.settings.start_us / 1e6
    counts: dict[str, float | None] = {}
    for visit in visits:
        if visit.visit_class == "entrant" and visit.inside_s:
            hour = f"{datetime.fromtimestamp(origin_s + visit.inside_s[0], zone).hour:02d}"
            counts[hour] = (counts.get(hour) or 0) + 1
    return dict(sorted(counts.items()))


def _bin_starts(simulation: Simulation) -> NDArray[np.int64]:
    start_s = simulation.settings.start_us // 1_000_000
    return np.arange(start_s // BIN_S * BIN_S, start_s + simulation.settings.duration_s, BIN_S).astype(np.int64)


def _occupancy(simulation: Simulation, visits: tuple[TrueVisit, ...]) -> list[OccupancyBin]:
    starts = _bin_starts(simulation)
    origin_s = simulation.settings.start_us / 1e6
    person_s = np.zeros(len(starts))
    for visit in visits:
        if visit.inside_s and visit.visit_class == "entrant":
            enter_s, leave_s = (at + origin_s for at in visit.inside_s)
            person_s += np.clip(np.minimum(leave_s, starts + BIN_S) - np.maximum(enter_s, starts), 0.0, None)
    return [
        OccupancyBin(start_s=start, people=round(people, 4))
        for start, people in zip(starts.tolist(), (person_s / BIN_S).tolist(), strict=True)
    ]


def _devices(simulation: Simulation, visits: tuple[TrueVisit, ...]) -> list[DeviceBin]:
    starts = _bin_starts(simulation)
    origin_s = simulation.settings.start_us // 1_000_000
    carried = np.zeros(len(simulation.people), dtype=np.int64)
    for phone in simulation.phones:
        if phone.owner is not None and phone.switched_on:
            carried[phone.owner] += 1
    present = np.zeros(len(starts), dtype=np.int64)
    last = np.full(len(simulation.people), -1)
    for visit in visits:
        low, high = ((np.array(visit.near_s) + origin_s - starts[0]) // BIN_S).astype(np.int64)
        low = max(int(low), int(last[visit.person]) + 1)  # a second visit in the same bin is the same phone
        present[low : high + 1] += carried[visit.person]
        last[visit.person] = high
    frames = simulation.emissions
    number = ((frames["time_s"] + origin_s - starts[0]) // BIN_S).astype(np.int64)
    pairs = np.unique(np.stack([number, frames["phone"].astype(np.int64)]), axis=1)
    fixed = np.array([phone.owner is None for phone in simulation.phones], dtype=bool)[pairs[1]]
    sent = np.bincount(pairs[0][~fixed], minlength=len(starts)).tolist()
    fixed_sent = np.bincount(pairs[0][fixed], minlength=len(starts)).tolist()
    return [
        DeviceBin(start_s=start, present=here, transmitting=phones, fixed_transmitting=others)
        for start, here, phones, others in zip(starts.tolist(), present.tolist(), sent, fixed_sent, strict=True)
    ]
