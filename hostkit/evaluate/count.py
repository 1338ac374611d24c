"""Counts of people in windows against counted truth: fitted before a date, tested after. Baselines get the same fit."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hostkit.core.bins import CountBin
from hostkit.core.count import Z90
from hostkit.core.inside import GAP_S, LAG, Inside, people_inside, stays
from hostkit.core.methods import Method
from hostkit.core.reference import fit_occupancy
from hostkit.errors import InputError
from hostkit.evaluate.agreement import Agreement, agreement
from hostkit.hub.replay import ReplayResult, ReplaySettings, replay
from hostkit.hub.survey import Survey, survey
from hostkit.io.csvtable import MAYBE, read_table
from hostkit.model import Occupancy

WINDOW_S = 600
LEAST_LISTENED_S = 300.0  # of a window, to be fitted or tested
LATEST_S = 4_102_444_800.0  # 2100: a later time is in other units
BASELINES: Mapping[str, Method] = MappingProxyType(
    {"unique_addresses": Method.ADDRESSES, "louder_than_-70": Method.LOUD_ADDRESSES, "cdrc": Method.CDRC}
)

Floats: TypeAlias = NDArray[np.float64]
OnProgress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Tested windows in order of time: start, counted truth, estimate and its 90 % interval."""

    start_s: Floats
    truth: Floats
    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class CountEvaluation:
    """`ours` as revised `LAG` windows later, `at_once` as published first. `site` is what was fitted."""

    ours: Agreement
    at_once: Agreement
    baselines: Mapping[str, Agreement]
    site: Occupancy
    fitted_windows: int
    series: Series
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    bin: CountBin
    truth: float
    counts: Mapping[str, float]  # by baseline


def evaluate(
    captures: Sequence[Path],
    truth: Path,
    fit_until_s: float,
    fixed_addresses: tuple[bytes, ...] = (),
    on_progress: OnProgress = lambda done, total: None,
) -> CountEvaluation:
    """Fit kappa, its spread and noise on windows that begin before `fit_until_s`, test on the others.

    Raises InputError where a side has no window with truth, and what replay raises.
    """
    people, remarks = read_truth(truth)
    groups = _groups(captures)
    bins: list[CountBin] = []
    windows: list[_Window] = []
    warnings = list(remarks)
    for done, group in enumerate(groups):
        on_progress(done, len(groups))
        result, counts = _replayed(group, fixed_addresses)
        warnings += [line for line in result.warnings if line not in warnings]
        bins += result.bins
        windows += _windows(result.bins, counts, people)
    fit = [window for window in windows if window.bin.start_s < fit_until_s]
    test = [window for window in windows if window.bin.start_s >= fit_until_s]
    _check(fit, test, people, fit_until_s)
    there = stays([(one.start_s, one.inside) for one in bins], bin_s=WINDOW_S)
    site = fit_occupancy(_by_day(fit, {one.start_s: of for one, of in zip(bins, there, strict=True)}), Occupancy())
    series = _series(test, bins, site, LAG)
    return CountEvaluation(
        ours=_agreement(series),
        at_once=_agreement(_series(test, bins, site, 0)),
        baselines=_baselines(fit, test),
        site=site,
        fitted_windows=len(fit),
        series=series,
        warnings=tuple(warnings),
    )


def as_object(result: CountEvaluation) -> dict[str, object]:
    """Give the object of `footfall evaluate count --json`."""
    site = result.site
    return {
        **asdict(result.ours),
        "baselines": {name: asdict(one) for name, one in result.baselines.items()},
        "at_once": asdict(result.at_once),
        "fit": {
            "windows": result.fitted_windows,
            "days": site.reference_counts,
            "people_per_device": site.people_per_device,
            "log_sd": site.log_sd,
            "noise_log_sd": site.noise_log_sd,
            "inside_dbm": site.inside_dbm,
        },
    }


