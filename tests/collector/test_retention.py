"""The collector's own job deletes what is too old by its clock, for good: thirty days, 25 months, ten years."""

import queue
from pathlib import Path

from hostkit.collector.clock import Clock, ClockKind
from hostkit.collector.service import Collector
from hostkit.core.retention import DAY_S, DAYS_KEPT_S, HOURS_KEPT_S, VISITS_KEPT_S
from hostkit.core.rollup import Grain, Origin
from hostkit.io.mqtt import Client, Inbox, parse_url
from hostkit.io.store_sqlite import FILE, SqliteStore
from tests.collector.store_conformance import LIVE, bucket, visit

BEGAN_S = 1_741_000_000 // DAY_S * DAY_S
NAME = "v5f3759df00000000"


def kept(store: SqliteStore) -> tuple[int, int, int]:
    with store.reading():
        hours, days = (len(store.buckets(LIVE, Origin.HUB, grain, 0, 1 << 40)) for grain in (Grain.HOUR, Grain.DAY))
        return len(store.spans(LIVE)), hours, days


def at(store: SqliteStore, now_s: int) -> tuple[int, int, int]:
    """Let a collector work one turn at `now_s`; give the visits, hours and days that are left."""
    inbox: Inbox = queue.Queue()
    client = Client(parse_url("mqtt://127.0.0.1:1"), inbox, name="c", client_id="c")
    said: list[str] = []
    Collector(
        store, client, inbox, Clock(ClockKind.BATCH, now_s * 1_000_000), say=said.append, remark=said.append
    ).turn()
    return kept(store)


def test_visits_hours_and_days_go_in_their_time_and_leave_no_trace(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    end_s = BEGAN_S + 3600
    with store.writing():
        store.put_visits(LIVE, [visit(NAME, start_s=BEGAN_S, end_s=end_s)])
        store.put_bucket(LIVE, Origin.HUB, bucket(BEGAN_S))
        store.put_bucket(LIVE, Origin.HUB, bucket(BEGAN_S, grain="day"))
    assert at(store, end_s + VISITS_KEPT_S) == (1, 1, 1)
    assert NAME.encode() in bytes_of(tmp_path)
    assert at(store, end_s + VISITS_KEPT_S + 1) == (0, 1, 1)
    assert at(store, end_s + HOURS_KEPT_S) == (0, 1, 1)
    assert at(store, end_s + HOURS_KEPT_S + 1) == (0, 0, 1)
    assert at(store, end_s + DAYS_KEPT_S) == (0, 0, 1)
    assert at(store, end_s + DAYS_KEPT_S + 1) == (0, 0, 0)
    store.close()
    assert NAME.encode() not in bytes_of(tmp_path)


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(f"{FILE}*"))
