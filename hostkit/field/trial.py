"""One structure for every calibration a technician does: enough? fitted, compared on held-out readings, judged."""

import math
from dataclasses import dataclass
from typing import Literal

from hostkit.io.calibrations import Change

Kind = Literal["link", "anchors", "walk", "zones", "count"]
Unit = Literal["m", "dB", "wrong", "factor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence of `words.py` with its values; the report says it in its reader's language."""

    word: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """How much of something there is, and how much there has to be; `of` names what it is of, or is empty."""

    word: str
    have: int
    least: int
    of: str = ""

    @property
    def met(self) -> bool:
        """Whether it is enough."""
        return self.have >= self.least


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A stated limit and the figure held against it; `most`: the figure may be at most `limit`, else at least."""

    word: str
    value: float
    limit: float
    unit: str
    most: bool = True

    @property
    def passed(self) -> bool:
        """Whether the figure keeps to the limit; NaN does not."""
        return self.value <= self.limit if self.most else self.value >= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow:
    """One probe (or one zone, or one count): level at 1 m, exponent, noise, readings; `weak`: what it lacks."""

    name: str
    figures: tuple[float, ...]
    readings: int
    weak: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place on the plan where a held-out error is known, in the trial's unit."""

    x_m: float
    y_m: float
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Mean error of readings that the fit did not see: as site.toml says now, as fitted, and of a guess without fit."""

    before: float
    after: float
    naive: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the readings say. `held` is None while there are too few; `columns` name the figures of `rows`."""

    kind: Kind
    unit: Unit
    source: str
    needs: tuple[Need, ...]
    held: Held | None = None
    checks: tuple[Check, ...] = ()
    changes: tuple[Change, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[ProbeRow, ...] = ()
    marks: tuple[Mark, ...] = ()
    weak: tuple[Note, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()  # true by said, in the order of `rows`

    @property
    def enough(self) -> bool:
        """Whether every minimum is reached."""
        return all(need.met for need in self.needs)

    @property
    def improves(self) -> bool:
        """Whether the held-out error falls, below a guess's too: only then anything is applied."""
        if self.held is None or not self.enough or not self.changes:
            return False
        return self.held.after < min(self.held.before, self.held.naive or math.inf)

    @property
    def passed(self) -> bool:
        """PASS: enough readings and every limit kept."""
        return self.enough and self.held is not None and all(check.passed for check in self.checks)
