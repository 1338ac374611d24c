"""The other ways to the hub: serial over a pty with damage, Wi-Fi parked and in bursts; blank boards, tags, stock."""

import json
import os
import random
import select
import threading
import time
import tty
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hostkit.contract.codec import ACK, CMD, HEALTH, INFO, RSP, Kind, compose, encode
from hostkit.contract.messages import Ack, AskKeys, GiveKeys
from hostkit.contract.topics import Address
from hostkit.core.framing import FrameKind, FrameReader, encode_frame
from hostkit.core.wire import Batch, decode_batch
from hostkit.model import Provenance
from tests.firmware.board import Board
from tests.firmware.micropython import EARS
from tests.firmware.shop import PLACE, PROBE, SITE, Hand, Shop, frame, give, now, spans, wait


class Line:
    """The hub's end of a serial line. `spoil` of the bytes each way are dropped, doubled or changed."""

    def __init__(self, seed: int = 1) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        self.spoil = 0.0
        self.acks = True
        self.reader = FrameReader()
        self.batches: dict[tuple[int, int], bytes] = {}
        self.again = 0
        self.messages: list[dict[str, Any]] = []
        self.raw = b""
        self._random = random.Random(seed)
        self._seq = 0
        self._upto: Counter[int] = Counter()  # by boot
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def say(self, stream: str, kind: Kind[Any], data: object) -> None:
        """Send one message of the hub."""
        self._seq += 1
        hub = Address(tenant=SITE.tenant, site=SITE.site, node="hub")
        message = compose(kind, data, publisher=hub, at=now(), boot="run-1", seq=self._seq, provenance=Provenance.LIVE)
        text = b'{"stream":"' + stream.encode() + b'","data":' + encode(kind, message) + b"}"
        self.write(b"\0" + self._spoilt(encode_frame(FrameKind.MESSAGE, text)))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        os.write(self.master, data)

    def room(self) -> int:
        """Give how many bytes may come now."""
        return 4096

    def of(self, stream: str) -> list[Any]:
        """Give what came on a stream."""
        return [message["data"] for message in list(self.messages) if message["stream"] == stream]

    def close(self) -> None:
        """Unplug."""
        self._over.set()
        self._thread.join(5)
        os.close(self.master)
        os.close(self._slave)

    def _spoilt(self, data: bytes) -> bytes:
        if not self.spoil:
            return data
        out = bytearray()
        for byte in data:
            if self._random.random() >= self.spoil:
                out.append(byte)
                continue
            fault = self._random.randrange(3)
            out += [b"", bytes([byte, self._random.randrange(256)]), bytes([byte ^ 1 << self._random.randrange(8)])][
                fault
            ]
        return bytes(out)

    def _listen(self) -> None:
        while not self._over.is_set():
            room = self.room()
            if not room:
                time.sleep(0.002)
                continue
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            data = os.read(self.master, room)
            self.raw += data
            for kind, payload in self.reader.feed(self._spoilt(data)):
                if kind is FrameKind.BATCH:
                    self._take(payload)
                else:
                    self.messages.append(json.loads(payload))

    def _take(self, payload: bytes) -> None:
        batch = decode_batch(payload)
        self.again += (batch.boot, batch.seq) in self.batches
        assert self.batches.setdefault((batch.boot, batch.seq), payload) == payload
        if self.acks:
            while (batch.boot, self._upto[batch.boot] + 1) in self.batches:
                self._upto[batch.boot] += 1
            self.say("ack", ACK, Ack(boot=str(batch.boot), upto=self._upto[batch.boot]))


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@pytest.fixture
def wired(tmp_path: Path, line: Line, program: Path | None) -> Iterator[Board]:
    board = Board(tmp_path / "flash", pty=line.path, program=program)
    yield board
    board.stop()


SERIAL = {"probe": PROBE, "tenant": SITE.tenant, "site": SITE.site, "uplink": "serial", "batch_s": 1, "dwell_ms": 100}


def keyed(board: Board, line: Line) -> None:
    board.settings(**SERIAL)
    board.start()
    wait(lambda: line.of("info"))
    deadline = time.monotonic() + 60
    while not board.eval("app.capture.key_id"):
        assert time.monotonic() < deadline
        line.say("cmd/key", CMD, GiveKeys(id="k1", keys=spans(time.time() - 60, time.time() + 3600)))
        time.sleep(0.3)


