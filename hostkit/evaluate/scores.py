"""How well predicted identities follow true ones, counted in items: Rosenberg and Hirschberg, Hubert and Arabie, MOT.

Needs NumPy alone. Every item has one true and one predicted identity, so detection is perfect by construction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import InputError

MAX_CELLS = 50_000_000  # of one component's table of identities: 400 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Shares in [0, 1] (`ari` in [-1, 1]); `id_switches` is a count."""

    homogeneity: float
    completeness: float
    v_measure: float
    ari: float
    idf1: float
    hota: float
    id_switches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The contingency table's cells that are not 0: truth, prediction and count of each, and its margins."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    count: NDArray[np.float64]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]


def score(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> Scores:
    """Score predicted identities (N,) against true ones (N,), both of items in order of time; N at least 1.

    Homogeneity, completeness and V as Rosenberg and Hirschberg 2007; the adjusted Rand index of Hubert and Arabie
    1985; IDF1 by the optimal assignment of Ristani et al. 2016; HOTA's association part (Luiten et al. 2021), as every
    item is detected; a switch is an item of a device predicted otherwise than the device's item before.
    InputError where the optimal assignment would not fit in memory.
    """
    table = _contingency(truth, predicted)
    homogeneity, completeness = _entropies(table)
    both = homogeneity + completeness
    union = table.rows[table.row] + table.columns[table.column] - table.count
    return Scores(
        homogeneity=homogeneity,
        completeness=completeness,
        v_measure=2 * homogeneity * completeness / both if both else 0.0,
        ari=_adjusted_rand(table),
        idf1=_identity_hits(table) / len(truth),
        hota=float(np.sqrt((table.count**2 / union).sum() / len(truth))),
        id_switches=_switches(truth, predicted),
    )


def assign(gain: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give each row (R,) of `gain` (R, C), R <= C, a column of its own so that the sum of gains is greatest.

    Shortest augmenting paths (Jonker and Volgenant 1987) without their start, O(R² C).
    """
    rows, columns = gain.shape
    cost = np.vstack([np.zeros(columns), gain.max(initial=0.0) - gain])  # row 0 and column `columns` are the outside
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.int64)
    for row in range(1, rows + 1):
        column, owner[columns] = columns, row
        least = np.full(columns, np.inf)
        parent = np.full(columns, columns)
        done = np.zeros(columns + 1, np.bool_)
        while owner[column]:
            done[column] = True
            reduced = cost[owner[column]] - of_row[owner[column]] - of_column[:columns]
            better = (reduced < least) & ~done[:columns]
            least[better], parent[better] = reduced[better], column
            nearest = int(np.argmin(np.where(done[:columns], np.inf, least)))
            step = least[nearest]
            of_row[owner[done]] += step
            of_column[done] -= step
            least[~done[:columns]] -= step
            column = nearest
        while column != columns:
            owner[column], column = owner[parent[column]], parent[column]
    chosen = np.zeros(rows + 1, np.int64)
    chosen[owner[:columns]] = np.arange(columns)
    return chosen[1:]


def _contingency(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> _Table:
    _, row = np.unique(truth, return_inverse=True)
    names, column = np.unique(predicted, return_inverse=True)
    cells, count = np.unique(row * np.int64(len(names)) + column, return_counts=True)
    return _Table(
        row=cells // len(names),
        column=cells % len(names),
        count=count.astype(np.float64),
        rows=np.bincount(row).astype(np.float64),
        columns=np.bincount(column).astype(np.float64),
    )


def _entropies(table: _Table) -> tuple[float, float]:
    """Homogeneity and completeness."""
    n = table.count.sum()
    of_rows, of_columns = (-(m / n * np.log(m / n)).sum() for m in (table.rows, table.columns))
    given_columns = -(table.count / n * np.log(table.count / table.columns[table.column])).sum()
    given_rows = -(table.count / n * np.log(table.count / table.rows[table.row])).sum()
    homogeneity = 1 - given_columns / of_rows if of_rows else 1.0
    return float(homogeneity), float(1 - given_rows / of_columns if of_columns else 1.0)


def _adjusted_rand(table: _Table) -> float:
    pairs, in_rows, in_columns = (
        (counts * (counts - 1) / 2).sum() for counts in (table.count, table.rows, table.columns)
    )
    n = table.count.sum()
    expected = in_rows * in_columns / (n * (n - 1) / 2) if n > 1 else 0.0
    most = (in_rows + in_columns) / 2
    return float((pairs - expected) / (most - expected)) if most != expected else 1.0


def _identity_hits(table: _Table) -> float:
    """Most items that a one-to-one match of true and predicted identities can hold in common."""
    component = _components(table)
    order = np.argsort(component, kind="stable")
    hits = 0.0
    for cells in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        rows, row = np.unique(table.row[cells], return_inverse=True)
        columns, column = np.unique(table.column[cells], return_inverse=True)
        if min(len(rows), len(columns)) == 1:
            hits += table.count[cells].max()
            continue
        if len(rows) * len(columns) > MAX_CELLS:
            raise InputError(
                f"{len(rows):,} devices are confused with {len(columns):,} others",
                where="evaluate",
                next_step="score a shorter part",
            )
        gain = np.zeros((len(rows), len(columns)))
        gain[row, column] = table.count[cells]
        gain = gain if len(rows) <= len(columns) else gain.T
        hits += gain[np.arange(len(gain)), assign(gain)].sum()
    return float(hits)


def _components(table: _Table) -> NDArray[np.int64]:
    """Number of the connected component of each cell: identities that share no item cannot compete."""
    least = np.arange(len(table.rows))
    while True:
        of_column = np.full(len(table.columns), len(table.rows))
        np.minimum.at(of_column, table.column, least[table.row])
        smaller = least.copy()
        np.minimum.at(smaller, table.row, of_column[table.column])
        smaller = smaller[smaller]
        if (smaller == least).all():
            return np.asarray(least[table.row], np.int64)
        least = smaller


def _switches(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> int:
    order = np.argsort(truth, kind="stable")
    same = np.diff(truth[order]) == 0
    return int((same & (np.diff(predicted[order]) != 0)).sum())
