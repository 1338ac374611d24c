"""The probe with the real C module at 200 frames/s through faults: its heap stays flat, every lost batch is named.

A slice of seconds here; FOOTFALL_SOAK=SECONDS makes it as long as that by the probe's clock, which then runs twenty
times as fast; scripts/soak does so.
"""

import itertools
import os
import signal
import time
from binascii import crc32
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.contract.codec import CMD
from hostkit.contract.messages import GiveKeys
from hostkit.core.wire import decode_batch
from tests.faults.clock import FastClock
from tests.firmware.board import SOFT, Board
from tests.firmware.micropython import UNIX_NEEDS
from tests.firmware.shop import Hand, Shop, frame, give, is_batch, spans, wait

pytestmark = pytest.mark.needs("mosquitto")
SOAK_S = float(os.environ.get("FOOTFALL_SOAK", "0"))
SPEED = 20 if SOAK_S else 1  # of every clock the probe sees; its hub, broker and radio keep up
RUN_S, CALM_S = (SOAK_S, min(SOAK_S / 20, 300.0)) if SOAK_S else (14.0, 2.0)  # whole, and between two faults
OUTAGES_S = (min(CALM_S / 2, 15.0), CALM_S / 2)  # the longer is more than flash holds
RATE_HZ = 200
STEP_S = 0.05
GROWTH_BYTES = 2048  # of the heap within a boot: what waits differs from moment to moment
KEY_S = RUN_S + 7200
WINDOW = 8  # batches in RAM at most
# What leaves a full flash, written down in the board's folder by (boot, seq).
NOTE_DROPPED = """
def note(log=app.spool.log, drop=app.spool.log._drop_segment):
    def noted(at):
        number, size, entries, _ = log._segments[at]
        begin = 0 if at else log._front
        with open("dropped", "a") as file:
            while entries and begin < size:
                head = log._read(number, begin, 38)
                file.write("%d %d\\n" % (head[2], head[3]))
                begin += 42 + (head[1] + 15) // 16 * 16
        drop(at)
    log._drop_segment = noted
note()
"""


