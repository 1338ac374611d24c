"""Zone stays of one device from readings that people bring, scored against the truth, beside what is usually done."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from hostkit.core.dwell import REACH_SIGMAS, Segmenter
from hostkit.core.follow import DEVICE_HEIGHT_M, LOUDEST_DBM, MIN_CELL_M, MISSED_DBM, Followed, follow
from hostkit.core.zones import ZoneTracker, check_polygon, inside
from hostkit.errors import ConfigError, HostkitError, InputError
from hostkit.evaluate import timeline
from hostkit.evaluate.timeline import NOWHERE, Score, Stay, Timeline
from hostkit.io.csvtable import MAYBE, Table, read_table
from hostkit.model import Polygon, Rings, Thresholds

MAX_ANCHORS, MAX_ZONES = 64, 64
MAX_TOML_BYTES = 1 << 20
METHOD = "walk on a grid with levels learnt from the readings, zones with hysteresis"
# Not heard for this long, or for three steps where those are longer, a device has left its zone.
SILENCE_S = 10.0
ROUNDING_S = 1.0  # true stays that follow each other may overlap by this much


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneShape:
    """One `[[zone]]`."""

    id: str
    polygon_m: Polygon


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One device's readings (N,), anchors (K, 3), zones and true stays."""

    time_s: NDArray[np.float64]
    anchor: NDArray[np.intp]
    rssi_dbm: NDArray[np.float64]
    anchors_m: NDArray[np.float64]
    zones: tuple[ZoneShape, ...]
    truth: tuple[Stay, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DwellResult:
    """Score of the product's method and of the baselines by name, and what they are scores of."""

    score: Score
    baselines: Mapping[str, Score]
    followed: Followed
    timelines: Mapping[str, Timeline]


def read_case(readings: Path, anchors: Path, zones: Path, truth: Path) -> Case:
    """Read the four files. InputError, ConfigError: what is wrong with them, and where."""
    places = read_table(anchors, {"anchor": str, "x_m": float, "y_m": float}, {"z_m": float})
    names = _names(places, anchors)
    shapes = read_zones(zones)
    table = read_table(readings, {"time_s": float, "anchor": str, "rssi_dbm": MAYBE})
    if not len(table):
        raise InputError("no reading", where=str(readings), next_step="give lines of time_s,anchor,rssi_dbm")
    z_m = places.floats("z_m") if "z_m" in places else np.full(len(places), DEVICE_HEIGHT_M)
    return Case(
        time_s=table.floats("time_s"),
        anchor=_numbers(table, "anchor", names, f"is not in {anchors}"),
        rssi_dbm=table.floats("rssi_dbm"),
        anchors_m=np.column_stack((places.floats("x_m"), places.floats("y_m"), z_m)),
        zones=shapes,
        truth=_truth(truth, {shape.id: i for i, shape in enumerate(shapes)}, zones),
    )


def read_zones(path: Path) -> tuple[ZoneShape, ...]:
    """Read `[[zone]] id, polygon_m`; other keys are ignored. ConfigError names what is wrong."""
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise ConfigError(f"is over {MAX_TOML_BYTES} bytes", where=str(path), next_step="give fewer zones")
        tree = tomllib.loads(path.read_text("utf-8"))
        shapes = msgspec.convert(tree.get("zone", []), tuple[ZoneShape, ...])
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), next_step="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}", where=str(path), next_step="correct the line") from error
    except msgspec.ValidationError as error:
        raise ConfigError(
            str(error), where=f"{path}: zone", next_step="give each [[zone]] id and polygon_m = [[x, y], ...]"
        ) from error
    if not 0 < len(shapes) <= MAX_ZONES or len({shape.id for shape in shapes}) < len(shapes):
        what = f"{len(shapes)} zones with {len({shape.id for shape in shapes})} ids"
        raise ConfigError(what, where=str(path), next_step=f"give 1 to {MAX_ZONES} [[zone]], each with its own id")
    for shape in shapes:
        try:
            check_polygon(shape.polygon_m)
        except HostkitError as error:
            raise ConfigError(
                error.what, where=f"{path}: zone {_shown(shape.id)}", next_step=error.next_step
            ) from error
    return shapes


def evaluate(case: Case) -> DwellResult:
    """Follow the device, cut its stays, and score them and the baselines within the span of the truth."""
    span_s = timeline.span(case.truth)
    truth = timeline.of_stays(case.truth, span_s)
    followed = follow(
        case.time_s, case.anchor, case.rssi_dbm, case.anchors_m, [shape.polygon_m for shape in case.zones]
    )
    ours = timeline.of_stays(zone_stays(followed), span_s)
    found = {name: timeline.of_changes(*change, span_s) for name, change in _baselines(case).items()}
    return DwellResult(
        score=timeline.score(ours, truth),
        baselines={name: timeline.score(baseline, truth) for name, baseline in found.items()},
        followed=followed,
        timelines={"truth": truth, "footfall": ours, **found},
    )


