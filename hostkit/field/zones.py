"""In and out of zones with a phone: levels and hysteresis of the rings, or how sharp positions are, tried held out.

With three or more placed probes zones follow from positions, and what can be wrong is `path_loss.sigma_db`: too small
and the hub is sure of the wrong zone. With fewer, the rings' levels tell inside, near and far.

What is tried is judged by half the Brier score: the share of the time given to a wrong zone alone is least where the
hub is as sure as can be, and so chosen zones of simulated shoppers got worse (tests/accuracy/test_zones.py). Positions
have no hysteresis to choose: the hub weighs scans with those before and after (core.visits), which in those shops
leaves fewer scans in a wrong zone than a share by which another zone must lead, whatever that share.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate_mixed import Floats, Ints
from hostkit.core.places import PlaceModel, ring_inside
from hostkit.errors import InputError
from hostkit.field.readings import Windows, check_one_device, read_readings, windows_of
from hostkit.field.trial import Check, Held, Need, Note, ProbeRow, Trial
from hostkit.hub.adjust import changes_of
from hostkit.io.csvtable import read_table
from hostkit.model import Rings, Site, ZoneKind

OUTSIDE = "outside"  # in no zone
LEAST_ROUNDS = 2  # times in a zone: one is held out
LEAST_WINDOWS = 5  # in a zone
WINDOW_S = 10.0  # about as long as a phone's scans are apart in a hand
SIGMAS_DB = (3.0, 4.0, 5.0, 6.0, 7.0, 8.5, 10.0, 12.0, 15.0)
HYSTERESES_DB = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
WRONG = 0.5  # share of the time said of another zone
CLEAR_SD = 1.64  # a hand holds a phone quieter than a pocket: a change within chance made shoppers' zones worse
NEAR_KINDS = frozenset({ZoneKind.STREET, ZoneKind.WINDOW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """Windows in order of time: mean RSSI (W, probes of the site), frames (W, probes), zone (W,), round (W,).

    A zone is its index in the site, or the number of zones: outside of all. A round ends when the zone changes.
    """

    rssi_dbm: Floats
    frames: NDArray[np.int64]
    zone: Ints
    round: Ints
    source: str


def read_rounds(path: Path, site: Site) -> tuple[Rounds, tuple[str, ...]]:
    """Read `time_s,anchor,rssi_dbm,zone[,device]`, a zone being an id or `outside`. InputError names the line."""
    table = read_table(path, {"time_s": float, "zone": str}, {"device": str})
    check_one_device(table)
    known = [*(zone.id for zone in site.zones), OUTSIDE]
    names, code = table.codes("zone")
    for at, name in enumerate(names):
        if name not in known:
            step = f"give one of {', '.join(known)}"
            raise InputError(
                f"there is no zone {name[:40]!a}", where=table.where(int(np.argmax(code == at))), next_step=step
            )
    readings, remarks = read_readings(path, tuple(probe.id for probe in site.probes), with_place=False)
    windows = windows_of(readings, len(site.probes), WINDOW_S)
    times = table.floats("time_s")
    order = np.argsort(times, kind="stable")
    nearest = order[np.clip(np.searchsorted(times[order], windows.time_s), 0, len(order) - 1)]
    zone = np.array([known.index(name) for name in names], np.int64)[code][nearest]
    return rounds_of(windows, zone, str(path)), remarks


def rounds_of(windows: Windows, zone: Ints, source: str) -> Rounds:
    """Cut windows with their true zone (W,) into rounds."""
    changes = np.flatnonzero(np.diff(zone, prepend=-1))
    number = np.zeros(len(zone), np.int64)
    number[changes] = 1
    return Rounds(
        rssi_dbm=windows.rssi_dbm, frames=windows.frames, zone=zone, round=np.cumsum(number) - 1, source=source
    )


def zones_trial(site: Site, rounds: Rounds) -> Trial:
    """Try rounds of zones."""
    needs = _needs(site, rounds)
    if not all(need.met for need in needs):
        return Trial(kind="zones", unit="wrong", source=rounds.source, needs=needs)
    positions = PlaceModel(site).positions
    labels = rounds.zone if positions else _side(site, rounds)
    chosen, held, wrong = _choice(site, rounds, labels, positions=positions)
    said = np.asarray(_probabilities(chosen or site, rounds, positions=positions).argmax(axis=1), np.int64)
    confusion = _confusion(labels, said)
    rows, weak = _rows(_names(site) if positions else ("inside", OUTSIDE), confusion)
    silent = [probe.id for probe, frames in zip(site.probes, rounds.frames.sum(axis=0), strict=True) if not frames]
    weak = (*(Note(word="probe_silent", values=(name, str(len(labels)))) for name in silent), *weak)
    weak += (Note(word="no_threshold"),) if positions else ()
    weak += () if chosen else (Note(word="chance"),)
    guess = 1.0 - float(np.bincount(labels).max() / len(labels))
    return Trial(
        kind="zones",
        unit="wrong",
        source=rounds.source,
        needs=needs,
        held=held,
        checks=(Check(word="wrong", value=wrong, limit=min(WRONG, guess), unit="wrong"),),
        changes=changes_of(site, _values(chosen or site, positions=positions)),
        columns=("right",),
        rows=rows,
        weak=weak,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def _choice(site: Site, rounds: Rounds, labels: Ints, *, positions: bool) -> tuple[Site | None, Held, float]:
    """Give the site to go on with, None where a better one may be chance; scores; the share in the wrong zone."""
    candidates = (site, *(_sigmas(site) if positions else _ringed(site, rounds)))
    tried = [_tried(_probabilities(one, rounds, positions=positions), labels) for one in candidates]
    score, wrong = (np.column_stack(columns) for columns in zip(*tried, strict=True))
    fold, row = _fold(rounds), np.arange(len(labels))
    picked = np.array([score[fold != at].mean(axis=0).argmin() for at in (0, 1)])[fold]
    before, after = score[:, 0], score[row, picked]
    share = np.bincount(labels) / len(labels)
    held = Held(before=float(before.mean()), after=float(after.mean()), naive=float(1.0 - share @ share) / 2)
    best = int(score.mean(axis=0).argmin())
    if best == 0 or _clearly_less(after, before, rounds):
        return candidates[best], held, float(wrong[row, picked if best else 0].mean())
    return None, held, float(wrong[:, 0].mean())


def _names(site: Site) -> tuple[str, ...]:
    return (*(zone.id for zone in site.zones), OUTSIDE)


def _needs(site: Site, rounds: Rounds) -> tuple[Need, ...]:
    names, needs = _names(site), []
    for zone in np.unique(rounds.zone).tolist():
        mine = rounds.zone == zone
        needs.append(Need(word="rounds", have=len(np.unique(rounds.round[mine])), least=LEAST_ROUNDS, of=names[zone]))
        needs.append(Need(word="windows", have=int(mine.sum()), least=LEAST_WINDOWS, of=names[zone]))
    return (Need(word="zones", have=len(np.unique(rounds.zone)), least=2), *needs)


def _fold(rounds: Rounds) -> Ints:
    """Every zone's rounds by turns to one half and the other (W,)."""
    fold = np.zeros(len(rounds.zone), np.int64)
    for zone in np.unique(rounds.zone):
        mine = rounds.zone == zone
        fold[mine] = np.unique(rounds.round[mine], return_inverse=True)[1] % 2
    return fold