class Soak:
    """One run: what was put on air by boot, what came of it, and what the heap held. Seconds are the probe's."""

    def __init__(self, shop: Shop, board: Board, hand: Hand) -> None:
        self.shop, self.board, self.hand = shop, board, hand
        self.boot = 1
        self.aired: Counter[int] = Counter()
        self.batches: dict[tuple[int, int], tuple[int, int]] = {}  # (boot, seq): CRC-32 of its bytes, records
        self.named: Counter[int] = Counter()  # batches dropped by boot, as health names them
        self.upto: dict[int, int] = {}  # the last batch of a boot, as the boot after names it
        self.heap: dict[int, list[int]] = {}
        self._numbers = itertools.count()
        self._rotations = itertools.count(1)
        self._outages_s = itertools.cycle(OUTAGES_S)

    def listen(self, for_s: float) -> None:
        """Let it hear frames for so long, as fast as RATE_HZ."""
        began_s = time.monotonic()
        for step in range(round(for_s / STEP_S)):
            frames = [frame(next(self._numbers) % 4096) for _ in range(round(RATE_HZ * STEP_S))]
            self.board.air(*frames)
            self.aired[self.boot] += len(frames)
            time.sleep(max(0.0, began_s + (step + 1) * STEP_S / SPEED - time.monotonic()))

    def settle(self) -> None:
        """Wait until the hub has everything and was told of what it cannot have; then look at the heap."""
        self.board.until("app.capture.key_id and app.uplink.link and len(app.spool) <= 1", 60)
        self.heap.setdefault(self.boot, []).append(self.board.eval("(gc.collect(), gc.mem_alloc())[1]"))
        self.named[self.boot] = named = self.board.eval("app.spool.dropped_batches")
        if named:
            wait(lambda: any(health.drops.get("spool_batches") == named for health in self.hand.healths))
        self.book()

    def book(self) -> None:
        """Take over what came; a batch that comes again must be the same."""
        for messages in (self.shop.heard, self.shop.taken):
            count = len(messages)
            for message in messages[:count]:
                if is_batch(message):
                    batch = decode_batch(message.payload)
                    row = (crc32(message.payload), len(batch.records))
                    assert self.batches.setdefault((batch.boot, batch.seq), row) == row
            del messages[:count]

    def broker_dies(self) -> None:
        self.shop.broker.stop(signal.SIGKILL)
        self.listen(next(self._outages_s))
        self.shop.broker.start()

    def clock_steps(self) -> None:
        self.hand.ahead_s = 1800.0 - self.hand.ahead_s

    def key_rotates(self) -> None:
        now_s = self.hand.wall()
        self.hand.keys = spans(now_s - 60, now_s + KEY_S + next(self._rotations))
        self.hand.say("cmd/key", CMD, GiveKeys(id="k2", keys=self.hand.keys))

    def power_goes(self) -> None:
        self.board.cut()
        self.board.start(cause=SOFT)
        self.boot += 1
        self.hand.infos.clear()
        self.hand.healths.clear()
        self.begin()
        self.upto[self.boot - 1] = wait(lambda: next((info.last.upto for info in self.hand.infos if info.last), None))

    def begin(self) -> None:
        """Have it hear, and note what it drops."""
        give(self.hand)
        self.board.until("app.capture.key_id")
        self.board.run(NOTE_DROPPED)

    def faults(self) -> list[Callable[[], None]]:
        return [self.broker_dies, self.clock_steps, self.key_rotates, self.power_goes]

    def all_came(self) -> bool:
        """Tell whether every frame of the last boot came that was not dropped by name."""
        self.book()
        came = sum(records for (boot, _), (_, records) in self.batches.items() if boot == self.boot)
        return came + int(self.board.eval("app.spool.dropped_records")) >= self.aired[self.boot]

    def missing(self) -> set[tuple[int, int]]:
        """Give what was made and never came; what went with the power is behind the last of its boot that came."""
        last = {boot: max(seq for of, seq in self.batches if of == boot) for boot in range(1, self.boot + 1)}
        return {(boot, seq) for boot, upto in last.items() for seq in range(1, upto + 1)} - self.batches.keys()

    def dropped(self) -> list[tuple[int, int]]:
        """Give what left a full flash."""
        path = self.board.flash / "dropped"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(boot), int(seq)) for boot, seq in map(str.split, lines)]


@pytest.mark.parametrize("program", ["dot11cap"], indirect=True)
@pytest.mark.needs(*UNIX_NEEDS)
@pytest.mark.timeout(RUN_S / SPEED * 2 + 120)
def test_through_faults_nothing_goes_unnamed(shop: Shop, board: Board, hand: Hand, clock_library: Path) -> None:
    soak, clock = Soak(shop, board, hand), FastClock(SPEED)
    board.environment, hand.wall = clock.environment(clock_library), clock.now_s
    hand.keys = spans(clock.now_s() - 60, clock.now_s() + KEY_S)
    board.start()
    soak.begin()
    began_s = clock.now_s()
    for fault in itertools.cycle(soak.faults()):
        soak.listen(CALM_S)
        soak.settle()
        share = (clock.now_s() - began_s) / RUN_S
        print(f"\r{share:.0%}, {len(soak.batches)} batches, boot {soak.boot}", end=" ", flush=True)
        if clock.now_s() > began_s + RUN_S:
            break
        fault()
    took_s = clock.now_s() - began_s
    wait(soak.all_came)
    missing, dropped = soak.missing(), soak.dropped()
    growth = max(max(rows) - rows[0] for rows in soak.heap.values())
    print(f"\n{took_s:.0f} s, {sum(soak.aired.values())} frames, {len(soak.batches)} batches, {soak.boot} boots")
    print(f"batches missing {len(missing)}, dropped from flash {len(dropped)}, named by health {soak.named.total()}")
    print(f"heap {soak.heap[1][0]} bytes, most growth within a boot {growth}")
    assert growth <= GROWTH_BYTES
    assert sorted(missing) == sorted(dropped)
    assert Counter(boot for boot, _ in dropped) == +soak.named
    for boot in range(1, soak.boot):  # what went with the power is named by the boot after
        assert 0 <= soak.upto[boot] - max(seq for of, seq in soak.batches if of == boot) <= WINDOW
    assert board.eval("app.radio.stats()[2]") == 0
    assert SOAK_S or not dropped
