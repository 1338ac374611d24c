"""What a scan says about place: positions with three or more probes on a floor, RSSI rings with fewer.

Never invents an x, y: without positions they are NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import BURST
from hostkit.core.locate import Locator, grid_axes
from hostkit.core.zones import cell_shares
from hostkit.model import Rings, Site

MIN_ANCHORS = 3
CELL_M = 1.0
# Share of scans sent from inside a shop: few stay long, many pass quickly. Divides the map's prior.
INSIDE_SHARE = 0.8
# P(a frame on the right channel is decoded) as far as the map cannot explain it. With 1, silence says too much: in
# simulated shops P(inside) had a log loss of 0.52 against 0.39 with this value.
AUDIBLE_P = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Columns over M scans: position (m, NaN: none), P(inside the shop), P(zone) (M, zones) and P(no zone)."""

    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    p_inside: NDArray[np.float32]
    p_zone: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Floor:
    anchors: NDArray[np.intp]
    zones: NDArray[np.intp]
    locator: Locator
    zone_prior: NDArray[np.float64]


class PlaceModel:
    """Places scans; which floors can be positioned is decided once, from the site.

    `inside_prior` (inside, outside) and `zone_prior` (zones..., elsewhere) are what `p_inside` and
    `p_zone` of a scan that says nothing would be.
    """

    def __init__(self, site: Site) -> None:
        probes = max(len(site.probes), 1)
        self.dtype = np.dtype([*BURST.descr, ("rssi_dbm", "<f4", (probes,)), ("heard", "<u2", (probes,))])
        self._rings = site.rings
        self._zones = len(site.zones)
        # One transmission is on one of the channels that a probe hops over.
        self._on_channel = np.array([AUDIBLE_P / max(len(probe.channels), 1) for probe in site.probes] or [1.0])
        self._floors = [floor for floor in (_floor(site, f.id) for f in site.floors) if floor is not None]
        self.inside_prior = np.array([INSIDE_SHARE, 1 - INSIDE_SHARE], np.float32)
        self.zone_prior = _zone_prior(self._floors, self._zones)

    @property
    def positions(self) -> bool:
        """Whether any floor has enough probes for positions."""
        return bool(self._floors)

    def rows(
        self, bursts: NDArray[np.void], rssi_dbm: NDArray[np.float32], heard: NDArray[np.uint16]
    ) -> NDArray[np.void]:
        """Bursts (M,), mean RSSI and frames heard (M, probes) as one array of `dtype` (M,)."""
        rows = np.empty(len(bursts), self.dtype)
        for name in BURST.names or ():
            rows[name] = bursts[name]
        rows["rssi_dbm"], rows["heard"] = rssi_dbm, heard
        return rows

    def place(self, rssi_dbm: NDArray[np.float32], heard: NDArray[np.uint16]) -> Places:
        """Scans' mean RSSI (M, probes; NaN: not heard) and frames heard (M, probes) → places."""
        count = len(rssi_dbm)
        places = Places(
            x_m=np.full(count, np.nan),
            y_m=np.full(count, np.nan),
            p_inside=ring_inside(np.fmax.reduce(rssi_dbm, axis=1, initial=-128), self._rings),
            p_zone=np.zeros((count, self._zones), np.float32),
        )
        loudest = np.argmax(np.where(np.isnan(rssi_dbm), -np.inf, rssi_dbm), axis=1)
        listened_p = 1 - (1 - self._on_channel) ** heard.max(axis=1, initial=1)[:, None]
        for floor in self._floors:
            here = np.flatnonzero(np.isin(loudest, floor.anchors))
            at = np.ix_(here, floor.anchors)
            fixes = floor.locator.fixes(rssi_dbm[at], listened_p[at], heard[at])
            fixed = fixes.n_probes >= MIN_ANCHORS
            places.x_m[here] = np.where(fixed, fixes.x_m, np.nan)
            places.y_m[here] = np.where(fixed, fixes.y_m, np.nan)
            places.p_inside[here] = fixes.p_interior
            places.p_zone[np.ix_(here, floor.zones)] = fixes.p_zone
        return places


def ring_inside(rssi_dbm: NDArray[np.float32], rings: Rings) -> NDArray[np.float32]:
    """P(inside) from RSSI (dBm): logistic around the inner ring's edge, as wide as its hysteresis."""
    p: NDArray[np.float32] = 1 / (1 + np.exp((rings.inside_dbm - rssi_dbm) / rings.hysteresis_db))
    return p


def _floor(site: Site, floor_id: str) -> _Floor | None:
    """Make the map of one floor, or None where it has too few probes."""
    anchors = [i for i, p in enumerate(site.probes) if p.floor == floor_id and p.position_m is not None]
    if len(anchors) < MIN_ANCHORS:
        return None
    zones = [i for i, zone in enumerate(site.zones) if zone.floor == floor_id]
    floor = next(floor for floor in site.floors if floor.id == floor_id)
    x_m, y_m = grid_axes(floor, CELL_M)
    inside = cell_shares(x_m, y_m, CELL_M, floor.interior_m)
    parts = ((inside, INSIDE_SHARE), (1 - inside, 1 - INSIDE_SHARE))
    weight = np.sum([part / part.sum() * share for part, share in parts if part.any()], axis=0)  # all may be inside
    locator = Locator(
        [site.probes[i].position_m or () for i in anchors],
        floor,
        [site.zones[i] for i in zones],
        site.path_loss,
        offsets_db=[site.probes[i].offset_db for i in anchors],
        floors_dbm=[site.probes[i].floor_dbm for i in anchors],
        cell_m=CELL_M,
        prior=weight,
    )
    prior = np.array([(cell_shares(x_m, y_m, CELL_M, site.zones[i].polygon_m) * weight).sum() for i in zones])
    return _Floor(anchors=np.array(anchors, np.intp), zones=np.array(zones, np.intp), locator=locator, zone_prior=prior)


def _zone_prior(floors: list[_Floor], zones: int) -> NDArray[np.float32]:
    """Prior of each zone and of elsewhere, floors weighing alike; none is taken as less than a thousandth."""
    prior = np.zeros(zones + 1)
    for floor in floors:
        prior[floor.zones] = floor.zone_prior / len(floors)
    prior[-1] = 1 - prior.sum()
    prior = np.maximum(prior, 1e-3)
    return np.asarray(prior / prior.sum(), np.float32)