@EARS
def test_serial_carries_keys_batches_and_messages(wired: Board, line: Line) -> None:
    keyed(wired, line)
    for number in range(200):
        wired.air(frame(number))
    wired.until("app.counts.passed['acknowledged'] >= 6 and app.capture.kept == 200")
    batches = [decode_batch(data) for data in line.batches.values()]
    assert sorted(record["sequence"] for batch in batches for record in batch.records) == list(range(200))
    info = INFO.decoder.decode(json.dumps(line.of("info")[-1]).encode()).data
    assert info.key_id == batches[-1].key_id
    assert line.of("state") == []
    line.say("cmd/ask-key", CMD, AskKeys(id="a1"))
    answer = wait(lambda: line.of("rsp/a1"))[0]
    assert RSP.decoder.decode(json.dumps(answer).encode()).data.keys[0].key_id == info.key_id
    wired.run("app.uplink.say('health', 'health', app.health.data(), 0)")
    HEALTH.decoder.decode(json.dumps(wait(lambda: line.of("health"))[0]).encode())


@EARS
def test_a_line_that_drops_and_adds_bytes_loses_no_batch(wired: Board, line: Line) -> None:
    keyed(wired, line)
    line.spoil = 0.0005  # about every second frame
    for number in range(400):
        wired.air(frame(number))
        time.sleep(0.005)
    wired.until("app.capture.kept == 400")
    line.spoil = 0.0005
    wired.until("len(app.spool) <= 1 and app.counts.drops['line_damaged'] >= 1")
    line.spoil = 0
    wired.until("len(app.spool) <= 1")
    batches = [decode_batch(data) for data in dict(line.batches).values()]
    assert {record["sequence"] for batch in batches for record in batch.records} == set(range(400))
    assert sorted(batch.seq for batch in batches) == list(range(1, len(batches) + 1))
    assert line.reader.damaged > 0
    assert wired.eval("app.health.data()['drops']['line_damaged']") > 0


def test_garbage_on_the_line_is_counted_and_survived(wired: Board, line: Line) -> None:
    keyed(wired, line)
    os.write(line.master, random.Random(7).randbytes(20_000))
    os.write(line.master, b"\0" + encode_frame(FrameKind.MESSAGE, b"[]") + encode_frame(FrameKind.MESSAGE, b"{"))
    os.write(
        line.master, encode_frame(FrameKind.BATCH, b"x") + encode_frame(FrameKind.MESSAGE, b'{"stream":"ack","data":5}')
    )
    wired.until("app.counts.drops['line_damaged'] >= 10 and app.counts.drops['messages_refused'] >= 3")
    count = len(line.batches)
    wired.air(frame(1))
    wait(lambda: len(line.batches) > count + 1)


def test_a_hub_that_is_plugged_in_later_gets_everything(wired: Board, line: Line) -> None:
    keyed(wired, line)
    line.acks = False
    line.spoil = 1.0
    for number in range(36 * 12):
        wired.air(frame(number))
    wired.until("app.spool.log.entries >= 4")
    line.spoil, line.acks = 0.0, True
    wired.until("len(app.spool) <= 1")
    batches = [decode_batch(data) for data in dict(line.batches).values()]
    assert {record["sequence"] for batch in batches for record in batch.records} == set(range(36 * 12))


# -- boards without settings --


def test_a_blank_board_is_set_up_over_its_line(wired: Board, line: Line) -> None:
    wired.start()
    for settings, wrong in ((dict(SERIAL, probe="NO"), "probe"), ({}, "missing")):
        order(line, "s1", settings)
        assert wrong in wait(lambda: line.of("rsp/s1")).pop()["error"]["what"]
        line.messages.clear()
    order(line, "s2", SERIAL)
    assert wait(lambda: line.of("rsp/s2")) == [{"id": "s2", "held": {"version": 1, **SERIAL}}]
    wired.wait_reset()
    wired.start(cause=5)
    wait(lambda: line.of("info"))
    assert wired.eval("[app.settings.get('probe'), app.store.on_trial]") == [PROBE, True]
    line.say("cmd/key", CMD, GiveKeys(id="k1", keys=spans(time.time() - 60, time.time() + 3600)))
    wired.until("app.capture.key_id and not app.store.on_trial")


def order(line: Line, number: str, settings: dict[str, object]) -> None:
    text = json.dumps({"stream": "cmd/set-config", "data": {"data": {"id": number, "settings": settings}}})
    os.write(line.master, b"\0" + encode_frame(FrameKind.MESSAGE, text.encode()))


def test_improv_joins_the_network_or_says_why_not(wired: Board, line: Line) -> None:
    wired.start()
    wired.network(password="mysecurepassword")
    wired.run("from sensor import net; net.UP_MS = 400")
    wrong = bytes.fromhex("01") + b"\x0cMyWirelessAP\x04nono"
    os.write(line.master, packet(3, b"\x01" + bytes([len(wrong) - 1]) + wrong[1:]))
    wait(lambda: packet(2, b"\x03") in line.raw)  # unable to connect
    os.write(line.master, bytes.fromhex("494d50524f5601030001040200") + packet(3, b"\x02\x00"))  # rubbish, then state?
    wait(lambda: packet(1, b"\x02") in line.raw)
    good = bytes.fromhex("011e0c4d79576972656c6573734150106d7973656375726570617373776f7264")
    os.write(line.master, packet(3, good))
    wait(lambda: packet(1, b"\x04") in line.raw)
    wait(lambda: packet(4, b"\x01\x00") in line.raw)
    order(line, "s1", dict(SERIAL, uplink="wifi-park", host="hub.local"))
    wait(lambda: line.of("rsp/s1"))
    wired.wait_reset()
    held = json.loads((wired.flash / "settings.next").read_text())
    assert (held["ssid"], held["password"], held["uplink"]) == ("MyWirelessAP", "mysecurepassword", "wifi-park")