def _sigmas(site: Site) -> tuple[Site, ...]:
    return tuple(replace(site, path_loss=replace(site.path_loss, sigma_db=sigma)) for sigma in SIGMAS_DB)


def _ringed(site: Site, rounds: Rounds) -> tuple[Site, ...]:
    """The site with every pair of inner level and hysteresis that site.toml allows; the outer ring stays as far off."""
    loudest = np.nanmax(rounds.rssi_dbm, axis=1)
    levels = np.arange(np.floor(np.nanmin(loudest)), np.ceil(np.nanmax(loudest)) + 1.0)
    sites = []
    for inside_dbm in levels.tolist():
        for hysteresis in HYSTERESES_DB:
            near = min(inside_dbm - (site.rings.inside_dbm - site.rings.near_dbm), inside_dbm - 2 * hysteresis - 1.0)
            rings = Rings(inside_dbm=inside_dbm, near_dbm=max(near, -119.0), hysteresis_db=hysteresis)
            sites.append(replace(site, rings=rings))
    return tuple(sites)


def _tried(p: Floats, labels: Ints) -> tuple[Floats, Floats]:
    """Half the Brier score of each window (W,), and the share of it that goes to another zone or side."""
    true = np.eye(p.shape[1])[labels]
    return 0.5 * ((p - true) ** 2).sum(axis=1), 1.0 - (p * true).sum(axis=1)


