"""What a burst says about place: positions with three or more probes on a floor, RSSI rings with fewer.

Never invents an x, y: without positions they are NaN.
"""

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import BURST
from hostkit.core.locate import Locator
from hostkit.model import Rings, Site

MIN_ANCHORS = 3
# Probability that a hopping probe listens on the channel of at least one frame of a burst.
LISTENED_P = 0.9


class PlaceModel:
    """Adds place columns to bursts; which floors can be positioned is decided once, from the site."""

    def __init__(self, site: Site) -> None:
        self.dtype = np.dtype(
            [
                *BURST.descr,
                ("x_m", "<f4"),
                ("y_m", "<f4"),
                ("rssi_dbm", "<f4"),  # of the probe that heard it loudest
                ("p_inside", "<f4"),
                ("p_zone", "<f4", (len(site.zones),)),
            ]
        )
        self._rings = site.rings
        self._floors: list[tuple[NDArray[np.intp], NDArray[np.intp], Locator]] = []
        for floor in site.floors:
            anchors = [i for i, p in enumerate(site.probes) if p.floor == floor.id and p.position_m is not None]
            if len(anchors) < MIN_ANCHORS:
                continue
            zones = [i for i, zone in enumerate(site.zones) if zone.floor == floor.id]
            locator = Locator(
                np.array([site.probes[i].position_m for i in anchors], float),
                floor,
                tuple(site.zones[i] for i in zones),
                site.path_loss,
                np.array([site.probes[i].offset_db for i in anchors]),
                np.array([site.probes[i].floor_dbm for i in anchors]),
            )
            self._floors.append((np.array(anchors, np.intp), np.array(zones, np.intp), locator))

    @property
    def positions(self) -> bool:
        """Whether any floor has enough probes for positions."""
        return bool(self._floors)

    def place(
        self, bursts: NDArray[np.void], rssi_dbm: NDArray[np.float32], frames: NDArray[np.uint16]
    ) -> NDArray[np.void]:
        """Bursts (M,) with mean RSSI (M, probes; NaN: not heard) over `frames` (M, probes) → rows of `dtype` (M,)."""
        rows = np.zeros(len(bursts), self.dtype)
        for name in BURST.names or ():
            rows[name] = bursts[name]
        rows["x_m"] = rows["y_m"] = np.nan
        rows["rssi_dbm"] = np.fmax.reduce(rssi_dbm, axis=1, initial=-128)
        rows["p_inside"] = ring_inside(rows["rssi_dbm"], self._rings)
        loudest = np.argmax(np.where(np.isnan(rssi_dbm), -np.inf, rssi_dbm), axis=1)
        for anchors, zones, locator in self._floors:
            on_floor = np.flatnonzero(np.isin(loudest, anchors))
            fixes = locator.fixes(
                np.ascontiguousarray(rssi_dbm[np.ix_(on_floor, anchors)]),
                np.full(len(anchors), LISTENED_P, np.float32),
                np.ascontiguousarray(frames[np.ix_(on_floor, anchors)]),
            )
            rows["x_m"][on_floor] = fixes.x_m
            rows["y_m"][on_floor] = fixes.y_m
            rows["p_inside"][on_floor] = fixes.p_interior
            rows["p_zone"][np.ix_(on_floor, zones)] = fixes.p_zone
        return rows


def ring_inside(rssi_dbm: NDArray[np.float32], rings: Rings) -> NDArray[np.float32]:
    """P(inside) from RSSI (dBm): logistic around the inner ring's edge, as wide as its hysteresis."""
    p: NDArray[np.float32] = 1 / (1 + np.exp((rings.inside_dbm - rssi_dbm) / rings.hysteresis_db))
    return p
