"""The collector as a process beside a real broker: nothing lost, nothing twice, whatever is killed or full."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.io.store_sqlite import FILE
from tests.cli.command import ONE_LINE, footfall, refused
from tests.collector.running import CollectorProcess, KeepingHub, rows_of, until
from tests.collector.shop import BOOT, HubVoice, Shop, day, simulated
from tests.io.brokers import Mosquitto

PLACE = "places/demo/corner-shop/simulated"
pytestmark = pytest.mark.needs("mosquitto")


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulated(120, 4.0, 5)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


def stored(data: Path) -> tuple[dict[str, int], int, list[tuple[int, int]]]:
    """Visits with their revision, how many rows, and (upto, top) of the outboxes."""
    database = sqlite3.connect(f"file:{data / FILE}?mode=ro", uri=True)
    visits = database.execute("SELECT visit_id, rev FROM visit").fetchall()
    outboxes = database.execute("SELECT upto, top FROM outbox WHERE counted").fetchall()
    database.close()
    return dict(visits), len(visits), outboxes


def run_hub(hub: KeepingHub, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not hub.done:
        assert time.monotonic() < deadline, "the hub still waits for acks"
        hub.turn()


def test_sigkill_in_mid_ingest_loses_nothing_and_doubles_nothing(tmp_path: Path, broker: Mosquitto, shop: Shop) -> None:
    posts = list(day(shop, HubVoice(shop.site)))
    collector = CollectorProcess(broker.url, tmp_path / "data")
    hub = KeepingHub(broker.url, posts, boot=BOOT)
    for part in (0.2, 0.5, 0.8):
        until_rows = int(part * len(rows_of(posts)))
        deadline = time.monotonic() + 60
        while stored(collector.data)[1] < until_rows:
            assert time.monotonic() < deadline
            hub.turn()
        collector.kill()
    run_hub(hub)
    until(lambda: collector.get(f"{PLACE}/quality?day=2025-03-04")["completeness"] == 1.0)  # type: ignore[index]
    assert collector.stop() == 0
    hub.stop()
    visits, rows, outboxes = stored(collector.data)
    assert visits == rows_of(posts)
    assert rows == len(visits)
    sent = sum(post.topic.endswith("/visits") for post in posts)
    assert outboxes == [(sent, sent)]


def test_a_broker_killed_and_absent_is_waited_for(tmp_path: Path, shop: Shop) -> None:
    broker = Mosquitto(tmp_path)
    posts = list(day(shop, HubVoice(shop.site)))
    collector = CollectorProcess(broker.url, tmp_path / "data")
    until(lambda: "Connection refused; it is tried again" in collector.log.read_text())
    broker.start()
    hub = KeepingHub(broker.url, posts, boot=BOOT)
    while stored(collector.data)[1] < 10:
        hub.turn()
    broker.stop(signal.SIGKILL)
    broker.start()
    run_hub(hub)
    assert collector.stop() == 0
    hub.stop()
    broker.stop()
    assert stored(collector.data)[0] == rows_of(posts)
    lines = collector.log.read_text().splitlines(keepends=True)
    assert len(lines) <= 6
    assert all(ONE_LINE.fullmatch(line) for line in lines), lines


@pytest.mark.needs("prlimit")
def test_a_full_disk_is_told_once_and_nothing_is_lost(tmp_path: Path, broker: Mosquitto, shop: Shop) -> None:
    posts = list(day(shop, HubVoice(shop.site)))
    collector = CollectorProcess(broker.url, tmp_path / "data", prefix=("prlimit", "--fsize=200000:unlimited"))
    hub = KeepingHub(broker.url, posts, boot=BOOT)
    deadline = time.monotonic() + 60
    while FILE not in collector.log.read_text():
        assert time.monotonic() < deadline
        hub.turn()
    time.sleep(1)
    assert collector.process.poll() is None
    assert collector.log.read_text().count(FILE) == 1
    subprocess.run(["prlimit", f"--pid={collector.process.pid}", "--fsize=unlimited"], check=True)
    run_hub(hub)
    assert collector.stop() == 0
    hub.stop()
    assert stored(collector.data)[0] == rows_of(posts)


def test_a_port_in_use_is_one_line(tmp_path: Path, broker: Mosquitto) -> None:
    arguments = ("collector", "run", "--broker", broker.url, "--data", tmp_path / "data", "--http")
    refused(
        footfall(*arguments, f"127.0.0.1:{broker.port}"),
        6,
        r"127\.0\.0\.1:\d+: cannot listen \(Address already in use\)",
    )
    refused(footfall(*arguments, "8080"), 2, "--http: '8080' is not HOST:PORT")
    refused(footfall("collector", "run", "--broker", "mqtt://example.com"), 4, "plain connection .* is refused")
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / FILE).write_bytes(b"no database" * 999)
    refused(footfall(*arguments, "127.0.0.1:0"), 5, f"{FILE}: cannot be used .file is not a database.")


def test_closed_hours_are_published_with_their_revision(tmp_path: Path, broker: Mosquitto, shop: Shop) -> None:
    posts = list(day(shop, HubVoice(shop.site)))
    listener = KeepingHub(broker.url, [HubVoice(shop.site).site(shop.start_s)], boot="none")
    collector = CollectorProcess(broker.url, tmp_path / "data")
    hub = KeepingHub(broker.url, posts, boot=BOOT)
    run_hub(hub)
    database = sqlite3.connect(f"file:{collector.data / FILE}?mode=ro", uri=True)
    query = "SELECT count(*) FROM bucket WHERE origin='collector' AND grain='hour' AND published_rev=rev AND rev>0"
    until(lambda: database.execute(query).fetchone()[0] >= 3)
    database.close()
    assert collector.stop() == 0
    hub.stop()
    listener.stop()
