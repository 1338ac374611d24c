"""The hub's file: together or not at all, never twice, bounded, and one line when the disk or the file refuses."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit.errors import StorageError
from hostkit.io.outbox import KEPT_BOOTS, Bucket, Life, Outbox

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
    assert again.waiting(0, 10) == ((1, b"row 1"), (2, b"row 2"))
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
    assert [seq for seq, _ in outbox.waiting(0, 10)] == [3, 4, 5]
    outbox.acknowledge(2**31 - 1)  # a collector that claims what never was
    assert (outbox.depth, outbox.gone) == (0, 5)
    assert put(outbox, 1) == [6]


def test_beyond_capacity_the_oldest_go_and_are_told(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db", capacity=3)
    put(outbox, 5)
    outbox.commit()
    again = reopened(outbox, tmp_path / "hub.db")
    assert [seq for seq, _ in again.waiting(0, 10)] == [3, 4, 5]
    assert (again.gone, again.lost) == (2, 2)


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
        assert [seq for seq, _ in outbox.waiting(0, 10**6)] == list(range(1, upto + 1))
        outbox.close()
