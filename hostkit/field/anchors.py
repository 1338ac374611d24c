"""Probes hear each other → offsets and exponent of site.toml. Nobody walks; no phone is in it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.calibrate import robust_rms
from hostkit.core.calibrate_links import MIN_PAIRS, LinkFit, fit_links
from hostkit.core.calibrate_mixed import Floats, Ints
from hostkit.core.ranging import MIN_DISTANCE_M
from hostkit.errors import InputError
from hostkit.field import exchanged
from hostkit.field.ground import Ground
from hostkit.field.readings import LOUDEST_DBM, WEAKEST_DBM, check_range
from hostkit.field.trial import Check, Held, Need, Note, ProbeRow, Trial
from hostkit.field.walk import BOUNDS, exponent_check
from hostkit.hub.adjust import changes_of
from hostkit.io.anchorlinks import LinksRecord
from hostkit.io.csvtable import read_table
from hostkit.model import Site

LEAST_FRAMES = 5  # of one link: fewer are chance
LEAST_LINKS = 2  # of one probe, as sender or receiver
PARTS = 5
ERROR_DB = 8.0  # of a held-out link: links are shadowed by 4 to 10 dB (ITU-R P.1238)
SIGMA_DB = 10.0  # about the law, each link alone; a phone's, near the floor and on the move, is another: it is not set


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Links (L,) between probes of the ground: sender, receiver, mean or median RSSI; `probes` sent or were heard."""

    sender: Ints
    receiver: Ints
    rssi_dbm: Floats
    frames: Ints
    source: str


def links_of_record(ground: Ground, night: LinksRecord) -> Links:
    """Take a night's record; what is of other floors or of probes gone since is left out."""
    at = {name: index for index, name in enumerate(ground.names)}
    rows = [one for one in night.links if one.sender in at and one.receiver in at and one.n >= LEAST_FRAMES]
    return Links(
        sender=np.array([at[one.sender] for one in rows], np.int64),
        receiver=np.array([at[one.receiver] for one in rows], np.int64),
        rssi_dbm=np.array([one.median_dbm for one in rows], np.float64),
        frames=np.array([one.n for one in rows], np.int64),
        source=f"night of {night.day}",
    )


def read_links_table(path: Path, ground: Ground) -> tuple[Links, tuple[str, ...]]:
    """Read `sender,receiver,rssi_dbm`, a row a frame, and remarks on what was left out. InputError names the line."""
    table = read_table(path, {"sender": str, "receiver": str, "rssi_dbm": float})
    check_range(table, "rssi_dbm", table.floats("rssi_dbm"), (WEAKEST_DBM, LOUDEST_DBM), "give dBm")
    at = {name: index for index, name in enumerate(ground.names)}
    ends = [np.array([at.get(str(one), -1) for one in table.names(name)], np.int64) for name in ("sender", "receiver")]
    known = (ends[0] >= 0) & (ends[1] >= 0) & (ends[0] != ends[1])
    if not known.any():
        step = f"the floor has {', '.join(ground.names)}"
        raise InputError("no link between probes of this floor", where=str(path), next_step=step)
    remarks: tuple[str, ...] = ()
    if not known.all():
        row = int(np.argmin(known))
        names = ascii(f"{table.names('sender')[row]} to {table.names('receiver')[row]}"[:80])
        remarks = (f"{path}: {(~known).sum()} readings of unknown probes, first {names}; they are ignored",)
    pairs = np.column_stack(ends)[known]
    link, where, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    mean = np.bincount(where.ravel(), table.floats("rssi_dbm")[known]) / count
    kept = count >= LEAST_FRAMES
    links = Links(
        sender=link[kept, 0], receiver=link[kept, 1], rssi_dbm=mean[kept], frames=count[kept], source=str(path)
    )
    return links, remarks


def anchors_trial(site: Site, ground: Ground, links: Links) -> Trial:
    """Try the links. The level at 1 m stays: it is a phone's, and no phone was heard."""
    needs = _needs(ground, links)
    if not all(need.met for need in needs):
        return Trial(kind="anchors", unit="dB", source=links.source, needs=needs)
    exchanged.check_links(ground, (links.sender, links.receiver), links.rssi_dbm, links.source)
    free = links.rssi_dbm + _walls_db(ground, links)
    fit = fit_links(ground.places_m, links.sender, links.receiver, free)
    assert fit.exponent.value is not None
    held = _held(site, ground, links, free)
    rows = _rows(ground, links, fit)
    return Trial(
        kind="anchors",
        unit="dB",
        source=links.source,
        needs=needs,
        held=held,
        checks=(
            Check(word="error_db", value=held.after, limit=ERROR_DB, unit="dB"),
            Check(word="noise", value=fit.sigma_db, limit=SIGMA_DB, unit="dB"),
            exponent_check(fit.exponent.value),
            Check(
                word="probes_ready", value=sum(row.weak is None for row in rows), limit=len(rows), unit="", most=False
            ),
        ),
        changes=changes_of(site, _values(site, ground, fit)),
        columns=("offset", "sends"),
        rows=rows,
        weak=tuple(row.weak for row in rows if row.weak is not None),
    )


