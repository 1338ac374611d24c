"""The probe with the real C module at 200 frames/s through faults: its heap stays flat, and no batch goes unnamed.

A slice of seconds here; FOOTFALL_SOAK=SECONDS makes it as long as that, which scripts/soak does.
"""

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from hostkit.contract.codec import CMD
from hostkit.contract.messages import GiveKeys
from tests.firmware.board import SOFT, Board
from tests.firmware.micropython import UNIX_NEEDS
from tests.firmware.shop import Hand, Shop, frame, give, spans, wait

pytestmark = pytest.mark.needs("mosquitto")
SOAK_S = float(os.environ.get("FOOTFALL_SOAK", "0"))
RUN_S, CALM_S = (SOAK_S, 10.0) if SOAK_S else (14.0, 2.0)  # whole, and between two faults
RATE_HZ = 200
STEP_S = 0.05
GROWTH_BYTES = 2048  # of the heap within a boot: what waits differs from moment to moment
KEY_S = RUN_S + 7200


class Soak:
    """One run: what was put on air by boot, and what the heap held."""

    def __init__(self, shop: Shop, board: Board, hand: Hand) -> None:
        self.shop, self.board, self.hand = shop, board, hand
        self.boot = 1
        self.aired: Counter[int] = Counter()
        self.heap: dict[int, list[int]] = {}
        self._numbers = itertools.count()
        self._rotations = itertools.count(1)

    def listen(self, for_s: float) -> None:
        """Let it hear frames for so long, as fast as RATE_HZ."""
        until = due = time.monotonic()
        until += for_s
        while due < until:
            frames = [frame(next(self._numbers) % 4096) for _ in range(round(RATE_HZ * STEP_S))]
            self.board.air(*frames)
            self.aired[self.boot] += len(frames)
            due += STEP_S
            time.sleep(max(0.0, due - time.monotonic()))

    def settle(self) -> None:
        """Wait until the hub has everything, then look at the heap."""
        self.board.until("app.capture.key_id and app.uplink.link and len(app.spool) <= 1", 60)
        self.heap.setdefault(self.boot, []).append(self.board.eval("(gc.collect(), gc.mem_alloc())[1]"))

    def broker_dies(self) -> None:
        self.shop.broker.stop(signal.SIGKILL)
        self.listen(CALM_S / 2)
        self.shop.broker.start()

    def clock_steps(self) -> None:
        self.hand.ahead_s = 1800.0 - self.hand.ahead_s

    def key_rotates(self) -> None:
        self.hand.keys = spans(time.time() - 60, time.time() + KEY_S + next(self._rotations))
        self.hand.say("cmd/key", CMD, GiveKeys(id="k2", keys=self.hand.keys))

    def power_goes(self) -> None:
        self.board.cut()
        self.board.start(cause=SOFT)
        self.boot += 1
        self.hand.infos.clear()
        give(self.hand)
        self.board.until("app.capture.key_id")

    def faults(self) -> list[Callable[[], None]]:
        return [self.broker_dies, self.clock_steps, self.key_rotates, self.power_goes]


@pytest.mark.parametrize("program", ["dot11cap"], indirect=True)
@pytest.mark.needs(*UNIX_NEEDS)
@pytest.mark.timeout(RUN_S * 2 + 120)
def test_through_faults_nothing_goes_unnamed(shop: Shop, board: Board, hand: Hand) -> None:
    soak = Soak(shop, board, hand)
    hand.keys = spans(time.time() - 60, time.time() + KEY_S)
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    ends = time.monotonic() + RUN_S
    for fault in itertools.cycle(soak.faults()):
        soak.listen(CALM_S)
        soak.settle()
        if time.monotonic() > ends:
            break
        fault()
    batches = wait(lambda: whole(soak))
    lost = Counter(missing(batches, boot) for boot in range(1, soak.boot + 1))
    growth = max(max(rows) - rows[0] for rows in soak.heap.values())
    print(f"{sum(soak.aired.values())} frames, {len(batches)} batches, {soak.boot} boots; batches lost a boot {lost}")
    print(f"heap {soak.heap[1][0]} bytes, most growth within a boot {growth}")
    assert growth <= GROWTH_BYTES
    for boot in range(1, soak.boot):  # what went with the power is named by the boot after
        upto = next(info.last.upto for info in hand.infos if info.last) if boot == soak.boot - 1 else 0
        assert upto == 0 or upto >= max(seq for of, seq in batches if of == boot)
        assert missing(batches, boot) <= 8
    assert missing(batches, soak.boot) == 0
    assert board.eval("[app.spool.dropped_batches, app.radio.stats()[2]]") == [0, 0]


def missing(batches: dict[tuple[int, int], int], boot: int) -> int:
    """Give how many numbers below a boot's last are not there."""
    seqs = [seq for of, seq in batches if of == boot]
    return max(seqs, default=0) - len(seqs)


def whole(soak: Soak) -> dict[tuple[int, int], int]:
    """Give records by batch once every frame of the last boot came; nothing before."""
    held = {name: len(batch.records) for name, batch in soak.shop.batches().items()}
    came = sum(count for (boot, _), count in held.items() if boot == soak.boot)
    return held if came == soak.aired[soak.boot] else {}
