"""What to stand on, one after the other, for each kind of calibration, and what the readings then say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
import numpy as np
from msgspec import Meta

from hostkit.core.calibrate_mixed import Floats
from hostkit.core.ranging import expected_rssi
from hostkit.core.zones import area_m2, inside
from hostkit.errors import InputError
from hostkit.field.chart import Chart, Point, Series
from hostkit.field.ground import Ground
from hostkit.field.hearing import Level
from hostkit.field.link import Stands, link_trial
from hostkit.field.readings import Windows, places_of
from hostkit.field.survey import check_on_plan
from hostkit.field.trial import Note, ProbeRow, Trial
from hostkit.field.walk import Survey, positions, walk_trial
from hostkit.field.zones import OUTSIDE, rounds_of, zones_trial
from hostkit.io.csvtable import read_table
from hostkit.model import Floor, Site

POINTS = 24  # a few more than are needed: some will be behind a shelf
MOST_POINTS = 200
FROM_WALL = 0.5  # of a step: no point at the wall
LINE_POINTS = 20  # of a law, drawn
SOURCE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """One place to stand: what it is called, who listens, where it is on the plan if that is known."""

    label: str
    probes: tuple[str, ...]
    place_m: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was heard at a stand: levels of each part (parts, probes that listened), in the order of its `probes`."""

    stand: int
    levels: tuple[tuple[Level, ...], ...]

    def rssi_dbm(self) -> Floats:
        """Levels (parts, probes), NaN for nothing."""
        return np.array([[np.nan if one.rssi_dbm is None else one.rssi_dbm for one in row] for row in self.levels])

    def frames(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Frames (parts, probes)."""
        return np.array([[one.frames for one in row] for row in self.levels], np.int64)

    @property
    def heard(self) -> int:
        """How many probes heard anything."""
        return int((self.frames().sum(axis=0) > 0).sum())

    @property
    def silent(self) -> bool:
        """Whether nobody heard anything."""
        return self.heard == 0


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makes a course, as a session keeps it: points (x, y) or distances, names of probes or zones; a phone?"""

    kind: Literal["link", "walk", "zones"]
    names: tuple[str, ...]
    points_m: Annotated[tuple[tuple[float, float], ...], Meta(max_length=200)] = ()
    distances_m: Annotated[tuple[float, ...], Meta(max_length=200)] = ()
    phone: bool = True


class Course(Protocol):
    """A kind of calibration. `parts`: how often each stand is listened to; `unit`: of residuals; `ground`: its map."""

    kind: Literal["link", "walk", "zones"]
    head: Head
    ground: Ground | None
    parts: int
    stands: tuple[Stand, ...]
    unit: str

    def trial(self, taken: Sequence[Taken]) -> Trial:
        """Try what was heard so far."""

    def residual(self, taken: Taken) -> float:
        """How far off the hub is there as it is now; NaN where it cannot say."""

    def chart(self, taken: Sequence[Taken], rows: Sequence[ProbeRow]) -> Chart | None:
        """Give what was heard so far and what the trial's rows make of it; None where the plan shows it."""


class WalkCourse:
    """Points on a floor."""

    kind: Literal["link", "walk", "zones"] = "walk"
    parts = 1
    unit = "m"

    def __init__(self, site: Site, ground: Ground, points_m: Floats, *, phone: bool) -> None:
        self._site, self._phone = site, phone
        self._ground = ground
        self.ground: Ground | None = ground
        self._points_m = points_m
        points = tuple((x, y) for x, y in points_m.tolist())
        self.head = Head(kind="walk", names=ground.names, points_m=points, phone=phone)
        self.stands = tuple(
            Stand(label=f"{number}", probes=ground.names, place_m=(x, y))
            for number, (x, y) in enumerate(points, start=1)
        )

    def trial(self, taken: Sequence[Taken]) -> Trial:
        """Try what was heard so far."""
        return walk_trial(self._site, self._ground, self._survey(taken), phone=self._phone)

    def residual(self, taken: Taken) -> float:
        """Distance in m between the point and where the hub would put the phone."""
        survey = self._survey((taken,))
        if np.isfinite(survey.rssi_dbm).sum() < 3:
            return float("nan")
        found = positions(self._site, self._ground, survey.rssi_dbm, survey.frames)
        return float(np.hypot(*(found - survey.place_m)[0]))

    def chart(self, taken: Sequence[Taken], rows: Sequence[ProbeRow]) -> Chart | None:
        """None: each point's error is on the plan."""
        return None

    def _survey(self, taken: Sequence[Taken]) -> Survey:
        count = len(self._ground.names)
        return Survey(
            place_m=self._points_m[[one.stand for one in taken]],
            rssi_dbm=np.array([one.rssi_dbm()[0] for one in taken]).reshape(-1, count),
            frames=np.array([one.frames()[0] for one in taken], np.int64).reshape(-1, count),
            source=SOURCE,
        )


class LinkCourse:
    """Distances from each probe."""

    kind: Literal["link", "walk", "zones"] = "link"
    ground: Ground | None = None
    parts = 2  # halves: one is held out where there are two distances only
    unit = "dB"

    def __init__(self, site: Site, distances_m: Sequence[float], *, phone: bool) -> None:
        self._site, self._phone = site, phone
        names = tuple(probe.id for probe in site.probes)
        self.head = Head(kind="link", names=names, distances_m=tuple(distances_m), phone=phone)
        self._at = [(probe, distance) for probe in range(len(site.probes)) for distance in distances_m]
        self.stands = tuple(
            Stand(label=f"{site.probes[probe].id}, {distance:g} m", probes=(site.probes[probe].id,))
            for probe, distance in self._at
        )

    def trial(self, taken: Sequence[Taken]) -> Trial:
        """Try what was heard so far; a stand taken again counts as it was last."""
        last = {one.stand: one for one in taken}
        kept = [last[at] for at in sorted(last)]
        halves = np.array([one.rssi_dbm()[:, 0] for one in kept]).reshape(-1, self.parts)
        halves = np.where(np.isnan(halves), halves[:, ::-1], halves)
        stands = Stands(
            probe=np.array([self._at[one.stand][0] for one in kept], np.int64),
            distance_m=np.array([self._at[one.stand][1] for one in kept], np.float64),
            rssi_dbm=halves,
            frames=np.array([one.frames().sum() for one in kept], np.int64),
            source=SOURCE,
        )
        return link_trial(self._site, stands, phone=self._phone)

    def residual(self, taken: Taken) -> float:
        """How many dB louder it is than the hub expects."""
        probe, distance = self._at[taken.stand]
        said = expected_rssi([distance], self._site.path_loss)[0] + self._site.probes[probe].offset_db
        return float(np.nanmean(taken.rssi_dbm()) - said)

    def chart(self, taken: Sequence[Taken], rows: Sequence[ProbeRow]) -> Chart | None:
        """Give level over distance at the probe that was measured last: heard, expected now, fitted."""
        at = self._at[taken[-1].stand][0]
        probe = self._site.probes[at]
        heard = [
            (self._at[one.stand][1], float(np.nanmean(one.rssi_dbm()))) for one in taken if self._at[one.stand][0] == at
        ]
        along = np.geomspace(min(self.head.distances_m) / 1.3, max(self.head.distances_m) * 1.3, LINE_POINTS)
        laws = [("expected", expected_rssi(along, self._site.path_loss) + probe.offset_db)]
        for row in rows:
            if row.name == probe.id:
                level, exponent, _ = row.figures
                laws.append(("fitted", level - 10.0 * exponent * np.log10(along)))
        lines = [
            Series(
                name=Note(word=word),
                points=tuple(zip(along.tolist(), law.tolist(), strict=True)),
                drawn="dashes" if word == "expected" else "line",
            )
            for word, law in laws
        ]
        dots = Series(name=Note(word="heard"), points=tuple(heard))
        return Chart(x="metres", y="level", series=(dots, *lines), title=probe.id, logarithmic=True)


class ZoneCourse:
    """Every zone, and outside of all."""

    kind: Literal["link", "walk", "zones"] = "zones"
    ground: Ground | None = None
    parts = 3
    unit = "dBm"

    def __init__(self, site: Site) -> None:
        self._site = site
        names = [*(zone.id for zone in site.zones), OUTSIDE]
        middle = [tuple(np.asarray(zone.polygon_m).mean(axis=0).tolist()) for zone in site.zones]
        every = tuple(probe.id for probe in site.probes)
        self.head = Head(kind="zones", names=(*names, *every))
        self.stands = tuple(
            Stand(label=name, probes=every, place_m=middle[at] if at < len(middle) else None)
            for at, name in enumerate(names)
        )

    def trial(self, taken: Sequence[Taken]) -> Trial:
        """Try what was heard so far: each stand is one time in its zone, in parts."""
        rows = [(one.stand, number, part) for number, one in enumerate(taken) for part in range(self.parts)]
        rssi = np.concatenate([one.rssi_dbm() for one in taken])
        frames = np.concatenate([one.frames() for one in taken])
        heard = np.isfinite(rssi).any(axis=1)
        windows = Windows(
            time_s=np.arange(len(rows), dtype=np.float64)[heard],
            rssi_dbm=rssi[heard],
            frames=frames[heard],
            place_m=None,
        )
        zone = np.array([stand for stand, _, _ in rows], np.int64)[heard]
        return zones_trial(self._site, rounds_of(windows, zone, SOURCE))

    def residual(self, taken: Taken) -> float:
        """The loudest level, in dBm."""
        return float(np.nanmax(taken.rssi_dbm()))

    def chart(self, taken: Sequence[Taken], rows: Sequence[ProbeRow]) -> Chart | None:
        """Give the levels of every probe in each zone: zones are told apart where they differ."""
        every = self.stands[0].probes
        points: list[list[Point]] = [[] for _ in every]
        for one in taken:
            for part in one.rssi_dbm().tolist():
                for at, level in enumerate(part):
                    if np.isfinite(level):
                        points[at].append((float(one.stand), level))
        series = tuple(
            Series(name=Note(word="said", values=(name,)), points=tuple(of))
            for name, of in zip(every, points, strict=True)
        )
        return Chart(x="zone", y="level", series=series, names=tuple(stand.label for stand in self.stands))


def course_of(head: Head, site: Site, ground: Callable[[], Ground]) -> Course:
    """Make the course that a session kept; `ground` gives a walk's floor. It has another head if the site changed."""
    if head.kind == "walk":
        return WalkCourse(site, ground(), np.array(head.points_m, np.float64).reshape(-1, 2), phone=head.phone)
    return ZoneCourse(site) if head.kind == "zones" else LinkCourse(site, head.distances_m, phone=head.phone)


def points_on(floor: Floor) -> Floats:
    """Give about POINTS points all over the shop (N, 2), in the order of a walk to and fro."""
    outline = np.asarray(floor.interior_m, np.float64)
    (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
    step = float(np.sqrt(area_m2(floor.interior_m) / POINTS))
    while True:
        axes = [np.arange(low + FROM_WALL * step, high - 0.2 * step, step) for low, high in ((x0, x1), (y0, y1))]
        rows = [np.column_stack((axes[0][:: (-1) ** at], np.full(len(axes[0]), y))) for at, y in enumerate(axes[1])]
        grid = np.round(np.concatenate(rows), 1)
        found = np.asarray(grid[inside(grid, floor.interior_m)], np.float64)
        if len(found) >= POINTS - 2 or step < 1.0:
            return found[:MOST_POINTS]
        step *= 0.95


def read_points(path: Path, ground: Ground) -> Floats:
    """Read marked points `x_m,y_m` (N, 2). InputError names the line of one that is not on the plan."""
    table = read_table(path, {"x_m": float, "y_m": float})
    check_on_plan(table, ground)
    if not 1 <= len(table) <= MOST_POINTS:
        step = f"give 1 to {MOST_POINTS}"
        raise InputError(f"holds {len(table)} points", where=str(path), next_step=step)
    return places_of(table)
