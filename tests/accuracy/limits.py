"""What association would reach for somebody who knew more: why it is no better, not a method.

Of crowds of recorded phones: each phone's element sets known to be one model's; and besides, which frames are one scan
and which intervals each phone ever keeps. What is left is twins whose timers and places say the same.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import Tracker
from hostkit.core.heard import SCAN_GAP_S
from hostkit.evaluate.labelled import Labelled
from hostkit.evaluate.scores import score
from tests.oracles_associate import Rules, best_chains, rssi_ratio

OURS, VARIANTS, TIMERS = "footfall", "each model's element sets known", "and true scans and each phone's timers"
FOREVER_US = 1 << 60
BIRTH_PER_S = 1e-9  # of somebody who is sure of the timers
TIMER_S, TIMER_SHARE, OTHER_PER_S = 0.05, 0.002, 1e-5  # how far a timer is off; density of an interval never kept
Three = tuple[float, float, float]  # V, homogeneity, count error


def limits(crowd: Labelled) -> dict[str, Three]:
    """Score ours, and those who know more, by transmissions."""
    seen = np.unique(_transmission(crowd), return_index=True)[1]
    model = np.unique([name.rsplit(" ", 1)[0] for name in crowd.devices], return_inverse=True)[1]
    rows = crowd.sightings.copy()
    rows["fingerprint"] = model[crowd.label]
    by = {OURS: _tracks(crowd.sightings, crowd.probes), VARIANTS: _tracks(rows, crowd.probes)}
    by[TIMERS] = _with_timers(crowd, model)
    return {name: _scored(crowd.label[seen], labels[seen]) for name, labels in by.items()}


def _transmission(crowd: Labelled) -> NDArray[np.void]:
    return np.rec.fromarrays([crowd.sightings[name] for name in ("time_us", "device_key", "sequence")])


def _scored(truth: NDArray[np.int64], labels: NDArray[np.int64]) -> Three:
    of = score(truth, labels)
    return of.v_measure, of.homogeneity, len(np.unique(labels)) / len(np.unique(truth)) - 1


def _tracks(rows: NDArray[np.void], probes: int) -> NDArray[np.int64]:
    tracker = Tracker(probes)
    tracker.feed(rows)
    tracker.advance(FOREVER_US)
    keys, address = np.unique(rows["device_key"], return_inverse=True)
    return np.asarray(tracker.tracks_of(keys)[address], np.int64)


def _with_timers(crowd: Labelled, model: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.empty(len(crowd.label), np.int64)
    used = 0
    for one in np.unique(model):
        mine = np.flatnonzero(model[crowd.label] == one)
        found[mine] = _chains(crowd.where(mine)) + used
        used = int(found[mine].max()) + 1
    return found


def _chains(twins: Labelled) -> NDArray[np.int64]:
    """Link the true scans of phones of one model, each with the density of its own intervals."""
    first_s, last_s, rssi_dbm, owner, of_row = _scans(twins)
    lag_s = first_s[None, :] - first_s[:, None]
    density = np.full(lag_s.shape, OTHER_PER_S)
    for phone in np.unique(owner):
        kept_s = np.diff(first_s[owner == phone])
        width_s = TIMER_S + TIMER_SHARE * lag_s[owner == phone]
        near = abs(lag_s[owner == phone][:, :, None] - kept_s) <= width_s[:, :, None]
        density[owner == phone] += near.sum(axis=2) / (2 * width_s * max(len(kept_s), 1))
    rules = Rules()
    heard = rssi_dbm, np.ones(len(rssi_dbm))
    stay = 0.95 * np.exp(-np.maximum(lag_s, 0) / rules.stay_s)
    gain = np.log(rssi_ratio(heard, heard, stay, rules) * density / BIRTH_PER_S)
    gain[(lag_s <= 0) | (first_s[None, :] <= last_s[:, None])] = -np.inf
    before = best_chains(gain, np.full(len(first_s), -1, np.int32))
    chain = np.arange(len(before))
    for j, i in enumerate(before.tolist()):
        chain[j] = chain[i] if i >= 0 else j
    return np.asarray(np.unique(chain, return_inverse=True)[1][of_row], np.int64)


def _scans(
    of: Labelled,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """First and last time (S,), mean RSSI (S, probes) and phone (S,) of true scans by time; each row's scan (N,)."""
    time_s = of.sightings["time_us"] / 1e6
    order = np.lexsort((time_s, of.label))
    new = (np.diff(of.label[order], prepend=-1) != 0) | (np.diff(time_s[order], prepend=-np.inf) > SCAN_GAP_S)
    starts, number = np.flatnonzero(new), np.cumsum(new) - 1
    first_s, last_s = time_s[order][starts], np.maximum.reduceat(time_s[order], starts)
    cells = number * of.probes + of.sightings["probe"][order]
    count = np.bincount(cells, minlength=len(starts) * of.probes).reshape(-1, of.probes)
    total = np.bincount(cells, of.sightings["rssi_dbm"][order], len(starts) * of.probes).reshape(-1, of.probes)
    rssi_dbm = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    by_time = np.argsort(first_s, kind="stable")
    of_row = np.empty(len(order), np.int64)
    of_row[order] = np.argsort(by_time)[number]
    return first_s[by_time], last_s[by_time], rssi_dbm[by_time], of.label[order][starts][by_time], of_row


def joined(one: Labelled, other: Labelled) -> Labelled:
    """Take two sets of recorded devices as one."""
    return replace(
        one,
        sightings=np.concatenate([one.sightings, other.sightings]),
        label=np.concatenate([one.label, other.label + len(one.devices)]),
        session=np.concatenate([one.session, other.session + one.session.max() + 1]),
        elements=np.concatenate([one.elements, other.elements]),
        devices=one.devices + other.devices,
    )
