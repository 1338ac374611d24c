"""Zones against each other, against the shop and against what the probes will hear in them."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hostkit.core.predict import Forecast
from hostkit.core.zones import area_m2, cell_shares
from hostkit.install.findings import Finding, advice, problem
from hostkit.model import Floor, Zone, ZoneKind

OVERLAP = 0.05  # of the smaller zone: what outlines drawn by hand may share
HEARD_P = 0.5  # mean P(three probes hear a frame) in a zone
OUTSIDE, INDOORS = 0.5, 0.5  # share of a zone that may be on the wrong side of the shop's outline
_WIDE = (ZoneKind.SALES, ZoneKind.TILL)  # a door or window is a strip whatever the error
_STEP_M = 0.25
_MAX_CELLS = 40_000

Indexed = Sequence[tuple[int, Zone]]  # index in site.toml, and the zone


def check_zones(floor: Floor, zones: Indexed, seen: Forecast | None) -> Iterator[Finding]:
    """Check the zones of one floor; `seen` is its forecast, None where there are no positions."""
    yield from _overlaps(floor, zones)
    for index, zone in zones:
        yield from _side_of_the_outline(floor, zone, f"zones[{index}] ({zone.id})")
        if seen is not None:
            yield from _heard(zone, seen, f"zones[{index}] ({zone.id})")
    kinds = {zone.kind for _, zone in zones}
    if zones and ZoneKind.DOOR not in kinds:
        what = "no zone of kind door: who came in is told by the outline alone"
        yield advice(f"floor {floor.id}", what, 'draw one across each entrance, kind = "door"')
    if zones and ZoneKind.STREET not in kinds:
        what = "no zone of kind street: passers-by have no place of their own"
        yield advice(f"floor {floor.id}", what, 'draw what lies in front of the shop, kind = "street"')
    if not zones and seen is not None:
        yield advice(f"floor {floor.id}", "no zones: figures are of the shop as a whole", "draw zones in site.toml")


def _overlaps(floor: Floor, zones: Indexed) -> Iterator[Finding]:
    if len(zones) < 2:
        return
    x_min, y_min, x_max, y_max = floor.bounds_m
    step = max(_STEP_M, float(np.sqrt((x_max - x_min) * (y_max - y_min) / _MAX_CELLS)))
    x_m, y_m = (np.arange(low, high, step) + step / 2 for low, high in ((x_min, x_max), (y_min, y_max)))
    shares: list[NDArray[np.float32]] = [cell_shares(x_m, y_m, step, zone.polygon_m) for _, zone in zones]
    for (a, (index, first)), (b, (_, second)) in combinations(enumerate(zones), 2):
        shared = float((shares[a] * shares[b]).sum()) * step**2
        smaller = min(area_m2(first.polygon_m), area_m2(second.polygon_m))
        if shared > OVERLAP * smaller:
            what = f"{first.id} and {second.id} share {shared:.1f} m²: a visit there counts in both"
            yield problem(f"zones[{index}].polygon_m", what, "move the outline of one")


def _side_of_the_outline(floor: Floor, zone: Zone, where: str) -> Iterator[Finding]:
    corners = np.asarray(zone.polygon_m, np.float64)
    step = max(0.05, float(np.ptp(corners, axis=0).max()) / 60)
    x_m, y_m = (np.arange(low, high, step) + step / 2 for low, high in zip(corners.min(0), corners.max(0), strict=True))
    zone_share = cell_shares(x_m, y_m, step, zone.polygon_m)
    within = float((zone_share * cell_shares(x_m, y_m, step, floor.interior_m)).sum() / max(zone_share.sum(), 1e-9))
    if zone.kind is ZoneKind.STREET and within > INDOORS:
        yield problem(where, f"is street, but {within:.0%} of it is in the shop", "draw it outside interior_m")
    if zone.kind in {ZoneKind.SALES, ZoneKind.TILL, ZoneKind.STAFF} and within < 1 - OUTSIDE:
        what = f"is {zone.kind}, but {1 - within:.0%} of it is outside the shop"
        yield problem(where, what, "draw it within interior_m, or correct its kind")


def _heard(zone: Zone, seen: Forecast, where: str) -> Iterator[Finding]:
    cell_m = float(seen.x_m[1] - seen.x_m[0]) if len(seen.x_m) > 1 else 1.0
    share = cell_shares(seen.x_m, seen.y_m, cell_m, zone.polygon_m)
    if not share.any():
        return  # smaller than a cell
    heard, error = seen.over(share, seen.three_p), seen.over(share, seen.error_m)
    across = float(np.sqrt(area_m2(zone.polygon_m)))
    if zone.kind is not ZoneKind.STREET and heard < HEARD_P:
        what = f"three probes hear {heard:.0%} of the frames sent there"
        yield problem(where, what, "move or add a probe near it: site show --suggest 1 --keep")
    elif zone.kind in _WIDE and across < error:
        what = f"is {across:.1f} m across, a position there is right to {error:.1f} m"
        yield advice(where, what, "make it larger, or expect its share to blur into its neighbours'")
