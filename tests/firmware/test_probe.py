"""The whole firmware on a real MicroPython, over TLS to a real mosquitto: what the hub gets through faults."""

import signal
import time
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from hostkit.contract.codec import ACK, CMD
from hostkit.contract.messages import Ack, AskKeys
from hostkit.core.wire import Batch, decode_batch
from hostkit.io.memory import CACHED_BYTES
from hostkit.model import Provenance, Radio
from tests.firmware.board import PATIENCE_S, Board, row_of
from tests.firmware.micropython import EARS
from tests.firmware.shop import PLACE, PROBE, Hand, Shop, frame, give, is_batch, spans, wait

pytestmark = pytest.mark.needs("mosquitto")
ROTATION_S = 3
KEPT = 8  # messages that the board has its time from


def records(batches: dict[tuple[int, int], Batch]) -> list[np.void]:
    return [record for batch in batches.values() for record in batch.records]


def holds(shop: Shop, numbers: range, key: bytes, *, real: bool = False) -> bool:
    """Tell whether each of these frames came exactly once, whole and keyed."""
    rows = sorted((tuple(record)[1:] for record in records(shop.batches())), key=lambda row: int(row[3]))
    if len(rows) < len(numbers):
        return False
    for number, row in zip(numbers, rows, strict=True):
        assert row == row_of(frame(number), key, real=real), number
    return True


def contiguous(batches: dict[tuple[int, int], Batch], boot: int) -> None:
    """Check that a boot's batches lack none and leave no time between them."""
    rows = [batch for (of, _), batch in batches.items() if of == boot]
    assert [batch.seq for batch in rows] == list(range(1, len(rows) + 1))
    for one, after in pairwise(rows):
        assert one.sent_us == after.base_us


@EARS
def test_boot_key_capture_batch_reach_the_real_hub(shop: Shop, board: Board) -> None:
    shop.start_hub()
    try:
        board.start()
        board.until("app.capture.key_id")
        for number in range(100):
            board.air(frame(number))
        key = bytes.fromhex(board.eval("app.keys.messages()")[0]["key"])
        wait(lambda: holds(shop, range(100), key, real=board.real))
        board.until("app.counts.passed['acknowledged'] >= 3 and len(app.spool) <= 1")
    finally:
        shop.stop_hub()
    batches = shop.batches()
    contiguous(batches, 1)
    last = list(batches.values())[-1]
    assert (last.probe, last.provenance, last.boot) == (PROBE, Provenance.LIVE, 1)
    assert (last.seen, last.kept, last.dropped) == (100, 100, 0)
    assert [(entry.radio, entry.channel) for entry in last.listened] == [
        (Radio.WIFI, channel) for channel in (1, 6, 11)
    ]
    listened_ms = sum(entry.listened_ms for batch in batches.values() for entry in batch.listened)
    span_ms = (last.sent_us - batches[1, 1].base_us) / 1000
    assert 0.9 * span_ms < listened_ms <= span_ms
    assert abs((last.base_time_us + last.sent_us - last.base_us) / 1e6 - time.time()) < 60
    states = [message for message in shop.heard if message.topic == f"{PLACE}/{PROBE}/state"]
    assert [message.payload for message in states][-1] == b"online"


