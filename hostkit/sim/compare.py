"""Measured KPIs beside the truth of a simulation. Judges nothing: it subtracts, and says whether the interval holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hostkit.core.kpi import Kpi
from hostkit.errors import InputError
from hostkit.sim.truth import Summary

_MAX_BYTES = 10_000_000  # a day at 10 min bins is 20 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `error` is relative to the truth, or absolute (measured - truth) for ratios and a truth of 0.

    `covered` tells whether the 90 % interval holds the truth. Both are None where either figure is undefined.
    """

    id: str
    of: str | None
    measured: float | None
    low: float | None
    high: float | None
    truth: float | None
    error: float | None
    relative: bool
    covered: bool | None


def read_summary(path: Path) -> Summary:
    """Read truth/summary.json of a simulation; raises InputError where it is something else."""
    next_step = "give truth/summary.json of a folder written by footfall simulate"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", where=str(path), next_step=next_step) from error
    if len(data) > _MAX_BYTES:
        raise InputError(f"larger than {_MAX_BYTES} bytes", where=str(path), next_step=next_step)
    try:
        return msgspec.json.decode(data, type=Summary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"no summary of a simulation: {error}", where=str(path), next_step=next_step) from error


def compare(measured: Iterable[Kpi], truth: Summary) -> tuple[Row, ...]:
    """Put each measured KPI beside its truth, in the order measured; those the truth does not have are left out."""
    rows = []
    for kpi in measured:
        by_part: dict[str, float | None] = truth.kpis if kpi.of is None else truth.split.get(kpi.id, {})
        name = kpi.id if kpi.of is None else kpi.of
        if name in by_part or (kpi.of is not None and kpi.id in truth.split):
            # An hour or zone the truth does not name is one in which nothing happened.
            rows.append(_row(kpi, by_part.get(name, 0.0)))
    return tuple(rows)


def _row(kpi: Kpi, truth: float | None) -> Row:
    value, low, high = kpi.value.value, kpi.value.low, kpi.value.high
    relative = bool(truth) and not kpi.id.endswith(("_rate", "_share", "_to_entry"))
    error = covered = None
    if value is not None and truth is not None:
        error = (value - truth) / (truth if relative else 1.0)
        covered = None if low is None or high is None else low <= truth <= high
    return Row(
        id=kpi.id,
        of=kpi.of,
        measured=value,
        low=low,
        high=high,
        truth=truth,
        error=error,
        relative=relative,
        covered=covered,
    )
