"""Who comes near the shop and where each walks, second by second. Knows nothing of phones or radio."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import UsageError
from hostkit.model import ZoneKind
from hostkit.sim.plan import Plan, Point, Points

APPROACH_M = 30.0  # people are followed this far beyond the mapped street: phones are heard before they are mapped

# Relative arrivals per local hour at a European high street: a lunch hump and an after-work peak (hourly pattern
# after Soundararaj et al. 2019).
_ARRIVALS_BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 10, 20, 34, 52, 66, 84, 82, 70, 72, 86, 100, 92, 64, 36, 20, 10, 4)

_SPEED_M_S = (1.34, 0.22)  # free walking, mean and spread (Weidmann 1993)
_SPEED_LIMITS_M_S = (0.7, 1.9)
_INSIDE_PACE = 0.55  # of free walking, among shelves
_DWELL_S = {"browser": (420.0, 0.75), "buyer": (780.0, 0.6)}  # log-normal: median, log sd
_BOUNCE_S = (15.0, 45.0)
_WINDOW_STOP_S = (35.0, 0.6)
_TILL_S = (80.0, 0.45)
_STAFF_STAY_S = (600.0, 0.8)
_MAX_WINDOW_STOP_S = 300.0
_MAX_TILL_S = 400.0
_REENTRY_GAP_S = (180.0, 600.0)
_REENTRY_MIN_DURATION_S = 7200.0  # shorter simulations have no room for two visits
_MAX_SECOND_DWELL_S = 900.0
_TURN_BACK_SHARE = 0.1  # who stopped here and leaves to where they came from


class PersonKind(StrEnum):
    """What a person came to do; decides the way walked."""

    PASSERBY = "passerby"
    WINDOW = "window"  # stops at the window and walks on
    BOUNCER = "bouncer"  # looks in at the door
    BROWSER = "browser"
    BUYER = "buyer"
    STAFF = "staff"


ENTRANTS = (PersonKind.BOUNCER, PersonKind.BROWSER, PersonKind.BUYER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How people divide. Entrants are a share of all, the rest shares of their group."""

    entrant: float = 0.3
    buyer: float = 0.4  # of entrants
    bouncer: float = 0.08  # of entrants
    window: float = 0.15  # of those who do not enter
    window_first: float = 0.2  # of entrants, who stop at the window before they enter
    reenter: float = 0.04  # of browsers and buyers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """One person and the way walked: knots `times_s` (k,) from the simulation's start, `xy_m` (k, 2) joined by lines.

    `purchase_s` is the moment the till prints the receipt.
    """

    kind: PersonKind
    times_s: NDArray[np.float64]
    xy_m: Points
    purchase_s: float | None = None

    def at(self, times_s: NDArray[np.float64]) -> Points:
        """Give the position at each of `times_s`; the ends hold before and after."""
        xy: Points = np.stack([np.interp(times_s, self.times_s, self.xy_m[:, axis]) for axis in (0, 1)], axis=1)
        return xy

    def heading_rad(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the direction of the leg at each of `times_s`; standing people keep looking where they last walked."""
        steps = np.diff(self.xy_m, axis=0)
        moving = np.hypot(steps[:, 0], steps[:, 1]) > 0
        last = np.maximum.accumulate(np.where(moving, np.arange(len(steps)), 0))
        heading: NDArray[np.float64] = np.arctan2(steps[last, 1], steps[last, 0])
        return heading[np.clip(np.searchsorted(self.times_s, times_s, side="right") - 1, 0, len(steps) - 1)]

    def until(self, to_s: float) -> "Person":
        """Give the way as far as it was walked at `to_s`; of one not begun yet, its first step."""
        if self.times_s[-1] <= to_s:
            return self
        times_s = np.append(self.times_s[self.times_s < to_s], max(to_s, float(self.times_s[0])))
        paid = self.purchase_s is not None and self.purchase_s < to_s
        return replace(self, times_s=times_s, xy_m=self.at(times_s), purchase_s=self.purchase_s if paid else None)


class _Way:
    """A way under construction, walked at one person's pace: knots are only ever appended."""

    def __init__(self, start: Point, speed_m_s: float) -> None:
        self.times_s = [0.0]
        self.xy_m: list[Point] = [start]
        self.speed_m_s = speed_m_s

    @property
    def now_s(self) -> float:
        return self.times_s[-1]

    def walk(self, points: Points, pace: float = 1.0) -> None:
        for x, y in points.tolist():
            distance_m = float(np.hypot(x - self.xy_m[-1][0], y - self.xy_m[-1][1]))
            if distance_m > 0:
                self.times_s.append(self.now_s + distance_m / (self.speed_m_s * pace))
                self.xy_m.append((x, y))

    def stay(self, duration_s: float) -> None:
        self.times_s.append(self.now_s + duration_s)
        self.xy_m.append(self.xy_m[-1])

    def person(self, kind: PersonKind, purchase_s: float | None = None) -> Person:
        return Person(kind=kind, times_s=np.array(self.times_s), xy_m=np.array(self.xy_m), purchase_s=purchase_s)


