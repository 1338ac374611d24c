"""A reference phone or tag at measured distances from each probe → level at 1 m, exponent and offsets of site.toml."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate import MIN_SPAN, robust_rms
from hostkit.core.calibrate_distance import DistanceFit, fit_distances
from hostkit.core.calibrate_mixed import Floats, Ints
from hostkit.core.ranging import expected_rssi
from hostkit.errors import InputError
from hostkit.field.readings import LOUDEST_DBM, WEAKEST_DBM, check_one_device, check_range
from hostkit.field.trial import Check, Held, Need, Note, ProbeRow, Trial
from hostkit.field.walk import BOUNDS, exponent_check, exponent_is_odd
from hostkit.hub.adjust import changes_of
from hostkit.io.csvtable import MAYBE, Kind, read_table
from hostkit.model import Site

LEAST_DISTANCES = 2  # near and far: the two-point fit; more are a walk away from the probe
LEAST_FRAMES = 20  # of one stand: a body and a hand move the level by some dB
FARTHEST_M = 200.0
ERROR_DB = 6.0  # of a held-out stand: half a body's shadow
SURE_DB = 6.0  # half the 90 % interval of a probe's level at 1 m


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """Stands (S,): probe of the site, distance in m, and what was heard there in the first and second half.

    rssi_dbm (S, 2): mean of each half; frames (S,).
    """

    probe: Ints
    distance_m: Floats
    rssi_dbm: Floats
    frames: Ints
    source: str

    @property
    def mean_dbm(self) -> Floats:
        """Mean RSSI of each stand (S,)."""
        return np.asarray(self.rssi_dbm.mean(axis=1), np.float64)


def read_stands(path: Path, site: Site) -> tuple[Stands, tuple[str, ...]]:
    """Read `time_s,anchor,rssi_dbm,distance_m[,device]`, and remarks on what is ignored. InputError names the line."""
    needed: dict[str, Kind] = {"time_s": float, "anchor": str, "rssi_dbm": MAYBE, "distance_m": float}
    table = read_table(path, needed, {"device": str})
    check_one_device(table)
    rssi, distance = table.floats("rssi_dbm"), table.floats("distance_m")
    check_range(table, "rssi_dbm", rssi, (WEAKEST_DBM, LOUDEST_DBM), "leave out rows of readings that were missed")
    check_range(table, "distance_m", distance, (0.1, FARTHEST_M), "give metres from the probe to the phone")
    names = [probe.id for probe in site.probes]
    index = np.array([names.index(str(one)) if str(one) in names else -1 for one in table.names("anchor")], np.int64)
    known = index >= 0
    heard = known & np.isfinite(rssi)
    if not heard.any():
        raise InputError("no reading of a known probe", where=str(path), next_step=f"the site has {', '.join(names)}")
    remarks: tuple[str, ...] = ()
    if not known.all():
        first = ascii(str(table.names("anchor")[int(np.argmin(known))])[:40])
        remarks = (f"{path}: {(~known).sum()} readings of unknown probes, first {first}; they are ignored",)
    order = np.argsort(table.floats("time_s")[heard], kind="stable")
    return stands_of(index[heard][order], distance[heard][order], rssi[heard][order], str(path)), remarks


def stands_of(probe: Ints, distance_m: Floats, rssi_dbm: Floats, source: str) -> Stands:
    """Gather readings (N,), in order of time, into stands: one for each probe and tenth of a metre."""
    key = np.column_stack((probe, np.round(distance_m, 1)))
    stand, at, count = np.unique(key, axis=0, return_inverse=True, return_counts=True)
    at = at.ravel()
    rank = np.empty(len(at), np.int64)
    for one in range(len(stand)):
        rank[at == one] = np.arange(count[one])
    late = rank >= count[at] / 2
    halves = np.column_stack([_means(at[part], rssi_dbm[part], len(stand)) for part in (~late, late)])
    halves = np.where(np.isnan(halves), halves[:, ::-1], halves)
    return Stands(
        probe=stand[:, 0].astype(np.int64),
        distance_m=np.asarray(stand[:, 1], np.float64),
        rssi_dbm=halves,
        frames=count,
        source=source,
    )


def link_trial(site: Site, stands: Stands, *, phone: bool) -> Trial:
    """Try the stands. `phone` false: of a tag, whose own level says nothing of phones and is not taken."""
    needs = _needs(site, stands)
    if not all(need.met for need in needs):
        return Trial(kind="link", unit="dB", source=stands.source, needs=needs)
    probes, mean = np.unique(stands.probe), stands.mean_dbm
    local = np.searchsorted(probes, stands.probe)
    own = fit_distances(local, stands.distance_m, mean, len(probes))
    shared = fit_distances(local, stands.distance_m, mean, len(probes), own_exponents=False)
    held = _held(site, stands, local, len(probes), phone=phone)
    rows = _rows(site, probes, stands, (own, shared))
    sure = max((one.high or 0.0) - (one.low or 0.0) for one in own.rssi_1m_dbm) / 2
    return Trial(
        kind="link",
        unit="dB",
        source=stands.source,
        needs=needs,
        held=held,
        checks=(
            Check(word="error_db", value=held.after, limit=ERROR_DB, unit="dB"),
            exponent_check(shared.common_exponent),
            Check(word="level_sure", value=sure, limit=SURE_DB, unit="dB"),
        ),
        changes=changes_of(site, _values(site, probes, shared, phone=phone)),
        columns=("rssi_1m", "exponent", "offset"),
        rows=rows,
        weak=_weak(site, probes, rows, stands),
    )


def _means(at: NDArray[np.int64], value: Floats, count: int) -> Floats:
    number = np.bincount(at, minlength=count)
    return np.where(number > 0, np.bincount(at, value, count) / np.maximum(number, 1), np.nan)


def _needs(site: Site, stands: Stands) -> tuple[Need, ...]:
    needs: list[Need] = []
    for probe in np.unique(stands.probe).tolist():
        mine = stands.probe == probe
        enough = mine & (stands.frames >= LEAST_FRAMES)
        apart = stands.distance_m[enough]
        wide = len(apart) and apart.max() / apart.min() >= MIN_SPAN
        name = site.probes[probe].id
        needs.append(Need(word="frames", have=int(stands.frames[mine].max()), least=LEAST_FRAMES, of=name))
        needs.append(
            Need(word="distances", have=len(apart) if wide else min(1, len(apart)), least=LEAST_DISTANCES, of=name)
        )
    return tuple(needs) or (Need(word="distances", have=0, least=LEAST_DISTANCES),)


def _held(site: Site, stands: Stands, local: Ints, probes: int, *, phone: bool) -> Held:
    """RMS of held-out stands: each by turns where every probe has three or more, else the second halves."""
    whole = np.bincount(local).min() > LEAST_DISTANCES
    said = np.array([probe.offset_db for probe in site.probes], np.float64)[stands.probe]
    said += expected_rssi(stands.distance_m, site.path_loss)
    if not whole:
        train, test = stands.rssi_dbm.T
        after = test - _predicted(local, stands.distance_m, train, np.ones(len(test), bool), probes)
        guess = test - _means(local, train, probes)[local]
        shift = 0.0 if phone else float((train - said).mean())
        return Held(before=robust_rms(test - said - shift), after=robust_rms(after), naive=robust_rms(guess))
    errors = []
    for out in range(len(local)):
        kept, mean = np.arange(len(local)) != out, stands.mean_dbm
        predicted = _predicted(local, stands.distance_m, mean, kept, probes)[out]
        shift = 0.0 if phone else float((mean - said)[kept].mean())
        naive = mean[kept & (local == local[out])].mean()
        errors.append((mean[out] - said[out] - shift, mean[out] - predicted, mean[out] - naive))
    before, after, guess = np.array(errors).T
    return Held(before=robust_rms(before), after=robust_rms(after), naive=robust_rms(guess))


def _predicted(local: Ints, distance_m: Floats, rssi: Floats, kept: NDArray[np.bool_], probes: int) -> Floats:
    """What site.toml could say after a fit to the stands kept: one exponent for all."""
    fit = fit_distances(local[kept], distance_m[kept], rssi[kept], probes, own_exponents=False)
    return fit.expected_dbm(local, distance_m)


def _values(site: Site, probes: Ints, fit: DistanceFit, *, phone: bool) -> dict[str, float]:
    """What a fit makes of site.toml's numbers. Where the level stays, the offsets take up what it may not."""
    level = np.array([one.value for one in fit.rssi_1m_dbm], np.float64)
    values = {"path_loss.exponent": fit.common_exponent}
    if not phone:
        reference = fit.common_rssi_1m_dbm - float(np.mean([site.probes[at].offset_db for at in probes.tolist()]))
    elif len(probes) < len(site.probes):
        reference = site.path_loss.rssi_1m_dbm
    else:
        reference = values["path_loss.rssi_1m_dbm"] = fit.common_rssi_1m_dbm
    for probe, one in zip(probes.tolist(), level.tolist(), strict=True):
        values[f"probes.{site.probes[probe].id}.offset_db"] = one - reference
    return {key: float(np.clip(value, *BOUNDS[key.rpartition(".")[2]])) for key, value in values.items()}