def zone_stays(followed: Followed) -> list[Stay]:
    """Stays of a followed device; it is in no zone where it was not heard for long."""
    step_s = followed.step_s
    heard = np.flatnonzero(followed.heard)
    at = np.arange(len(followed.heard))
    after = np.searchsorted(heard, at)
    gap = heard[np.minimum(after, len(heard) - 1)] - heard[np.maximum(after - 1, 0)]
    kept = followed.heard | (gap * step_s <= max(SILENCE_S, 3 * step_s))
    start_s = followed.time_s[0]
    tracker = ZoneTracker(followed.p_zone.shape[1], SILENCE_S + 3 * step_s)
    time_us = np.round((followed.time_s[kept] - start_s) * 1e6).astype(np.int64)
    device = np.zeros(len(time_us), np.int32)
    events = np.concatenate([tracker.update(device, time_us, followed.p_zone[kept]), tracker.flush()])
    return [
        Stay(
            zone=int(event["zone"]),
            enter_s=start_s + event["enter_us"] * 1e-6 - step_s / 2,
            leave_s=start_s + event["leave_us"] * 1e-6 + step_s / 2,
        )
        for event in events
    ]


def stops(followed: Followed) -> NDArray[np.void]:
    """Where the device stopped for at least `window_stop_s`: STAY rows in µs since the first step."""
    reach_m = max(REACH_SIGMAS * followed.sd_m, MIN_CELL_M)
    segmenter = Segmenter(reach_m, Thresholds().window_stop_s, max(SILENCE_S, 3 * followed.step_s))
    heard = followed.heard
    time_us = np.round((followed.time_s[heard] - followed.time_s[0]) * 1e6).astype(np.int64)
    columns = (np.zeros(len(time_us), np.int32), time_us, followed.x_m[heard], followed.y_m[heard])
    return np.concatenate([segmenter.update(*columns), segmenter.flush([0])])


def _baselines(case: Case) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int16]]]:
    """The zone of the loudest anchor of each round of readings, and that only where it is loud."""
    zone = np.full(len(case.anchors_m), NOWHERE, np.int16)
    for number, shape in reversed(list(enumerate(case.zones))):
        zone[inside(case.anchors_m[:, :2], shape.polygon_m)] = number
    kept = (case.rssi_dbm > MISSED_DBM) & (case.rssi_dbm <= LOUDEST_DBM)
    time_s, anchor, rssi = case.time_s[kept], case.anchor[kept], case.rssi_dbm[kept]
    round_ = np.round((time_s - time_s.min()) / _round_s(time_s, anchor)).astype(np.int64)
    order = np.lexsort((-rssi, round_))
    loudest = order[np.flatnonzero(np.diff(round_[order], prepend=-1))]
    side = zone[anchor[loudest]]
    loud = rssi[loudest] >= Rings().inside_dbm
    return {
        "strongest_anchor": (time_s[loudest], side),
        "rssi_threshold": (time_s[loudest], np.where(loud, side, NOWHERE).astype(np.int16)),
    }


def _round_s(time_s: NDArray[np.float64], anchor: NDArray[np.intp]) -> float:
    """How often anchors read: the median over all of the time between two readings of one."""
    order = np.lexsort((time_s, anchor))
    gap_s = np.diff(time_s[order])[np.diff(anchor[order]) == 0]
    return float(np.median(gap_s[gap_s > 0])) if (gap_s > 0).any() else 1.0


def _names(places: Table, path: Path) -> dict[str, int]:
    names: dict[str, int] = {}
    for row, name in enumerate(places.names("anchor").tolist()):
        if name in names:
            raise InputError(
                f"{_shown(name)} is named twice", where=places.where(row), next_step="give each anchor once"
            )
        names[name] = row
    if not 1 <= len(names) <= MAX_ANCHORS:
        raise InputError(f"{len(names)} anchors", where=str(path), next_step=f"give 1 to {MAX_ANCHORS}")
    return names


def _numbers(table: Table, column: str, names: Mapping[str, int], problem: str) -> NDArray[np.intp]:
    """Number of each row's name; InputError for one that is not among `names`."""
    distinct, index = np.unique(table.names(column), return_inverse=True)
    number = np.array([names.get(name, -1) for name in distinct.tolist()], np.intp)[index]
    if (number < 0).any():
        row = int(np.argmax(number < 0))
        what = f"{column} {_shown(str(table.names(column)[row]))} {problem}"
        raise InputError(what, where=table.where(row), next_step="correct the name or add it there")
    return number


def _truth(path: Path, names: Mapping[str, int], zones: Path) -> tuple[Stay, ...]:
    table = read_table(path, {"zone": str, "enter_s": float, "leave_s": float})
    if not len(table):
        raise InputError("no stay", where=str(path), next_step="give lines of zone,enter_s,leave_s")
    enter, leave = table.floats("enter_s"), table.floats("leave_s")
    zone = _numbers(table, "zone", names, f"is not in {zones}")
    if (enter >= leave).any():
        row = int(np.argmax(enter >= leave))
        raise InputError("leave_s is not after enter_s", where=table.where(row), next_step="correct the times")
    order = np.argsort(enter, kind="stable")
    overlap = enter[order][1:] < leave[order][:-1] - ROUNDING_S
    if overlap.any():
        row = int(order[1:][overlap][0])
        raise InputError(
            "the stay begins before the one before it ends", where=table.where(row), next_step="give one zone at a time"
        )
    return tuple(
        Stay(zone=int(z), enter_s=float(a), leave_s=float(b))
        for z, a, b in zip(zone[order], enter[order], leave[order], strict=True)
    )


def _shown(text: str) -> str:
    return repr("".join(c if c.isprintable() else "?" for c in text[:40]))
