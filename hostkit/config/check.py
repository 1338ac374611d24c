"""What a site.toml says that cannot all be true. Each finding names the key to change; types and bounds: reader.py."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from zoneinfo import available_timezones

from hostkit.config.keys import CHANNELS_2G4, CHANNELS_5G, WEEKDAYS
from hostkit.config.reader import Problem
from hostkit.model import Floor, OpenIntervals, Polygon, PrivacyMode, Probe, Site, Zone

Point = tuple[float, float]
_MIN_AREA_M2 = 0.01
_MAX_CORNERS = 200  # crossing edges are looked for pair by pair
_DAY_MINUTES = 1440


def contradictions(site: Site) -> Iterator[Problem]:
    """Find every contradiction, in the order of the file."""
    if site.time_zone not in available_timezones():
        fix = "use a name like Europe/Berlin or Asia/Shanghai"
        yield Problem(path="time_zone", what=f'time zone "{site.time_zone}" is unknown', fix=fix)
    yield from _hours(site)
    for name, ids in (
        ("floors", [floor.id for floor in site.floors]),
        ("zones", [zone.id for zone in site.zones]),
        ("probes", [probe.id for probe in site.probes]),
    ):
        yield from _duplicates(name, ids)
    floors = {floor.id: floor for floor in site.floors}
    for index, floor in enumerate(site.floors):
        yield from _floor(floor, f"floors[{index}]")
    for index, zone in enumerate(site.zones):
        yield from _zone(zone, floors, f"zones[{index}]")
    for index, probe in enumerate(site.probes):
        yield from _probe(probe, floors, f"probes[{index}]")
    yield from _numbers(site)


def _hours(site: Site) -> Iterator[Problem]:
    hours = site.opening_hours
    named = [(f"opening_hours.{day}", open_) for day, open_ in zip(WEEKDAYS, hours.days, strict=True)]
    named += [(f"opening_hours.dates.{entry.date}", entry.open) for entry in hours.dates]
    for path, open_ in named:
        for earlier, later in pairwise(open_):
            if later[0] < earlier[1]:
                what = f"{_clock(earlier)} and {_clock(later)} overlap"
                yield Problem(path=path, what=what, fix="merge them or correct a time")
    for (path, open_), (next_path, next_open) in pairwise([*named[:7], named[0]]):
        yield from _into_next_day(path, open_, next_path, next_open)


def _into_next_day(path: str, open_: OpenIntervals, next_path: str, next_open: OpenIntervals) -> Iterator[Problem]:
    if open_ and next_open and open_[-1][1] - _DAY_MINUTES > next_open[0][0]:
        what = f"{_clock(open_[-1])} runs into {next_path.rpartition('.')[2]}'s {_clock(next_open[0])}"
        yield Problem(path=path, what=what, fix="close earlier or open later")


def _duplicates(name: str, ids: Sequence[str]) -> Iterator[Problem]:
    for index, id_ in enumerate(ids):
        if id_ in ids[:index]:
            what = f'"{id_}" is also the id of {name}[{ids.index(id_)}]'
            yield Problem(path=f"{name}[{index}].id", what=what, fix="give each its own id")


def _floor(floor: Floor, path: str) -> Iterator[Problem]:
    x_min, y_min, x_max, y_max = floor.bounds_m
    if x_min >= x_max or y_min >= y_max:
        what = f"{list(floor.bounds_m)} has no area"
        yield Problem(path=f"{path}.bounds_m", what=what, fix="write x_min, y_min, x_max, y_max in metres")
        return
    if floor.plan_m is not None and floor.plan is None:
        yield Problem(path=f"{path}.plan_m", what="is of no image", fix='add plan = "..." or remove plan_m')
    if floor.plan_m is not None and not (floor.plan_m[0] < floor.plan_m[2] and floor.plan_m[1] < floor.plan_m[3]):
        what = f"{list(floor.plan_m)} has no area"
        yield Problem(path=f"{path}.plan_m", what=what, fix="write x_min, y_min, x_max, y_max in metres")
    yield from _polygon(floor.interior_m, floor, f"{path}.interior_m")
    for index, wall in enumerate(floor.walls):
        if wall.from_m == wall.to_m:
            what = "begins where it ends"
            yield Problem(path=f"{path}.walls[{index}].to_m", what=what, fix="give the wall's other end")
        for key, point in (("from_m", wall.from_m), ("to_m", wall.to_m)):
            yield from _outside(point, floor, f"{path}.walls[{index}].{key}")


def _zone(zone: Zone, floors: dict[str, Floor], path: str) -> Iterator[Problem]:
    floor = floors.get(zone.floor)
    if floor is None:
        yield _unknown_floor(zone.floor, floors, path)
    yield from _polygon(zone.polygon_m, floor, f"{path}.polygon_m")


def _probe(probe: Probe, floors: dict[str, Floor], path: str) -> Iterator[Problem]:
    if probe.floor is not None and probe.floor not in floors:
        yield _unknown_floor(probe.floor, floors, path)
    if probe.position_m is not None and probe.floor is None:
        what = "position_m without a floor"
        yield Problem(path=f"{path}.floor", what=what, fix='add floor = "..." or remove position_m')
    elif probe.position_m is not None and probe.floor in floors:
        yield from _outside(probe.position_m[:2], floors[probe.floor], f"{path}.position_m")
    for index, channel in enumerate(probe.channels):
        if channel not in CHANNELS_2G4 + CHANNELS_5G:
            what = f"{channel} is not a Wi-Fi channel"
            yield Problem(
                path=f"{path}.channels[{index}]", what=what, fix="use 1 to 14, 36 to 64, 100 to 144 or 149 to 177"
            )
        if channel in probe.channels[:index]:
            what = f"channel {channel} is listed twice"
            yield Problem(path=f"{path}.channels[{index}]", what=what, fix="remove one")


def _unknown_floor(id_: str, floors: dict[str, Floor], path: str) -> Problem:
    known = f"use one of {', '.join(floors)}" if floors else "add a [[floors]] table"
    return Problem(path=f"{path}.floor", what=f'there is no floor "{id_}"', fix=known)


def _numbers(site: Site) -> Iterator[Problem]:
    """Check thresholds that only make sense in an order."""
    rings, limits, grain_s = site.rings, site.thresholds, site.privacy.time_grain_s
    if rings.inside_dbm <= rings.near_dbm:
        what = f"{rings.inside_dbm:g} is not above rings.near_dbm {rings.near_dbm:g}"
        yield Problem(path="rings.inside_dbm", what=what, fix="inside is the stronger level, nearer to 0")
    elif 2 * rings.hysteresis_db >= rings.inside_dbm - rings.near_dbm:
        what = f"{rings.hysteresis_db:g} is half the {rings.inside_dbm - rings.near_dbm:g} dB between the rings or more"
        yield Problem(path="rings.hysteresis_db", what=what, fix="lower it or set the rings further apart")
    if limits.bounce_s >= limits.deep_s:
        what = f"{limits.bounce_s:g} is not below thresholds.deep_s {limits.deep_s:g}"
        yield Problem(path="thresholds.bounce_s", what=what, fix="a bounce is the shorter stay")
    if limits.entrant_min_s >= limits.deep_s:
        what = f"{limits.entrant_min_s:g} is not below thresholds.deep_s {limits.deep_s:g}"
        yield Problem(path="thresholds.entrant_min_s", what=what, fix="a deep visit is longer than the least stay")
    if 3600 % grain_s:
        what = f"{grain_s} does not divide an hour"
        yield Problem(path="privacy.time_grain_s", what=what, fix="use 60, 300, 600, 900, 1800 or 3600")
    if site.privacy.mode is PrivacyMode.CONSENT:
        what = '"consent" needs people who signed up, and there is no registry of them yet'
        yield Problem(path="privacy.mode", what=what, fix="use pseudonym_24h or anonymous_5min")


def _polygon(polygon: Polygon, floor: Floor | None, path: str) -> Iterator[Problem]:
    if len(polygon) < 3:
        what = f"needs at least 3 corners, has {len(polygon)}"
        yield Problem(path=path, what=what, fix="add corners in metres as [x, y]")
        return
    if len(polygon) > _MAX_CORNERS:
        what = f"has {len(polygon)} corners, at most {_MAX_CORNERS}"
        yield Problem(path=path, what=what, fix="simplify the outline")
        return
    if floor is not None:
        for index, point in enumerate(polygon):
            yield from _outside(point, floor, f"{path}[{index}]")
    repeated = next((index for index, point in enumerate(polygon) if point in polygon[:index]), None)
    crossing = _crossing(polygon)
    if repeated is not None:
        what = f"corner {repeated} repeats corner {polygon.index(polygon[repeated])}"
        yield Problem(path=path, what=what, fix="name each corner once; the outline closes by itself")
    elif crossing is not None:
        what = f"its edges from corner {crossing[0]} and corner {crossing[1]} meet"
        yield Problem(path=path, what=what, fix="list the corners in order around the outline")
    elif abs(_area_m2(polygon)) < _MIN_AREA_M2:
        yield Problem(path=path, what="has no area", fix="list the corners in order around the outline")


def _outside(point: Point, floor: Floor, path: str) -> Iterator[Problem]:
    x_min, y_min, x_max, y_max = floor.bounds_m
    if x_min >= x_max or y_min >= y_max:
        return  # found on the floor itself
    if not (x_min <= point[0] <= x_max and y_min <= point[1] <= y_max):
        what = f'[{point[0]:g}, {point[1]:g}] is outside floor "{floor.id}"'
        yield Problem(path=path, what=what, fix=f"move it within bounds_m {[x_min, y_min, x_max, y_max]} or widen them")


def _crossing(polygon: Polygon) -> tuple[int, int] | None:
    """Find two edges of a closed outline, not neighbours, that touch."""
    edges = [(polygon[index], polygon[(index + 1) % len(polygon)]) for index in range(len(polygon))]
    for i, first in enumerate(edges):
        for j in range(i + 2, len(edges)):
            if (i, j) != (0, len(edges) - 1) and _meet(*first, *edges[j]):
                return i, j
    return None


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Tell whether the closed segments ab and cd share a point."""
    turns = (_turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b))
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(turn == 0 and _between(*end) for turn, end in zip(turns, ends, strict=True))


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _between(a: Point, b: Point, c: Point) -> bool:
    """Tell whether c, known to be on the line ab, lies within the segment."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _area_m2(polygon: Polygon) -> float:
    """Signed area by the shoelace formula."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, (*polygon[1:], polygon[0]), strict=True)) / 2


def _clock(interval: tuple[int, int]) -> str:
    return "-".join(f"{minute // 60 % 24:02}:{minute % 60:02}" for minute in interval)
