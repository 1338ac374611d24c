"""Counts visits in the files of a hub and a collector that have ended. Reads only, and nothing but ids."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hostkit.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Visits the hub closed, visits the collector stored, and how many of those are stored more than once."""

    produced: int
    stored: int
    duplicates: int


def count_rows(outbox: Path, store: Path) -> Rows:
    """Count; raises StorageError for a file that is not there or not theirs."""
    ((produced,),) = _ask(outbox, "SELECT count(*) FROM visit")
    ((stored, distinct),) = _ask(store, "SELECT count(*), count(DISTINCT visit_id) FROM visit")
    return Rows(produced=produced, stored=stored, duplicates=stored - distinct)


def _ask(path: Path, sql: str) -> list[tuple[int, ...]]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()
    except sqlite3.Error as error:
        raise StorageError(
            f"cannot be read ({error})", where=str(path), next_step="look at the logs beside it"
        ) from error