def packet(kind: int, data: bytes) -> bytes:
    body = b"IMPROV\x01" + bytes([kind, len(data)]) + data
    return body + bytes([sum(body) & 255])


def test_a_tag_beacons_and_hears_nothing(tmp_path: Path) -> None:
    board = Board(tmp_path / "flash")
    board.settings(**dict(SERIAL, role="tag", probe="tag-7"))
    board.start()
    try:
        board.until("app.beats >= 1")
        board.run("import bluetooth")
        (advert,) = board.eval("[advert.hex() for advert in bluetooth.adverts]")
        assert b"tag-7" in bytes.fromhex(advert)
        assert len(bytes.fromhex(advert)) <= 31
        assert board.eval("bluetooth.scans") == []
    finally:
        board.stop()


# -- Wi-Fi --


@EARS
@pytest.mark.needs("mosquitto")
def test_a_parked_probe_stays_on_its_access_points_channel(shop: Shop, board: Board, hand: Hand) -> None:
    board.settings(**shop.settings(uplink="wifi-park", ssid="shop", password="secret"))
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    board.air(frame(1))
    wait(lambda: [batch for batch in shop.batches().values() if len(batch.records)])
    assert {entry.channel for batch in shop.batches().values() for entry in batch.listened} == {6}
    board.network(ap=False)
    shop.broker.stop()
    board.until("app.uplink.link is None")
    board.air(frame(2))
    time.sleep(1.2)
    board.network(ap=True)
    shop.broker.start()
    wait(lambda: len([1 for batch in shop.batches().values() if len(batch.records)]) == 2)
    assert [batch.seq for batch in shop.batches().values()] == list(range(1, len(shop.batches()) + 1))


@pytest.mark.needs("mosquitto")
def test_bursts_give_the_radio_to_either_side(shop: Shop, board: Board, hand: Hand) -> None:
    board.settings(**shop.settings(uplink="wifi-burst", ssid="shop", password="secret", burst_s=10))
    board.start()
    board.run("app.settings._values['burst_s'] = 2")
    give(hand)
    board.until("app.capture.key_id")
    sent = 0
    deadline = time.monotonic() + 60
    while not gaps(list(shop.batches().values())):
        assert time.monotonic() < deadline
        if board.eval("app.radio.tuned and not app.capture._held"):
            board.air(frame(sent))
            sent += 1
        time.sleep(0.05)
    batches = list(shop.batches().values())
    assert [batch.seq for batch in batches] == list(range(1, len(batches) + 1))
    states = [message.payload for message in shop.heard if message.topic == f"{PLACE}/{PROBE}/state"]
    assert b"sleeping" in states
    assert b"offline" not in states[states.index(b"sleeping") :]
    assert sent > 0
    assert sum(len(batch.records) for batch in batches) > sent / 2


def gaps(batches: list[Batch]) -> int:
    """Count where a batch begins after the end of the one before: while it talked it did not listen, and says so."""
    return sum(after.base_us > before.sent_us for before, after in pairwise(batches))


# -- stock images --


@pytest.mark.needs("mosquitto")
def test_a_stock_image_hears_ble_alone_and_says_so(tmp_path: Path, shop: Shop, hand: Hand) -> None:
    board = Board(tmp_path / "flash", stock=True)
    board.settings(**shop.settings())
    board.start()
    try:
        give(hand)
        board.until("app.capture.key_id")
        assert [str(radio) for radio in hand.infos[-1].radios] == ["ble"]
        board.run("import bluetooth")
        board.until("bluetooth.scans")
        board._say(verb="ble", adverts=[[1, "c2aabbccddee", 0, -61, "02010603031818"], [0, "020106", 4, -50, ""]])
        board._say(verb="ble", adverts=[[1, "42aabbccddee", 3, -62, "0201060aff4c001005031c8a1b2c"]])
        wait(lambda: [batch for batch in shop.batches().values() if len(batch.records)])
        batch = next(batch for batch in shop.batches().values() if len(batch.records))
        rows = [record for one in shop.batches().values() for record in one.records]
        assert [int(row["flags"]) for row in rows][:1] == [2]
        assert {entry.radio.value for entry in batch.listened} == {"ble"}
    finally:
        board.stop()