def people(
    plan: Plan, *, count: int, staff: int, start_hour: float, duration_s: float, shares: Shares, seed: int
) -> tuple[Person, ...]:
    """Draw `count` people who come near the shop, in order of arrival, then `staff` who are there all the time.

    Every way is complete within [0, duration_s]; raises UsageError where the simulation is too short for that.
    """
    walker = _Walker(plan, duration_s, shares, np.random.default_rng([seed, 1]))
    visitors = [walker.visitor(kind) for kind in _kinds(count, shares, walker.rng)]
    arrivals_s = _arrivals(visitors, start_hour, duration_s, walker.rng)
    shifted = [_shift(person, arrival) for person, arrival in zip(visitors, arrivals_s, strict=True)]
    shifted.sort(key=lambda person: float(person.times_s[0]))
    return (*shifted, *(walker.staff() for _ in range(staff)))


def _kinds(count: int, shares: Shares, rng: np.random.Generator) -> list[PersonKind]:
    kinds = []
    for entering, within in rng.random((count, 2)):
        if entering >= shares.entrant:
            kinds.append(PersonKind.WINDOW if within < shares.window else PersonKind.PASSERBY)
        elif within < shares.buyer:
            kinds.append(PersonKind.BUYER)
        else:
            kinds.append(PersonKind.BOUNCER if within < shares.buyer + shares.bouncer else PersonKind.BROWSER)
    return kinds