def _rows(site: Site, probes: Ints, stands: Stands, fits: tuple[DistanceFit, DistanceFit]) -> tuple[ProbeRow, ...]:
    """Level and exponent of each probe by itself, and its offset with one exponent for all."""
    (fit, shared), rows = fits, []
    for at, probe in enumerate(probes.tolist()):
        level, exponent = fit.rssi_1m_dbm[at].value, fit.exponent[at].value
        assert level is not None
        assert exponent is not None
        name, odd = site.probes[probe].id, exponent_is_odd(fit.exponent[at])
        weak = Note(word="probe_odd", values=(name, f"{exponent:.1f}")) if odd else None
        figures = (level, exponent, (shared.rssi_1m_dbm[at].value or 0.0) - shared.common_rssi_1m_dbm)
        readings = int(stands.frames[stands.probe == probe].sum())
        rows.append(ProbeRow(name=name, figures=figures, readings=readings, weak=weak))
    return tuple(rows)


def _weak(site: Site, probes: Ints, rows: tuple[ProbeRow, ...], stands: Stands) -> tuple[Note, ...]:
    notes = [row.weak for row in rows if row.weak is not None]
    missing = [one.id for at, one in enumerate(site.probes) if at not in probes]
    if missing:
        notes.append(Note(word="not_measured", values=(", ".join(missing),)))
    if np.bincount(stands.probe)[probes].min() <= LEAST_DISTANCES:
        notes.append(Note(word="two_points"))
    return tuple(notes)
