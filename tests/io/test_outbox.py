"""The hub's file: together or not at all, never twice, bounded, and one line when the disk or the file refuses."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit.contract.messages import LostReason
from hostkit.errors import StorageError
from hostkit.io.outbox import KEPT_BOOTS, Bucket, Life, Lost, Outbox, Waiting

LIFE = Life(id="l1", key_id=7, site="")


def put(outbox: Outbox, count: int) -> list[int]:
    return [outbox.put(n, lambda seq: f"row {seq}".encode()) for n in range(count)]


def reopened(outbox: Outbox, path: Path) -> Outbox:
    outbox.close()
    return Outbox(path)


def test_what_is_not_committed_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    outbox = Outbox(path)
    outbox.begin_life(LIFE)
    put(outbox, 2)
    outbox.set_taken("p", 1, 5)
    outbox.commit()
    put(outbox, 3)
    outbox.set_taken("p", 1, 9)
    outbox.set_checkpoint(b"open")
    again = reopened(outbox, path)
    assert again.waiting(0, 10) == (Waiting(seq=1, payload=b"row 1"), Waiting(seq=2, payload=b"row 2"))
    assert again.taken() == {("p", 1): 5}
    assert again.checkpoint() == b""
    assert (again.life(), again.depth, again.boot) == (LIFE, 2, outbox.boot)


def test_seq_never_comes_twice_even_after_all_rows_went(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    put(outbox, 3)
    outbox.acknowledge(3)
    outbox.commit()
    again = reopened(outbox, tmp_path / "hub.db")
    assert (again.depth, again.gone, again.last) == (0, 3, 3)
    assert put(again, 1) == [4]


def test_acks_free_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    put(outbox, 5)
    outbox.acknowledge(2)
    outbox.acknowledge(1)
    assert [row.seq for row in outbox.waiting(0, 10)] == [3, 4, 5]
    outbox.acknowledge(2**31 - 1)  # a collector that claims what never was
    assert (outbox.depth, outbox.gone) == (0, 5)
    assert put(outbox, 1) == [6]


def lost(first: int, last: int, reason: LostReason, *, rows: int = 0, since_s: int, until_s: int) -> Waiting:
    record = Lost(first=first, last=last, rows=rows, since_s=since_s, until_s=until_s, reason=reason)
    return Waiting(seq=last, lost=record)


def message(visits: int, *, size: int = 0) -> bytes:
    return json.dumps({"data": {"rows": [{}] * visits, "pad": "x" * size}}).encode()


def test_beyond_the_cap_of_size_the_oldest_go_and_one_record_takes_their_place(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    outbox = Outbox(path, max_bytes=3 * len(message(2)))
    for at_s in range(10, 15):
        outbox.put(at_s, lambda _: message(2))
    outbox.commit()
    again = reopened(outbox, path)
    record, *rows = again.waiting(0, 10)
    assert record == lost(1, 2, LostReason.SIZE, rows=4, since_s=10, until_s=11)
    assert [row.seq for row in rows] == [3, 4, 5]
    assert (again.gone, again.lost, again.lost_visits, again.depth, again.oldest_at_s) == (0, 2, 4, 4, 10)
    assert list(again.waiting(2, 1)) == rows[:1]
    again.acknowledge(2)
    assert [row.seq for row in again.waiting(0, 10)] == [3, 4, 5]
    assert (again.gone, again.depth, again.bytes) == (2, 3, 3 * len(message(2)))


def test_one_row_larger_than_the_cap_stays(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db", max_bytes=10)
    put(outbox, 2)
    outbox.put(9, lambda _: message(1, size=99))
    assert [(row.seq, row.lost is None) for row in outbox.waiting(0, 10)] == [(2, False), (3, True)]


def test_what_is_too_old_goes_up_to_the_first_that_is_not(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    for at_s in (100, 200, 300, 150, 400):
        outbox.put(at_s, lambda _: message(1))
    assert outbox.expire(50) == 0
    assert outbox.expire(250) == 2
    assert outbox.expire(301) == 2  # the one of 150 came after the clock was set
    record, last = outbox.waiting(0, 10)
    assert record == lost(1, 4, LostReason.AGE, rows=4, since_s=100, until_s=300)
    assert (last.seq, outbox.lost, outbox.depth) == (5, 4, 2)
    assert outbox.expire(1000) == 1
    assert outbox.waiting(0, 10) == (lost(1, 5, LostReason.AGE, rows=5, since_s=100, until_s=400),)
    outbox.acknowledge(5)
    assert (outbox.depth, outbox.bytes, outbox.oldest_at_s) == (0, 0, None)
    assert put(outbox, 1) == [6]


def test_records_of_different_reasons_stand_beside_each_other(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db", max_bytes=4 * len(message(1)))
    for at_s in range(4):
        outbox.put(at_s, lambda _: message(1))
    outbox.expire(1)
    for at_s in range(4, 7):
        outbox.put(at_s, lambda _: message(1))
    outbox.expire(4)
    found = [(row.lost.first, row.lost.last, row.lost.reason) for row in outbox.waiting(0, 10) if row.lost]
    assert found == [(1, 1, LostReason.AGE), (2, 3, LostReason.SIZE), (4, 4, LostReason.AGE)]
    assert (outbox.depth, outbox.lost) == (6, 4)


def test_a_life_takes_journal_and_checkpoint_of_the_one_before(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    outbox.begin_life(LIFE)
    outbox.journal(b"a")
    outbox.journal(b"b")
    outbox.set_checkpoint(b"c")
    outbox.add_visits([(10.0, b"v")], 4)
    assert list(outbox.journal_entries()) == [b"a", b"b"]
    life = outbox.life()
    assert life is not None
    assert life.visits == 4
    outbox.begin_life(Life(id="l2", key_id=8, site=""))
    assert (list(outbox.journal_entries()), outbox.checkpoint()) == ([], b"")
    assert outbox.visits() == (b"v",)


def test_boots_long_gone_are_forgotten(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    for boot in range(1, 9):
        outbox.set_taken("p", boot, boot)
    outbox.set_taken("p", 2, 99)  # flash erased: the counter began anew
    assert len(outbox.taken()) == KEPT_BOOTS
    assert outbox.taken()["p", 2] == 99


def test_hours_are_sent_until_confirmed(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    first, second = Bucket(start_s=3600, rev=1, payload=b"1"), Bucket(start_s=3600, rev=2, payload=b"2")
    outbox.set_bucket(first)
    outbox.set_bucket(second)
    outbox.buckets_sent((first,))  # confirmed too late: a newer one replaced it
    assert outbox.buckets_to_send(9) == (second,)
    assert outbox.bucket(3600) == second
    outbox.buckets_sent((second,))
    assert outbox.buckets_to_send(9) == ()
    assert outbox.send_again(0, 3600) == 0
    assert outbox.send_again(3600, 7200) == 1
    outbox.forget_before(0, 7200)
    assert outbox.bucket(3600) is None


def test_one_hub_a_file(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    with pytest.raises(StorageError, match="locked"):
        Outbox(tmp_path / "hub.db")
    outbox.close()
    Outbox(tmp_path / "hub.db").close()


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to look like one" * 40])
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"hub\.db: "):
        Outbox(path)
    assert path.read_bytes() == content


def test_anothers_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine(a)")
    other.close()
    with pytest.raises(StorageError, match="another program's"):
        Outbox(path)


def fill(outbox: Outbox) -> None:
    for _ in range(100):
        outbox.put(0, lambda seq: bytes(4096))


def test_a_full_disk_is_one_line_and_loses_nothing_committed(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    outbox = Outbox(path)
    put(outbox, 3)
    outbox.commit()
    (pages,) = outbox._db.execute("PRAGMA page_count").fetchone()
    outbox._db.execute(f"PRAGMA max_page_count = {pages + 4}")  # SQLite's own word for a full disk
    with pytest.raises(StorageError, match=r"hub\.db: cannot be written \(database or disk is full\); free some"):
        fill(outbox)
    again = reopened(outbox, path)
    assert again.depth == 3


WRITER = """
import sys
from pathlib import Path
from hostkit.io.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
while True:
    for _ in range(3):
        seq = outbox.put(0, lambda seq: b"x" * 500)
    outbox.set_taken("p", 1, seq)
    outbox.commit()
    print(seq, flush=True)
"""


def test_a_killed_writer_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    told = 0
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        assert writer.stdout is not None
        for _ in range(20):
            told = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        outbox = Outbox(path)
        upto = outbox.taken()["p", 1]
        assert upto >= told
        assert [row.seq for row in outbox.waiting(0, 10**6)] == list(range(1, upto + 1))
        outbox.close()