def _needs(ground: Ground, links: Links) -> tuple[Need, ...]:
    pairs = {frozenset(pair) for pair in zip(links.sender.tolist(), links.receiver.tolist(), strict=True)}
    possible = len(ground.names) * (len(ground.names) - 1) // 2
    return (Need(word="pairs", have=len(pairs), least=max(MIN_PAIRS, possible // 2)),)


def _walls_db(ground: Ground, links: Links) -> Floats:
    losses = ground.losses_db(ground.places_m[:, :2])
    return np.asarray(losses[links.sender, links.receiver], np.float64)


def _decades(ground: Ground, links: Links) -> Floats:
    apart = np.linalg.norm(ground.places_m[links.sender] - ground.places_m[links.receiver], axis=1)
    return np.asarray(np.log10(np.maximum(apart, MIN_DISTANCE_M)), np.float64)


def _held(site: Site, ground: Ground, links: Links, free: Floats) -> Held:
    """RMS of links whose pair was left out, five parts of the pairs by turns.

    site.toml says nothing of how strong a probe sends: that is taken from the links kept, before and after.
    """
    offset = np.array([site.probes[at].offset_db for at in ground.probes.tolist()], np.float64)
    decades = _decades(ground, links)
    said = offset[links.receiver] - 10.0 * site.path_loss.exponent * decades
    pair = np.unique(np.sort(np.column_stack((links.sender, links.receiver)), axis=1), axis=0, return_inverse=True)[1]
    part = pair.ravel() % PARTS
    error = np.full((3, len(free)), np.nan)
    for one in np.unique(part).tolist():
        out = part == one
        fit = _fit_kept(ground, links, free, ~out)
        if fit is None:
            continue
        error[0, out] = (free - said - _sent(links.sender, free - said, ~out, len(ground.names)))[out]
        lean = free - _lean(fit, links, decades, _exponent(site, fit))
        error[1, out] = (lean - lean[~out].mean())[out]
        error[2, out] = free[out] - free[~out].mean()
    known = np.isfinite(error[1])
    if not known.any():
        step = "let all probes send beacons for a night"
        raise InputError("too few pairs to leave any out", where=links.source, next_step=step)
    before, after, naive = (robust_rms(row[known]) for row in error)
    return Held(before=before, after=after, naive=naive)


def _fit_kept(ground: Ground, links: Links, free: Floats, kept: NDArray[np.bool_]) -> LinkFit | None:
    try:
        return fit_links(ground.places_m, links.sender[kept], links.receiver[kept], free[kept])
    except InputError:
        return None


def _sent(sender: Ints, level: Floats, kept: NDArray[np.bool_], probes: int) -> Floats:
    """Each link's sender's mean level of the links kept (L,), drawn to all senders' by one link's weight."""
    common = float(level[kept].mean())
    count = np.bincount(sender[kept], minlength=probes)
    total = np.bincount(sender[kept], level[kept], probes)
    return np.asarray(((total + common) / (count + 1.0))[sender], np.float64)


def _lean(fit: LinkFit, links: Links, decades: Floats, exponent: float) -> Floats:
    """What a fit expects of links (L,), but for the level."""
    sends, hears = (np.array([one.value for one in part], np.float64) for part in (fit.transmit_db, fit.receive_db))
    return np.asarray(sends[links.sender] + hears[links.receiver] - 10.0 * exponent * decades, np.float64)


def _exponent(site: Site, fit: LinkFit) -> float:
    """The exponent to go on with: probes under a ceiling see each other, so that only a clear difference counts."""
    found, now = fit.exponent, site.path_loss.exponent
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    return now if found.low <= now <= found.high else found.value


def _values(site: Site, ground: Ground, fit: LinkFit) -> dict[str, float]:
    values = {"path_loss.exponent": _exponent(site, fit)}
    for name, one, heard in zip(ground.names, fit.receive_db, fit.heard, strict=True):
        if heard:
            values[f"probes.{name}.offset_db"] = float(one.value or 0.0)
    return {key: float(np.clip(value, *BOUNDS[key.rpartition(".")[2]])) for key, value in values.items()}


def _rows(ground: Ground, links: Links, fit: LinkFit) -> tuple[ProbeRow, ...]:
    frames: Counter[int] = Counter()
    for at, count in zip(links.receiver.tolist(), links.frames.tolist(), strict=True):
        frames[at] += count
    rows = []
    for at, name in enumerate(ground.names):
        weak = Note(word="probe_links", values=(name, str(fit.heard[at]))) if fit.heard[at] < LEAST_LINKS else None
        figures = tuple(float(one.value or 0.0) for one in (fit.receive_db[at], fit.transmit_db[at]))
        rows.append(ProbeRow(name=name, figures=figures, readings=frames[at], weak=weak))
    return tuple(rows)


def newest(ground: Ground, nights: Sequence[LinksRecord]) -> tuple[Links, LinksRecord]:
    """Give the newest night with links between probes of this floor; InputError where there is none."""
    for night in reversed(nights):
        links = links_of_record(ground, night)
        if len(links.sender):
            return links, night
    raise InputError(
        "no night in which probes heard each other",
        where="calibration/",
        next_step="leave hub and probes running over night, or command calibrate-start with kind anchors",
    )