def read_truth(path: Path) -> tuple[dict[int, float], tuple[str, ...]]:
    """Mean of the counted people by window number, from a table `time,people`, and what is to be said of it.

    Windows without a row are absent; rows without people are ignored. `time` is ISO 8601 (UTC where it
    names no offset) or Unix seconds. Raises InputError naming the line.
    """
    table = read_table(path, {"time": str, "people": MAYBE})
    counted = np.isfinite(table.floats("people"))
    if not counted.any():
        raise InputError(
            "has no rows with people", where=str(path), next_step="write time,people and a line for each count"
        )
    sums: dict[int, list[float]] = defaultdict(list)
    for row, (time, people) in enumerate(zip(table.names("time"), table.floats("people"), strict=True)):
        time_s = _time_s(str(time))
        if time_s is None:
            where, step = table.where(row), "write 2024-02-29T10:30:00Z or Unix seconds"
            raise InputError(f"time is {str(time)[:40]!r}", where=where, next_step=step)
        if people < 0:
            raise InputError(f"people is {people:g}", where=table.where(row), next_step="give how many were there")
        if np.isfinite(people):
            sums[int(time_s // WINDOW_S)].append(float(people))
    gaps = np.count_nonzero(~counted)
    remarks = (f"{path}: {gaps} rows have no people; they count as not counted",) if gaps else ()
    return {number: float(np.mean(values)) for number, values in sums.items()}, remarks


def _time_s(text: str) -> float | None:
    try:
        time_s = float(text)
    except ValueError:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        time_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return time_s if 0 <= time_s < LATEST_S else None


def _groups(captures: Sequence[Path]) -> list[list[Path]]:
    """Captures that were recorded together, groups in order of time: a long silence parts them."""
    surveys: list[Survey] = [survey(path, bytes(16), 0, lambda read: None) for path in captures]
    heard = sorted((one for one in surveys if one.segments), key=lambda one: one.start_us)
    if not heard:
        return [list(captures)]  # replay says what was wrong with them
    groups: list[list[Path]] = []
    end_us = 0
    for one in heard:
        if not groups or one.start_us - end_us > GAP_S * 1e6:
            groups.append([])
        groups[-1].append(one.path)
        end_us = max(end_us, one.end_us)
    return groups


def _replayed(
    captures: Sequence[Path], fixed_addresses: tuple[bytes, ...]
) -> tuple[ReplayResult, dict[str, dict[int, float]]]:
    """Count one group of captures by every method: the product's result, and the others' counts by window number."""

    def run(method: Method) -> ReplayResult:
        return replay(
            ReplaySettings(
                captures=tuple((path, None) for path in captures),
                fixed_addresses=fixed_addresses,
                bin_s=WINDOW_S,
                method=method,
            )
        )

    others = {
        name: {_number(one): one.devices.value or 0.0 for one in run(method).bins} for name, method in BASELINES.items()
    }
    return run(Method.TRACKS), others


def _windows(
    bins: Sequence[CountBin], counts: Mapping[str, Mapping[int, float]], people: Mapping[int, float]
) -> list[_Window]:
    return [
        _Window(
            bin=one,
            truth=people[_number(one)],
            counts={name: by_window.get(_number(one), 0.0) for name, by_window in counts.items()},
        )
        for one in bins
        if _number(one) in people and one.inside.listened_s >= LEAST_LISTENED_S
    ]


def _number(of: CountBin) -> int:
    return int(of.start_s // WINDOW_S)


def _check(fit: Sequence[_Window], test: Sequence[_Window], people: Mapping[int, float], fit_until_s: float) -> None:
    if fit and test:
        return
    when = datetime.fromtimestamp(fit_until_s, UTC).isoformat(timespec="minutes")
    side = "at or after" if fit else "before"
    first, last = (datetime.fromtimestamp(one * WINDOW_S, UTC).date() for one in (min(people), max(people)))
    raise InputError(
        f"no window {side} {when} has both frames and a count (counts: {first} to {last}, UTC)",
        where="--fit-until",
        next_step="choose another date, or give captures and counts of both sides",
    )


def _by_day(windows: Sequence[_Window], there: Mapping[float, Inside]) -> list[list[tuple[float, Inside]]]:
    days: dict[int, list[tuple[float, Inside]]] = defaultdict(list)
    for one in windows:
        days[int(one.bin.start_s // 86_400)].append((one.truth, there[one.bin.start_s]))
    return [days[day] for day in sorted(days)]


def _series(test: Sequence[_Window], bins: Sequence[CountBin], site: Occupancy, lag: int) -> Series:
    found = people_inside([(one.start_s, one.inside) for one in bins], site, bin_s=WINDOW_S, lag=lag)
    by_start = {one.start_s: estimate for one, estimate in zip(bins, found, strict=True)}
    chosen = [by_start[one.bin.start_s] for one in test]
    return Series(
        start_s=np.array([one.bin.start_s for one in test]),
        truth=np.array([one.truth for one in test]),
        value=np.array([one.value for one in chosen], np.float64),
        low=np.array([one.low for one in chosen], np.float64),
        high=np.array([one.high for one in chosen], np.float64),
    )


def _agreement(series: Series) -> Agreement:
    return agreement(series.value, series.truth, series.low, series.high)


def _baselines(fit: Sequence[_Window], test: Sequence[_Window]) -> dict[str, Agreement]:
    """A line through the counts of each method, and the mean guess; intervals from the spread about either."""
    fitted, truth = (np.array([one.truth for one in side]) for side in (fit, test))
    found = {}
    for name in BASELINES:
        x, at = (np.array([one.counts[name] for one in side]) for side in (fit, test))
        columns = np.column_stack([np.ones(len(x)), x]) if np.ptp(x) > 0 else np.ones((len(x), 1))
        line = np.linalg.lstsq(columns, fitted, rcond=None)[0]
        value = line[0] + (line[1] * at if len(line) > 1 else 0.0 * at)
        found[name] = _with_spread(value, truth, fitted - columns @ line, len(line))
    found["mean"] = _with_spread(np.full(len(truth), fitted.mean()), truth, fitted - fitted.mean(), 1)
    return found


def _with_spread(value: Floats, truth: Floats, residuals: Floats, fitted: int) -> Agreement:
    if len(residuals) <= fitted:
        return agreement(value, truth)
    half = Z90 * float(np.sqrt(residuals @ residuals / (len(residuals) - fitted)))
    return agreement(value, truth, np.maximum(value - half, 0.0), value + half)
