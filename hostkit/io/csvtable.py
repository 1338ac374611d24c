"""CSV tables of numbers and names that people bring. Bounded; names the line and column that is wrong."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import InputError, StorageError

MAX_BYTES = 1 << 30

Kind: TypeAlias = type | UnionType
MAYBE = float | None
GAPS = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})  # how exports write a missing number, in any case

Column: TypeAlias = NDArray[np.float64] | list[str]


def read_table(path: Path, required: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None) -> "Table":
    """Read the named columns of a CSV file with a header line; other columns are ignored.

    A column's kind is float (finite), MAYBE (a finite number, or NaN for what GAPS calls none) or str (stripped, not
    empty). An optional column that is absent is absent in the table too. InputError names file, line and column;
    StorageError where the file may not be read.
    """
    rows = _rows(path)
    header = [name.strip().lower() for name in next(rows, (0, []))[1]]
    kinds = {**required, **{name: kind for name, kind in (optional or {}).items() if name in header}}
    missing = [name for name in required if name not in header]
    if missing:
        found = "".join(c if c.isprintable() else "?" for c in ", ".join(header)[:120]) or "nothing"
        raise InputError(
            f"no column {', '.join(missing)} (found: {found})",
            where=f"{path}: line 1",
            next_step=f"begin the file with a line naming {', '.join(required)}",
        )
    line: list[int] = []
    cells: dict[str, list[str]] = {name: [] for name in kinds}
    same: dict[str, str] = {}  # equal cells are kept once
    places = [(cells[name], header.index(name)) for name in kinds]
    for number, row in rows:
        if len(row) < len(header):
            raise InputError(
                f"{len(row)} cells, the header has {len(header)}",
                where=f"{path}: line {number}",
                next_step="fill the missing cells or delete the line",
            )
        line.append(number)
        for column, at in places:
            cell = row[at].strip()
            column.append(same.setdefault(cell, cell))
    return Table(path, {name: _column(path, name, kinds[name], cells[name], line) for name in kinds}, line)


def first_column(path: Path) -> list[str]:
    """Read the first cell of every line, stripped; "" for an empty line. Does not look for a header."""
    return [row[0].strip() if row else "" for _, row in _lines(path)]


class Table:
    """Columns of a CSV file and the file's line of each row."""

    def __init__(self, path: Path, columns: Mapping[str, Column], line: Sequence[int]) -> None:
        self._path = path
        self._columns = columns
        self._line = line

    def __len__(self) -> int:
        return len(self._line)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def floats(self, name: str) -> NDArray[np.float64]:
        """Column of finite numbers (N,)."""
        column = self._columns[name]
        assert not isinstance(column, list)
        return column

    def names(self, name: str) -> NDArray[np.str_]:
        """Column of texts (N,)."""
        column = self._columns[name]
        assert isinstance(column, list)
        return np.array(column, np.str_)

    def codes(self, name: str) -> tuple[list[str], NDArray[np.int64]]:
        """Distinct texts of a column in order of their first row, and each row's index among them (N,).

        Costs no memory for long texts that repeat.
        """
        column = self._columns[name]
        assert isinstance(column, list)
        code = {text: number for number, text in enumerate(dict.fromkeys(column))}
        return list(code), np.array([code[text] for text in column], np.int64)

    def where(self, row: int) -> str:
        """Place of a row in the words of an error."""
        return f"{self._path}: line {self._line[row]}"


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"is over {MAX_BYTES} bytes", where=str(path), next_step="split the table")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except PermissionError as error:
        raise StorageError(
            "may not be read", where=str(path), next_step="give yourself the right to read it"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), next_step="check the path") from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=str(path), next_step="save the table as CSV, UTF-8") from error


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is not empty, the header first."""
    return ((number, row) for number, row in _lines(path) if row)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        where = f"{path}: line {reader.line_num}"
        raise InputError(str(error), where=where, next_step="save the table anew as CSV") from error


def _column(path: Path, name: str, kind: Kind, cells: list[str], line: Sequence[int]) -> Column:
    column: Column
    if kind is str:
        column = cells
        bad = np.array([not cell for cell in cells], np.bool_)
    else:
        column = _numbers(cells)
        bad = ~np.isfinite(column)
        if kind == MAYBE and bad.any():
            bad &= np.array([cell.lower() not in GAPS for cell in cells], np.bool_)
    if bad.any():
        at = int(np.argmax(bad))
        shown = "".join(c if c.isprintable() else "?" for c in cells[at][:40])
        next_step = "give a name" if kind is str else "give a finite number"
        raise InputError(f"{name} is {shown!r}", where=f"{path}: line {line[at]}", next_step=next_step)
    return column


def _numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Parse all cells; NaN for what is no number."""
    try:
        return np.array(cells, np.float64)
    except ValueError:
        return np.array([_number(cell) for cell in cells])


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
