"""What the releases before wrote is read: batches, messages, and both databases, with nothing lost of them.

A new release adds its file by `python -m tests.contract.freeze VERSION`; older than the last two may be deleted.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hostkit.collector.clock import AHEAD_S
from hostkit.collector.ingest import Ingest
from hostkit.contract.codec import VISITS, decode
from hostkit.core.wire import VERSION, decode_batch
from hostkit.hub.keeper import database
from hostkit.io.outbox import Outbox
from hostkit.io.store_sqlite import FILE, SqliteStore
from hostkit.model import Provenance
from tests.contract.freeze import RELEASES

FILES = sorted(RELEASES.glob("*.json"))
NOW_S = 1_741_100_000


@pytest.fixture(params=FILES, ids=[file.stem for file in FILES])
def frozen(request: pytest.FixtureRequest) -> dict[str, object]:
    found: dict[str, object] = json.loads(request.param.read_text("utf-8"))
    return found


def restored(path: Path, sql: str) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database_:
        database_.executescript(sql)


def test_there_is_a_release_before() -> None:
    assert FILES


def test_its_batches_are_read(frozen: dict) -> None:
    for one in frozen["batches"]:
        batch, told = decode_batch(bytes.fromhex(one["hex"])), one["batch"]
        assert (batch.boot, batch.seq, batch.probe) == (told["boot"], told["seq"], told["probe"])
        assert [f"{key:016x}" for key in batch.records["device_key"].tolist()] == [
            record["device_key"] for record in told["records"]
        ]
        assert bytes.fromhex(one["hex"])[4] <= VERSION


def test_its_messages_are_taken_whole(frozen: dict, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    ingest = Ingest(store, lambda: NOW_S, lambda: NOW_S + AHEAD_S)
    with store.writing():
        taken = [ingest.take(one["topic"], one["payload"].encode()) for one in frozen["messages"]]
        assert [one.refused for one in taken] == [None] * len(taken)
        (place,) = store.places()
        stored = [row.visit_id for row in store.visits(place, 0, 1 << 40)]
        assert stored == sorted(frozen["visits"])
        assert store.snapshot(place, "site")
        assert store.snapshot(place, "live")
    store.close()


def test_its_outbox_goes_on_where_it_stood(frozen: dict, tmp_path: Path) -> None:
    restored(database(tmp_path / "hub"), frozen["hub"])
    outbox = Outbox(database(tmp_path / "hub"))
    rows = outbox.waiting(0, 99)
    messages = [decode(VISITS, row.payload, "footfall/v1/demo/corner-shop/hub/visits") for row in rows]
    assert sorted(row.visit_id for message in messages for row in message.data.rows) == sorted(frozen["visits"])
    assert outbox.taken() == {("probe-1", 7): 41}
    assert outbox.put(NOW_S, lambda seq: b"next") == rows[-1].seq + 1
    assert outbox.expire(NOW_S) == len(rows)
    assert outbox.lost_visits == len(frozen["visits"])
    outbox.commit()
    outbox.close()


def test_its_store_goes_on_where_it_stood(frozen: dict, tmp_path: Path) -> None:
    restored(tmp_path / "collector" / FILE, frozen["collector"])
    store = SqliteStore(tmp_path / "collector")
    with store.reading():
        (place,) = store.places()
        assert sorted(row.visit_id for row in store.visits(place, 0, 1 << 40)) == sorted(frozen["visits"])
        assert [(one.upto, one.provenance) for one in store.progress()] == [(1, Provenance.SIMULATED)]
    store.close()
