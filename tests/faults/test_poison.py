"""A hub and a collector over files that are damaged, newer, or hold rows of nobody: refused in one line, or set aside.

Refused: the file stays byte for byte as it was, with all that waits in it.
"""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hostkit.config import dump_site
from hostkit.errors import StorageError
from hostkit.hub.keeper import Keeper
from hostkit.hub.voice import Voice
from hostkit.io.outbox import Bucket, Life, Outbox
from hostkit.io.store_sqlite import FILE, SqliteStore
from hostkit.model import Provenance
from tests.cli.command import COMMAND, ROOT
from tests.collector.running import CollectorProcess, KeepingHub, until
from tests.collector.shop import BOOT, HubVoice, day, simulated
from tests.hub.service import SETTINGS, HubProcess
from tests.hub.test_keeper import speaker
from tests.io.brokers import Mosquitto

SITE = SETTINGS.site


def sql(statement: str) -> Callable[[Path], None]:
    def poison(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(statement)

    return poison


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 9] = os.urandom(4096 * 6)
    path.write_bytes(data)


def by_stream(collector: CollectorProcess) -> dict[str, int]:
    answer = collector.get("quarantine")
    assert isinstance(answer, dict)
    return dict(answer["by_stream"])


def no_database(path: Path) -> None:
    path.write_bytes(b"hello world" * 1000)


def filled(folder: Path) -> Path:
    """Give a hub's file in which something waits."""
    path = folder / "hub.db"
    outbox = Outbox(path)
    outbox.begin_life(Life(id="a", key_id=1, site=dump_site(SITE)))
    outbox.put(1, lambda seq: b"{}")
    outbox.commit()
    outbox.close()
    return path


@pytest.mark.parametrize(
    ("poison", "what", "step"),
    [
        (no_database, "not a database", "move it away"),
        (cut, "malformed", "move it away"),
        (scribble, "is damaged", "move it away"),
        (sql("PRAGMA user_version = 99"), "newer release", "update footfall"),
        (sql("PRAGMA application_id = 5"), "another program's", "--data"),
        (sql("DROP TABLE visit"), "no such table", "move it away"),
        (sql("INSERT INTO visit(end_s, data) VALUES (4e9, 'text')"), "strange kind in visit", "move it away"),
        (sql("INSERT INTO bucket VALUES (3600, 'x', x'00', 0)"), "strange kind in bucket", "move it away"),
        (sql("INSERT INTO taken VALUES ('p', 'x', 'y')"), "strange kind in taken", "move it away"),
        (sql("UPDATE life SET key_id = 'x'"), "strange kind in life", "move it away"),
        (sql("INSERT INTO outbox(at_s, payload) VALUES ('x', x'00')"), "strange kind in outbox", "move it away"),
        (sql("INSERT INTO lost VALUES (9, 1, 1, 1, 1, 'boredom')"), "strange kind in lost", "move it away"),
        (sql("UPDATE meta SET value = 'x' WHERE name = 'gone'"), "strange kind in meta", "move it away"),
        (sql("DELETE FROM meta WHERE name = 'boot'"), "it has no boot", "move it away"),
    ],
)
def test_a_hub_refuses_a_file_that_is_not_whole(
    poison: Callable[[Path], None], what: str, step: str, tmp_path: Path
) -> None:
    path = filled(tmp_path)
    poison(path)
    before = path.read_bytes()
    with pytest.raises(StorageError) as refused:
        Outbox(path)
    assert what in refused.value.what
    assert step in refused.value.next_step
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before


