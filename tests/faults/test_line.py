"""Rows over a line that delays, doubles, overtakes, damages, cuts and dies: each stored once, none missing.

FOOTFALL_SOAK=SECONDS sends so many times more; scripts/soak does so. A failure names its seed.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.hub import uplink
from tests.collector.shop import Shop, simulated
from tests.faults.hop import TURN_S, Receiver, Sender, stored
from tests.faults.proxy import Faults, Proxy
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
SEED = int(os.environ.get("FOOTFALL_SEED", "11"))
SOAK_S = float(os.environ.get("FOOTFALL_SOAK", "0"))
ROWS = 40 + round(SOAK_S * 5)
LINES = {
    "late": Faults(latency_s=0.02),
    "twice": Faults(duplicate=0.5),
    "overtaken": Faults(reorder=0.4),
    "lost": Faults(lose=0.05),
    "damaged": Faults(corrupt=0.08),
    "garbled": Faults(garble=0.02),
    "cut": Faults(latency_s=0.01),  # and each line cut, or left open and dead, in turn: see below
    "dead": Faults(latency_s=0.01),
    # A connection must live for longer than what is on its way at once, or nothing ever moves.
    "everything": Faults(duplicate=0.1, reorder=0.1, lose=0.01, corrupt=0.02, garble=0.002, reset=0.003, freeze=0.002),
}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulated(40, 2.0, 9)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path, lines=("max_queued_messages 0",)).start()
    yield broker
    broker.stop()


@pytest.mark.parametrize("name", LINES)
def test_every_row_arrives_once(
    name: str, shop: Shop, broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink, "RESEND_S", 1.0)  # a test of minutes in seconds
    monkeypatch.setattr(uplink, "LONGEST_RESEND_S", 4.0)
    chance = random.Random(f"{SEED} {name}")
    with Proxy(broker.port, seed=chance.randrange(1 << 30)) as up, Proxy(broker.port, seed=SEED) as down:
        receiver = Receiver(tmp_path / "collector", down.url)
        sender = Sender(tmp_path, up.url, shop)
        sender.produce(ROWS // 2)
        while not sender.client.connected:
            time.sleep(0.01)
        up.faults = down.faults = LINES[name]
        deaths = (
            [(1.0 + 2 * n + chance.random(), (up, down)[n % 2]) for n in range(4)] if name in {"cut", "dead"} else []
        )
        left, began_s = ROWS - ROWS // 2, time.monotonic()
        while left or sender.outbox.depth or deaths:
            assert time.monotonic() < began_s + 120.0 + 2 * SOAK_S, (
                f"seed {SEED}: {sender.outbox.depth} rows still wait"
            )
            if deaths and time.monotonic() > began_s + deaths[0][0]:
                line = deaths.pop(0)[1]
                line.freeze() if name == "dead" else line.reset()
            if left and chance.random() < 0.1:
                sender.produce(1)
                left -= 1
            if not left and sender.outbox.depth < 5:  # or the last one might meet a fault for ever
                up.calm()
                down.calm()
            sender.turn()
            time.sleep(TURN_S)
        took_s = time.monotonic() - began_s
        sender.stop()
        receiver.stop()
        met = up.met + down.met
    print(f"\nseed {SEED}, {name}: {ROWS} rows in {took_s:.1f} s, {dict(met)}, sent again {sender.uplink.resent} times")
    assert sorted(stored(tmp_path / "collector")) == sorted(sender.produced)
    assert len(sender.produced) == 2 * ROWS
    for fault in ("duplicate", "reorder", "lose", "corrupt", "garble"):
        assert bool(getattr(LINES[name], fault)) <= bool(met[fault]) or name == "everything", f"no {fault} was met"
    assert name not in {"cut", "dead"} or met["reset"] + met["freeze"] > 2
