"""Batches that are lost, damaged, doubled or overtaken between broker and hub: the firmware gives each once more."""

import queue
import random
from collections import Counter
from dataclasses import replace

import pytest

from hostkit.hub import parts
from hostkit.io.mqtt import Arrived, Item
from tests.firmware.board import Board
from tests.firmware.shop import PROBE, Shop, frame, wait

pytestmark = pytest.mark.needs("mosquitto")
SEED = 11
BATCHES = 24
FAULTS = {"lost": 0.1, "damaged": 0.1, "doubled": 0.2, "overtaken": 0.15}  # shares of the batches that arrive


class BadInbox(queue.Queue[Item]):
    """The hub's inbox behind a seeded line that spoils batches. What it loses is not confirmed to the broker."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.met: Counter[str] = Counter()
        self._random = random.Random(SEED)
        self._late: list[Item] = []

    def put(self, item: Item, block: bool = True, timeout: float | None = None) -> None:
        for one in self._spoilt(item):
            super().put(one, block, timeout)

    def _spoilt(self, item: Item) -> list[Item]:
        if not isinstance(item, Arrived) or not item.topic.endswith("/obs"):
            return [item]
        draw = self._random.random()
        for fault, share in FAULTS.items():
            draw -= share
            if draw < 0:
                self.met[fault] += 1
                break
        late, self._late = self._late, []
        match fault if draw < 0 else "":
            case "lost":
                return late
            case "damaged":
                at = self._random.randrange(len(item.payload))
                return [replace(item, payload=item.payload[:at] + b"\xa5" + item.payload[at + 1 :]), *late]
            case "doubled":
                return [item, item, *late]
            case "overtaken":
                self._late = [item]
                return late
        return [item, *late]


def test_what_the_line_spoils_is_given_again_in_time(shop: Shop, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    bad: list[BadInbox] = []
    monkeypatch.setattr(parts, "Queue", lambda size: bad.append(BadInbox(size)) or bad[-1])
    shop.start_hub()
    try:
        board.start()
        board.until("app.capture.key_id")
        number = 0
        while board.eval("app.capture.seq") < BATCHES:
            board.air(*[frame(number + more) for more in range(36)])
            number += 36
            board.until("not app.radio.any()")
            board.until("len(app.spool) < 8")
        made = board.eval("app.capture.seq")
        wait(lambda: taken(shop) >= made, 60.0)
        assert shop.hub is not None
        intake = shop.hub._parts.intake
        assert (intake.lost, intake.batches) == (0, taken(shop))
        assert set(bad[0].met) == set(FAULTS)
    finally:
        shop.stop_hub()


def taken(shop: Shop) -> int:
    assert shop.hub is not None
    return shop.hub._parts.intake.taken().get((PROBE, 1), 0)