def test_the_command_says_it_in_one_line(tmp_path: Path) -> None:
    path = filled(tmp_path)
    scribble(path)
    (tmp_path / "site.toml").write_text(dump_site(SITE), encoding="utf-8")
    command = [*COMMAND, "hub", "run", "--site", str(tmp_path / "site.toml"), "--broker", "mqtt://127.0.0.1:1"]
    done = subprocess.run(
        [*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5
    assert [line for line in done.stderr.splitlines() if "hub.db: is damaged" in line]
    assert "Traceback" not in done.stderr


def test_a_hub_leaves_out_visits_and_hours_it_cannot_read_and_keeps_them(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "hub.db")
    outbox.add_visits([(4e9, b"junk"), (4e9, b'{"visit_id": "v1"}')], 0)
    outbox.set_bucket(Bucket(start_s=3600, rev=7, payload=b"junk"))
    outbox.commit()
    voice = Voice(SITE)
    voice.provenance = Provenance.SIMULATED
    keeper = Keeper(SITE, outbox, voice)
    assert (keeper.strange, keeper.figures.visits) == (2, [])
    assert len(outbox.visits()) == 2
    keeper.figures._dirty.add(3600)
    assert speaker(keeper, outbox, tmp_path).close_hours(1e6, 1e6)
    again = outbox.bucket(3600)
    assert again is not None
    assert again.rev == 8  # whoever has the bad one takes this
    outbox.close()


@pytest.mark.needs("mosquitto")
def test_rows_that_break_the_contract_end_in_quarantine_and_what_follows_them_arrives(tmp_path: Path) -> None:
    """An outbox filled with what no hub wrote: sent, refused with a reason, acknowledged, gone."""
    broker = Mosquitto(tmp_path).start()
    data = tmp_path / "data"
    data.mkdir()
    outbox = Outbox(data / "hub.db")
    outbox.set_word("provenance", "simulated")
    for payload in (b"junk", b"{}", b"\xff\xfe", json.dumps({"data": [1] * 1000}).encode()):
        outbox.put(1, lambda seq, payload=payload: payload)  # type: ignore[misc]
    outbox.commit()
    outbox.close()
    collector = CollectorProcess(broker.url, tmp_path / "store")
    hub = HubProcess(tmp_path, broker.url, data=data, clock="wall").start()
    hub.said("site broker: connected")
    until(lambda: by_stream(collector).get("visits") == 4)
    assert hub.stop() == 0, hub.lines
    assert collector.stop() == 0
    with closing(sqlite3.connect(tmp_path / "store" / FILE)) as database:
        reasons = [reason for (reason,) in database.execute("SELECT reason FROM quarantine")]
    assert len(reasons) == 4
    assert all(reasons)
    broker.stop()


@pytest.mark.parametrize(
    ("poison", "what"),
    [
        (no_database, "not a database"),
        (cut, "malformed"),
        (sql("PRAGMA user_version = 99"), "newer version"),
        (sql("DROP TABLE place"), "no such table"),
        (sql("INSERT INTO place(tenant, site, provenance) VALUES ('a', 'b', 'bogus')"), "strange kind in place"),
        (sql("INSERT INTO dirty VALUES (1, 'x')"), "strange kind in dirty"),
    ],
)
def test_a_collector_refuses_a_store_that_is_not_whole(
    poison: Callable[[Path], None], what: str, tmp_path: Path
) -> None:
    SqliteStore(tmp_path).close()
    poison(tmp_path / FILE)
    with pytest.raises(StorageError, match=what):
        SqliteStore(tmp_path)


@pytest.mark.needs("mosquitto")
def test_a_collector_sets_rows_aside_that_it_cannot_read_and_goes_on(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path).start()
    shop = simulated(60, 2.0, 5)
    posts = list(day(shop, HubVoice(shop.site)))
    collector = CollectorProcess(broker.url, tmp_path / "store")
    hub = KeepingHub(broker.url, posts, boot=BOOT)
    while not hub.done:
        hub.turn()
    assert collector.stop() == 0
    with closing(sqlite3.connect(tmp_path / "store" / FILE)) as database, database:
        database.execute("INSERT OR IGNORE INTO dirty SELECT place_id, start_s / 3600 * 3600 FROM visit")
        (poisoned,) = database.execute("SELECT min(visit_id) FROM visit").fetchone()
        database.execute("UPDATE visit SET body = 'junk' WHERE visit_id = ?", (poisoned,))
        database.execute("UPDATE bucket SET body = x'ff00', published_rev = 0")
        database.execute("UPDATE snapshot SET body = '{}' WHERE kind = 'live'")
    again = CollectorProcess(broker.url, tmp_path / "store")
    until(lambda: by_stream(again).get("store", 0) >= 2)
    assert again.stop() == 0
    assert "Traceback" not in again.log.read_text()
    with closing(sqlite3.connect(tmp_path / "store" / FILE)) as database:
        assert database.execute("SELECT count(*) FROM visit WHERE visit_id = ?", (poisoned,)).fetchone() == (0,)
        kept = database.execute("SELECT topic, reason, body FROM quarantine").fetchall()
    assert ("store/visit", b"junk") in [(topic, body) for topic, _, body in kept]
    assert all("cannot be read" in reason for _, reason, _ in kept)
    hub.stop()
    broker.stop()
