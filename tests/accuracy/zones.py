"""Simulated shoppers whose true zone is known at every scan, and the rounds a technician walked in the same shop."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hostkit.core._smooth import smooth
from hostkit.core.places import PlaceModel
from hostkit.core.visits import ZONE_STAY_S
from hostkit.core.zones import inside
from hostkit.field.readings import Windows
from hostkit.field.zones import WINDOW_S, Rounds, rounds_of
from hostkit.model import Site
from hostkit.sim.plan import default_site
from hostkit.sim.survey import surveys
from hostkit.sim.world import SimSettings, Simulation, simulate

PROBES = 4
SCAN_GAP_S, VISIT_GAP_S = 10.0, 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shoppers:
    """Scans (M,) in order of phone and time: RSSI and frames (M, probes), time, visit, true zone (the last: none)."""

    rssi_dbm: NDArray[np.float32]
    frames: NDArray[np.uint16]
    time_s: NDArray[np.float64]
    visit: NDArray[np.int32]
    zone: NDArray[np.intp]


@cache
def shop(seed: int) -> tuple[Site, Shoppers, Rounds]:
    """Give a shop of 150 people for an hour and a half."""
    site = default_site(PROBES)
    world = simulate(SimSettings(site=site, people=150, hours=1.5, seed=seed))
    return site, _shoppers(world), _rounds(world, seed)


def _shoppers(world: Simulation) -> Shoppers:
    sent, heard, site = world.emissions, world.receptions, world.settings.site
    order = np.lexsort((sent["time_s"], sent["phone"]))
    phone, time_s = sent["phone"][order].astype(int), sent["time_s"][order]
    new = np.concatenate([[True], (np.diff(phone) != 0) | (np.diff(time_s) > SCAN_GAP_S)])
    scan = np.empty(len(sent), np.intp)
    scan[order] = np.cumsum(new) - 1
    total, count = np.zeros((new.sum(), len(site.probes))), np.zeros((new.sum(), len(site.probes)), np.uint16)
    at = (scan[heard["emission"]], heard["probe"])
    np.add.at(total, at, heard["rssi_dbm"])
    np.add.at(count, at, 1)
    carried = np.array([one.owner is not None for one in world.phones])
    kept = carried[phone[new]] & (count.sum(axis=1) > 0)
    phone, time_s, first = phone[new][kept], time_s[new][kept], sent[order[new]][kept]
    place = np.column_stack((first["x_m"], first["y_m"])).astype(float)
    zone = np.full(len(place), len(site.zones))
    for index in range(len(site.zones))[::-1]:
        zone[inside(place, site.zones[index].polygon_m)] = index
    visit = np.cumsum(np.concatenate([[True], (np.diff(phone) != 0) | (np.diff(time_s) > VISIT_GAP_S)])) - 1
    with np.errstate(invalid="ignore"):
        rssi = np.where(count > 0, total / count, np.nan).astype(np.float32)
    return Shoppers(
        rssi_dbm=rssi[kept], frames=count[kept], time_s=time_s, visit=visit.astype(np.int32), zone=zone
    )  # fmt: skip


def _rounds(world: Simulation, seed: int) -> Rounds:
    site = world.settings.site
    _, rows = surveys(world.plan, world.ears, seed, 0.0)["zones.csv"]
    window = np.array([float(str(row[0])) // WINDOW_S for row in rows]).astype(int)
    names = [probe.id for probe in site.probes]
    zones = [zone.id for zone in site.zones]
    times, at = np.unique(window, return_inverse=True)
    total, count = np.zeros((len(times), len(names))), np.zeros((len(times), len(names)), np.int64)
    probe = np.array([names.index(str(row[1])) for row in rows])
    np.add.at(total, (at, probe), [float(str(row[2])) for row in rows])
    np.add.at(count, (at, probe), 1)
    true = np.zeros(len(times), np.int64)
    true[at] = [zones.index(str(row[3])) for row in rows]
    with np.errstate(invalid="ignore"):
        rssi = np.where(count > 0, total / count, np.nan)
    windows = Windows(time_s=times * WINDOW_S, rssi_dbm=rssi, frames=count, place_m=None)
    return rounds_of(windows, true, "simulated")


def of_each_scan(site: Site, shoppers: Shoppers) -> NDArray[np.float32]:
    """P(zone) and P(none) of each scan alone (M, zones + 1)."""
    p = PlaceModel(site).place(shoppers.rssi_dbm, shoppers.frames).p_zone
    return np.ascontiguousarray(np.column_stack([p, np.clip(1 - p.sum(axis=1), 0, 1)]), np.float32)


def as_told(site: Site, shoppers: Shoppers) -> NDArray[np.float32]:
    """The same given the whole visit, as the hub tells it."""
    prior = PlaceModel(site).zone_prior
    return np.asarray(
        smooth(of_each_scan(site, shoppers), prior, shoppers.time_s, shoppers.visit, ZONE_STAY_S), np.float32
    )


def with_hysteresis(p: NDArray[np.float32], visit: NDArray[np.int32], lead: float) -> NDArray[np.intp]:
    """The zone of each scan (M,): the one before, until another's share is larger by `lead`."""
    told, now = np.empty(len(p), np.intp), -1
    for row, likeliest in enumerate(p.argmax(axis=1).tolist()):
        begins = row == 0 or visit[row] != visit[row - 1]
        if begins or p[row, likeliest] > p[row, now] + lead:
            now = likeliest
        told[row] = now
    return told