class _Walker:
    """Draws ways through one plan. Dwell is cut so that a visit takes no more than half of `duration_s`."""

    def __init__(self, plan: Plan, duration_s: float, shares: Shares, rng: np.random.Generator) -> None:
        self.plan, self.rng, self.shares, self.duration_s = plan, rng, shares, duration_s
        cells = np.concatenate([plan.spots[zone.id] for zone in plan.zones_of(ZoneKind.STREET)])
        xy = plan.cells[cells]
        axis = int(np.argmax(np.ptp(xy, axis=0)))  # people walk along the street's longer side
        step = np.eye(2)[axis] * APPROACH_M
        low, high = xy[:, axis].min() + 1.0, xy[:, axis].max() - 1.0
        self.ends = (cells[xy[:, axis] <= low], cells[xy[:, axis] >= high])
        self.outward_m = (-step, step)

    def visitor(self, kind: PersonKind) -> Person:
        """Draw one way from beyond the street to beyond the street, starting at 0 s."""
        origin, goal = self.rng.permutation(2)
        if kind is not PersonKind.PASSERBY and self.rng.random() < _TURN_BACK_SHARE:
            goal = origin
        cell, outside = self._street_end(int(origin))
        way = _Way(outside, self._speed())
        way.walk(self.plan.cells[[cell]])
        purchase_s = None
        if kind in ENTRANTS:
            if self.rng.random() < self.shares.window_first:
                cell = self._look_at_window(way, cell)
            cell, purchase_s = self._visit(way, cell, kind)
        elif kind is PersonKind.WINDOW:
            cell = self._look_at_window(way, cell)
        end_cell, outside = self._street_end(int(goal))
        way.walk(self.plan.path(cell, end_cell))
        way.walk(np.array([outside]))
        return way.person(kind, purchase_s)

    def staff(self) -> Person:
        """Draw one way among the shop's zones that fills the whole simulation."""
        kinds = (ZoneKind.SALES, ZoneKind.TILL, ZoneKind.STAFF)
        cell = self._spot_in(*kinds)
        way = _Way(_point(self.plan.cells[cell]), self._speed() * _INSIDE_PACE)
        while True:
            stay_s, spot = self._log_normal(*_STAFF_STAY_S), self._spot_in(*kinds)
            walk = self.plan.path(cell, spot)
            walk_s = float(np.hypot(*np.diff(walk, axis=0).T).sum()) / way.speed_m_s
            if way.now_s + stay_s + walk_s >= self.duration_s:
                way.stay(self.duration_s - way.now_s)
                return way.person(PersonKind.STAFF)
            way.stay(stay_s)
            way.walk(walk)
            cell = spot

    def _visit(self, way: _Way, cell: int, kind: PersonKind) -> tuple[int, float | None]:
        """Enter and leave once or twice; returns the cell stood on at the end and the time of purchase."""
        door = self._spot_in(ZoneKind.DOOR)
        way.walk(self.plan.path(cell, door))
        if kind is PersonKind.BOUNCER:
            cell = self._step_in(way, door)
            return cell, None
        cell = self._browse(way, door, min(self._log_normal(*_DWELL_S[kind.value]), 0.35 * self.duration_s))
        purchase_s = None
        if kind is PersonKind.BUYER:
            cell = self._walk_inside(way, cell, self._spot_in(ZoneKind.TILL))
            way.stay(min(self._log_normal(*_TILL_S), _MAX_TILL_S, 0.15 * self.duration_s))
            purchase_s = way.now_s
        if self.rng.random() < self.shares.reenter and self.duration_s >= _REENTRY_MIN_DURATION_S:
            cell = self._return(way, cell)
        return cell, purchase_s

    def _browse(self, way: _Way, cell: int, dwell_s: float) -> int:
        count = int(np.clip(self.rng.poisson(dwell_s / 200.0) + 1, 1, 8))
        for share in self.rng.dirichlet(np.full(count, 1.5)):
            cell = self._walk_inside(way, cell, self._spot_in(ZoneKind.SALES))
            way.stay(float(share) * dwell_s)
        return cell

    def _step_in(self, way: _Way, door: int) -> int:
        """Look round at one of the ten places to stand inside that are nearest to the door."""
        spots = np.concatenate([self.plan.spots[zone.id] for zone in self.plan.zones_of(ZoneKind.SALES, ZoneKind.TILL)])
        nearest = spots[np.argsort(self.plan.distances(door)[spots], kind="stable")[:10]]
        cell = self._walk_inside(way, door, int(self.rng.choice(nearest)))
        way.stay(float(self.rng.uniform(*_BOUNCE_S)))
        return cell

    def _return(self, way: _Way, cell: int) -> int:
        """Leave the map, come back within the re-entry time and browse once more."""
        out, outside = self._street_end(int(self.rng.integers(2)))
        way.walk(self.plan.path(cell, out))
        way.walk(np.array([outside]))
        way.stay(float(self.rng.uniform(*_REENTRY_GAP_S)))
        way.walk(self.plan.cells[[out]])
        door = self._spot_in(ZoneKind.DOOR)
        way.walk(self.plan.path(out, door))
        return self._browse(way, door, min(self._log_normal(*_DWELL_S["browser"]), _MAX_SECOND_DWELL_S))

    def _look_at_window(self, way: _Way, cell: int) -> int:
        spot = self._spot_in(ZoneKind.WINDOW if self.plan.zones_of(ZoneKind.WINDOW) else ZoneKind.DOOR)
        way.walk(self.plan.path(cell, spot))
        way.stay(min(self._log_normal(*_WINDOW_STOP_S), _MAX_WINDOW_STOP_S))
        return spot

    def _walk_inside(self, way: _Way, cell: int, spot: int) -> int:
        way.walk(self.plan.path(cell, spot), _INSIDE_PACE)
        return spot

    def _street_end(self, side: int) -> tuple[int, Point]:
        cell = int(self.rng.choice(self.ends[side]))
        return cell, _point(self.plan.cells[cell] + self.outward_m[side])

    def _spot_in(self, *kinds: ZoneKind) -> int:
        """Pick a place to stand in a zone of `kinds`; zones attract as 1, 1/√2, 1/√3… in the site's order."""
        zones = self.plan.zones_of(*kinds)
        weights = 1.0 / np.sqrt(np.arange(1, len(zones) + 1))
        zone = zones[int(self.rng.choice(len(zones), p=weights / weights.sum()))]
        return int(self.rng.choice(self.plan.spots[zone.id]))

    def _speed(self) -> float:
        return float(np.clip(self.rng.normal(*_SPEED_M_S), *_SPEED_LIMITS_M_S))

    def _log_normal(self, median: float, log_sd: float) -> float:
        return float(median * np.exp(log_sd * self.rng.standard_normal()))


def _arrivals(
    visitors: list[Person], start_hour: float, duration_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw arrival times by the hourly pattern, early enough that everybody leaves within the simulation."""
    longest_s = max((float(person.times_s[-1]) for person in visitors), default=0.0)
    if longest_s > duration_s:
        raise UsageError(
            f"a visit of {longest_s / 60:.0f} min does not fit into {duration_s / 60:.0f} min",
            where="--hours",
            next_step="simulate longer",
        )
    grid_s = np.arange(0.0, duration_s + 60.0, 60.0)
    hours = (start_hour + grid_s / 3600.0) % 24.0
    rate = np.interp(hours, np.arange(25) + 0.5, (*_ARRIVALS_BY_HOUR, _ARRIVALS_BY_HOUR[0]))
    total = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    latest_s = np.array([duration_s - float(person.times_s[-1]) for person in visitors])
    drawn = rng.random(len(visitors)) * np.interp(latest_s, grid_s, total)
    arrivals_s: NDArray[np.float64] = np.interp(drawn, total, grid_s)
    return arrivals_s


def _shift(person: Person, by_s: float) -> Person:
    purchase_s = None if person.purchase_s is None else person.purchase_s + by_s
    return Person(kind=person.kind, times_s=person.times_s + by_s, xy_m=person.xy_m, purchase_s=purchase_s)


def _point(xy: NDArray[np.float64]) -> Point:
    return float(xy[0]), float(xy[1])
