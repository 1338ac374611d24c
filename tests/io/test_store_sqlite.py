"""SQLite as the collector's store: the conformance suite, a full disk, a newer database, a file that is none."""

import sqlite3
from pathlib import Path

import pytest

from hostkit.errors import StorageError
from hostkit.io.store_sqlite import FILE, MIGRATIONS, QUARANTINE_BYTES, QUARANTINE_ROWS, SqliteStore
from tests.collector.store_conformance import LIVE, Make, StoreConformance, visit


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda: SqliteStore(tmp_path / "data")


class TestSqlite(StoreConformance):
    pass


def test_a_full_disk_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with store.writing():
        store.put_visits(LIVE, [visit("v")])
    store._db.execute(f"PRAGMA max_page_count={store._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(StorageError, match=r"collector.sqlite: .*full.*; free some space"), store.writing():
        store.put_visits(LIVE, [visit(f"w{n}") for n in range(1000)])
    store._db.execute("PRAGMA max_page_count=100000")
    with store.writing():
        assert len(store.spans(LIVE)) == 1
        store.put_visits(LIVE, [visit(f"w{n}") for n in range(1000)])
        assert len(store.spans(LIVE)) == 1001
    store.close()


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    database = sqlite3.connect(tmp_path / FILE)
    database.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    database.close()
    with pytest.raises(StorageError, match=r"newer version.*; update footfall"):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, " * 1000)
    with pytest.raises(StorageError, match=r"collector\.sqlite: .*not a database"):
        SqliteStore(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        SqliteStore(tmp_path / "file" / "data")


def test_quarantine_is_bounded(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with store.writing():
        for number in range(QUARANTINE_ROWS + 50):
            store.quarantine("t", "foreign", "bad", b"%d" % number + b"x" * 100_000, number)
    rows = store._db.execute("SELECT count(*), max(length(body)), min(time_s) FROM quarantine").fetchone()
    assert rows == (QUARANTINE_ROWS, QUARANTINE_BYTES, 50)
    assert store.quarantined() == {"foreign": QUARANTINE_ROWS + 50}
    store.close()