def _clearly_less(one: Floats, other: Floats, rounds: Rounds) -> bool:
    """Whether scores (W,) are less than others, beyond what rounds differ by chance (one-sided, 5 %)."""
    number = np.unique(rounds.round, return_inverse=True)[1]
    less = np.bincount(number, other - one) / np.bincount(number)
    return bool(less.mean() > CLEAR_SD * less.std(ddof=1) / np.sqrt(len(less)))


def _probabilities(site: Site, rounds: Rounds, *, positions: bool) -> Floats:
    """P(zone) (W, zones and outside), or P(inside), P(outside) (W, 2)."""
    if not positions:
        p_inside = ring_inside(np.nanmax(rounds.rssi_dbm, axis=1).astype(np.float32), site.rings).astype(np.float64)
        return np.column_stack((p_inside, 1.0 - p_inside))
    heard = np.minimum(rounds.frames, 1000).astype(np.uint16)
    p_zone = PlaceModel(site).place(rounds.rssi_dbm.astype(np.float32), heard).p_zone.astype(np.float64)
    return np.column_stack((p_zone, np.clip(1.0 - p_zone.sum(axis=1), 0.0, 1.0)))


def _side(site: Site, rounds: Rounds) -> Ints:
    """0 for windows in a zone inside the shop, 1 for those before it or outside of all zones (W,)."""
    out = np.array([*(zone.kind in NEAR_KINDS for zone in site.zones), True], np.int64)
    return np.asarray(out[rounds.zone], np.int64)


def _confusion(labels: Ints, said: Ints) -> Ints:
    size = int(max(labels.max(), said.max())) + 1
    return np.bincount(labels * size + said, minlength=size * size).reshape(size, size)


def _rows(names: tuple[str, ...], confusion: Ints) -> tuple[tuple[ProbeRow, ...], tuple[Note, ...]]:
    rows, weak = [], []
    for at, (name, row) in enumerate(zip(names, confusion, strict=False)):
        total = int(row.sum())
        right = float(row[at] / total) if total else float("nan")
        note = None
        if total and right < 0.5:
            other = names[int(np.argmax(np.where(np.arange(len(row)) == at, -1, row)))]
            note = Note(word="zone_mixed", values=(name, other, f"{right:.0%}"))
            weak.append(note)
        rows.append(ProbeRow(name=name, figures=(right,), readings=total, weak=note))
    return tuple(rows), tuple(weak)


def _values(site: Site, *, positions: bool) -> dict[str, float]:
    if positions:
        return {"path_loss.sigma_db": site.path_loss.sigma_db}
    rings = site.rings
    return {
        "rings.inside_dbm": rings.inside_dbm,
        "rings.near_dbm": rings.near_dbm,
        "rings.hysteresis_db": rings.hysteresis_db,
    }