@EARS
def test_no_key_no_capture(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    wait(lambda: hand.infos)
    board.air(*[frame(number) for number in range(50)])
    time.sleep(1.5)
    assert not shop.of("obs")
    assert board.eval("app.radio.stats()")[0] == 0 or not board.real
    assert hand.infos[-1].key_id is None
    give(hand)
    board.until("app.capture.key_id")
    board.air(frame(1))
    wait(shop.batches)


@EARS
def test_a_killed_broker_loses_nothing(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    key = bytes.fromhex(board.eval("app.keys.messages()")[0]["key"])
    for number in range(300):
        board.air(frame(number))
        if number == 100:
            shop.broker.stop(signal.SIGKILL)
        if number == 200:
            shop.broker.start()
        time.sleep(0.01)
    wait(lambda: holds(shop, range(300), key, real=board.real))
    contiguous(shop.batches(), 1)
    board.until("not len(app.spool)")
    assert board.eval("app.counts.drops['link_refused']") >= 1


@EARS
def test_what_does_not_fit_ram_waits_on_flash(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    key = bytes.fromhex(board.eval("app.keys.messages()")[0]["key"])
    shop.broker.stop(signal.SIGKILL)
    for number in range(720):
        board.air(frame(number))
    board.until("len(app.spool) >= 20 and app.spool.log.entries >= 10")
    shop.broker.start()
    wait(lambda: holds(shop, range(720), key, real=board.real))
    contiguous(shop.batches(), 1)
    board.until("not app.spool.log.entries")
    assert not list((board.flash / "spool").iterdir())


def test_overflow_drops_the_oldest_and_says_so(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    board.run("app.spool.log._most = 2")
    shop.broker.stop(signal.SIGKILL)
    for start in range(0, 3600, 72):
        board.air(*[frame(number) for number in range(start, start + 72)])
        board.until("not app.radio.any()")
    dropped = board.until("app.spool.dropped_batches")
    shop.broker.start()
    board.until("not len(app.spool)")
    dropped, lost = board.eval("[app.spool.dropped_batches, app.spool.dropped_records]")
    batches = wait(lambda: shop.batches() if (1, board.eval("app.capture.seq") - 1) in shop.batches() else None)
    last = list(batches.values())[-1]
    missing = len([seq for seq in range(1, last.seq + 1) if (1, seq) not in batches])
    assert 0 < missing == dropped
    assert last.kept - len(records(batches)) == lost == last.dropped


@EARS
def test_a_power_cut_loses_only_ram_and_names_it(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    shop.broker.stop(signal.SIGKILL)
    for start in range(0, 720, 36):
        board.air(*[frame(number) for number in range(start, start + 36)])
        board.until("not app.radio.any()")
    board.until("app.spool.log.entries >= 10")
    on_flash = board.eval("app.spool.log.entries")
    made = board.eval("app.capture.seq")
    board.cut()
    shop.broker.start()
    board.start(cause=5)  # the chip restarts with its RTC memory
    give(hand)
    wait(lambda: (2, 2) in shop.batches())
    batches = shop.batches()
    assert len([1 for boot, _ in batches if boot == 1]) >= on_flash
    # The hub takes a boot for over once it has heard of its end: after the last of it, before the first of the next.
    order = [
        decode_batch(message.payload).boot if is_batch(message) else 0
        for message in list(shop.taken)
        if is_batch(message) or (message.topic.endswith("/info") and b'"last"' in message.payload)
    ]
    assert order.index(0) > max(at for at, boot in enumerate(order) if boot == 1)
    assert order.index(0) < order.index(2)
    said = wait(lambda: next((info for info in hand.infos if info.last), None))
    assert said.last is not None
    assert (said.last.boot, said.last.upto >= made) == ("1", True)
    contiguous(batches, 2)


@EARS
def test_a_restart_on_command_loses_nothing(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    key = bytes.fromhex(board.eval("app.keys.messages()")[0]["key"])
    board.air(*[frame(number) for number in range(40)])
    wait(shop.batches)
    board.air(*[frame(number) for number in range(40, 60)])
    number = hand.command("restart")
    hand.answer(number)
    board.wait_reset()
    hand.acks = False
    board.start(cause=5)
    give(hand)
    board.until("app.capture.seq >= 2")
    upto = board.eval("app.state.last_seq")
    wait(lambda: (1, upto) in shop.batches())
    assert not [seq for boot, seq in shop.batches() if boot == 2]  # before the end of the boot before is sure
    hand.acks = True
    hand.say("ack", ACK, Ack(boot="1", upto=upto))
    board.air(*[frame(number) for number in range(60, 80)])
    wait(lambda: holds(shop, range(80), key, real=board.real))
    batches = shop.batches()
    contiguous(batches, 1)
    contiguous(batches, 2)
    assert max(seq for boot, seq in batches if boot == 1) == upto
    assert wait(lambda: next((info.last.upto for info in hand.infos if info.last), 0)) == upto


@EARS
def test_rotation_leaves_no_gap(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    ends_s = int(time.time()) + ROTATION_S
    running, following = hand.keys[0], spans(ends_s, ends_s + 3600)[0]
    hand.keys = (msgspec.structs.replace(running, until_s=ends_s), following)
    hand.give()
    number = after = 0
    deadline = time.monotonic() + PATIENCE_S
    while after < 100:
        assert time.monotonic() < deadline
        board.air(frame(number))
        number += 1
        after += bool(after) or following.key_id in {batch.key_id for batch in shop.batches().values()}
        if after == 1:
            hold_up(hand)
        time.sleep(0.005)
    wait(lambda: len(records(shop.batches())) == number)
    batches = shop.batches()
    contiguous(batches, 1)
    ids = [batch.key_id for batch in batches.values()]
    assert ids == sorted(ids)
    assert set(ids) == {running.key_id, following.key_id}
    first, second = bytes.fromhex(running.key), bytes.fromhex(following.key)
    for batch in batches.values():
        key = first if batch.key_id == ids[0] else second
        for record in batch.records:
            assert tuple(record)[1:] == row_of(frame(int(record["sequence"])), key, real=board.real)
    assert wait(lambda: hand.infos[-1].key_id == ids[-1])
    assert [key["key"] for key in board.eval("app.keys.messages()")] == [second.hex()]


def hold_up(hand: Hand) -> None:
    """Let all that comes be late: by it the board's time goes back before the rotation."""
    hand.ahead_s = -1.9
    for _ in range(KEPT):
        hand.say("ack", ACK, Ack(boot="1", upto=0))


def test_a_key_that_is_over_stops_capture(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand, for_s=600)
    board.until("app.capture.key_id")
    hand.ahead_s = 1200
    board.until("app.capture.key_id is None")
    assert board.eval("app.radio.key") is None
    wait(lambda: hand.infos[-1].key_id is None)
    assert board.eval("app.keys.any") is False


def test_a_hub_without_key_gets_it_back(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand, next_for_s=7200)
    board.until("app.capture.key_id")
    hand.say("cmd/ask-key", CMD, AskKeys(id="a1"))
    answer = hand.answer("a1")
    assert [key.key for key in answer.keys] == [key["key"] for key in board.eval("app.keys.messages()")]
    asked = wait(lambda: [message for message in list(shop.heard) if message.topic.endswith("rsp/a1")])
    assert [message.retained for message in asked] == [False]
    assert all(len(message.payload) > CACHED_BYTES for message in asked)  # the hub's copies are overwritten when freed


def test_a_clock_step_moves_no_record(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    board.air(frame(1))
    wait(lambda: len(shop.batches()) >= 2)
    hand.ahead_s = 1800
    board.until("app.counts.passed['clock_steps'] >= 1")
    wait(lambda: offsets(shop)[-1] - offsets(shop)[0] > 1700e6)
    contiguous(shop.batches(), 1)


def offsets(shop: Shop) -> list[int]:
    return [batch.base_time_us - batch.base_us for batch in shop.batches().values()]
