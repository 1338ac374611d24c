"""What a hub can tell a probe, and everything that is not a command: the probe stays up and says what was wrong."""

import base64
import json
import secrets
import signal
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature

from hostkit.contract.messages import Health
from hostkit.core.describe import describe_frame
from hostkit.identity.authority import Authority
from tests.builders import probe_request
from tests.faults.clock import FastClock
from tests.firmware.board import SOFT, Board
from tests.firmware.shop import PROBE, Hand, Shop, frame, give, identity, spans, wait

pytestmark = pytest.mark.needs("mosquitto")

SOON_S = 60


def health(board: Board, hand: Hand) -> Health:
    """Let it say how it is."""
    count = len(hand.healths)
    board.run("app.uplink.say('health', 'health', app.health.data(), 0)")
    return wait(lambda: hand.healths[count:])[-1]


def started(board: Board, hand: Hand) -> None:
    board.start()
    give(hand)
    board.until("app.capture.key_id")


def test_health_keeps_the_contract(board: Board, hand: Hand) -> None:
    started(board, hand)
    board.air(*[frame(number) for number in range(40)])
    board.until("app.capture.kept == 40")
    said = health(board, hand)
    assert (said.counters["seen"], said.counters["kept"], said.counters["reset_pwron"]) == (40, 40, 1)
    assert said.counters["temperature_k"] == 41 + 273
    assert said.clock.synced
    assert said.memory is not None
    assert said.memory.free_bytes > said.memory.largest_block_bytes > 16_384


def test_the_watchdog_is_fed_only_while_all_is_well(board: Board, hand: Hand) -> None:
    started(board, hand)
    board.run("import machine; from sensor import app as sensor_app; sensor_app.FEED_MS = 50")
    board.until("machine.fed_ms and app.health.well()")
    board.run("from sensor import health as h; h.EAR_MS = -1")
    assert board.eval("app.health.well()") is False
    time.sleep(2.1)
    last = board.eval("machine.fed_ms")
    time.sleep(0.5)
    assert board.eval("machine.fed_ms") == last
    assert board.eval("wdt_timeout") == 60_000


def test_who_loses_a_task_begins_anew(shop: Shop, board: Board, hand: Hand) -> None:
    started(board, hand)
    board.air(frame(1))
    board.run("app.uplink.info = None; app.tell()")
    board.wait_reset()
    assert "TypeError" in board.output.read_text()
    board.start(cause=5)
    board.until("app.capture.key_id and not app.spool.log.entries")
    wait(lambda: [record for batch in shop.batches().values() for record in batch.records])


def test_describe_is_what_the_hub_computes(board: Board, hand: Hand) -> None:
    description = describe_frame(probe_request(secrets.token_bytes(6)))
    started(board, hand)
    board.run(f"app.radio.descriptions[{description.fingerprint}] = bytes.fromhex('{description.data.hex()}')")
    answer = hand.answer(
        hand.command("describe", expires=int(time.time()) + SOON_S, fingerprints=[description.fingerprint, 5])
    )
    (row,) = answer.descriptions
    data = b"".join(bytes([one.id, one.length]) + bytes.fromhex(one.stable) for one in row.elements)
    assert (row.fingerprint, data) == (description.fingerprint, description.data)


def test_identify_log_and_unknown_commands(board: Board, hand: Hand) -> None:
    started(board, hand)
    soon = int(time.time()) + SOON_S
    assert hand.answer(hand.command("identify", expires=soon, probe=PROBE, seconds=5)).error is None
    assert board.eval("app.led()") == "identify"
    assert "refused" in (hand.answer(hand.command("identify", expires=soon, seconds=0)).outcome)
    assert "does not know" in hand.answer(hand.command("dance", expires=soon)).error.what  # type: ignore[union-attr]
    late = hand.answer(hand.command("identify", expires=int(time.time()) - 300))
    assert late.error is not None
    assert "expired" in late.error.what
    board.run("app.uplink.note('a line of the log')")
    assert hand.answer(hand.command("read-log", expires=soon)).lines == ("a line of the log",)
    assert health(board, hand).drops["commands_refused"] == 3


def test_measure_a_beacon(board: Board, hand: Hand) -> None:
    started(board, hand)
    ssid_key = board.eval(
        "__import__('sensor.siphash', None, None, ('siphash',)).siphash(app.capture.key().raw, b'door')"
    )
    number = hand.command("measure", expires=int(time.time()) + SOON_S, beacon="door", channel=11, seconds=1)
    board.until("app.radio.tuned == 11")
    for rssi in range(-70, -49):
        board.air(
            ("020000000001", 1, ssid_key & 0xFFFFFFFF, 0, rssi, -95, 11, 1), ("020000000002", 1, 5, 0, -20, 0, 11, 1)
        )
    measured = hand.answer(number).measured
    assert measured is not None
    assert (measured.frames, measured.rssi_dbm, measured.low_dbm, measured.high_dbm) == (21, -60, -68, -52)
    board.until("app.capture.key_id")


def test_beacons_go_out_in_their_slot(board: Board, hand: Hand) -> None:
    started(board, hand)
    assert hand.answer(hand.command("beacon", slot_ms=150, period_ms=500, count=2, channel=6)).error is None
    board.until("app.counts.passed['beacons_sent'] == 2")
    sent = board.eval(
        "[[at - app.radio.now_us() + app.utc_us(), channel, frame.hex()] for at, channel, frame in app.radio.sent]"
    )
    assert [channel for _, channel, _ in sent] == [6] * 8
    for at_us, _, data in sent:
        assert 150 <= at_us / 1000 % 500 < 300
        assert PROBE.encode().hex() in data
        describe_frame(bytes.fromhex(data))  # a whole probe request


NONSENSE = [
    ("ack", b""), ("ack", b"{"), ("ack", b"[]"), ("ack", b"\xff\xfe"), ("ack", b'"' * 500), ("config", b"{}"),
    ("cmd/key", b"null"), ("cmd/key", b'{"data": {"verb": "key"}}'), ("cmd/x", b"\x00" * 100), ("ack", b"[" * 400),
    ("ack", b"x" * 5000),
]  # fmt: skip


def test_nonsense_changes_nothing(shop: Shop, board: Board, hand: Hand) -> None:
    started(board, hand)
    keys = board.eval("app.keys.messages()")
    for stream, payload in NONSENSE:
        hand.raw(stream, payload)
    for fields in (
        {"keys": []}, {"keys": [{"key_id": 1}]}, {"keys": "x"}, {"keys": [dict(keys[0], key="00")]},
        {"keys": [dict(keys[0], key_id=-1)]},
    ):  # fmt: skip
        hand.command("key", **fields)
    hand.command("measure", beacon=5)
    hand.command("set-config", settings={"port": 0})
    hand.command("update", step="data", offset=0, data="")
    board.until("app.counts.drops['commands_refused'] + app.counts.drops['messages_refused'] >= 17")
    board.air(frame(1))
    wait(lambda: [batch for batch in shop.batches().values() if len(batch.records)])
    assert board.eval("app.keys.messages()") == keys
    assert board.eval("app.uplink.link is not None")
    assert board.eval("app.counts.passed['connections']") == 1
    said = health(board, hand)
    assert said.drops["messages_refused"] + said.drops["commands_refused"] >= 17
    assert said.drops["settings_refused"] == 1
    assert sorted(path.name for path in board.flash.glob("settings*")) == ["settings.json"]


def test_a_broker_of_another_authority_is_refused(shop: Shop, board: Board, tmp_path: Path) -> None:
    theirs = Authority.create("somebody else", time.time()).certificate.decode()
    board.settings(**shop.settings(ca=theirs))
    board.start()
    board.until("app.counts.drops['tls_refused'] >= 1")
    assert board.eval("app.uplink.link is None and app.health.well()")
    assert board.eval("app.counts.passed['connections']") == 0
    assert board.eval("app.radio.key is None")


def test_a_name_the_certificate_has_not_is_refused(shop: Shop, board: Board) -> None:
    board.settings(**shop.settings(host="127.1"))  # the same machine, not by a name that its certificate has
    board.start()
    board.until("app.counts.drops['tls_refused'] >= 1")


@pytest.mark.parametrize("text", ["{", '{"version": 2}', "\x00" * 3000, '{"version": 1, "probe": "x"}'])
def test_bad_settings_fall_back_and_are_named(shop: Shop, board: Board, hand: Hand, text: str) -> None:
    (board.flash / "settings.next").write_text(text)
    board.start()
    give(hand)
    board.until("app.capture.key_id")
    assert health(board, hand).drops["settings_refused"] == 1
    (line,) = hand.answer(hand.command("read-log")).lines
    assert line.startswith("settings: ")


def test_secrets_are_read_though_no_large_block_is_left(shop: Shop, board: Board, hand: Hand) -> None:
    """As after days: pieces of 2 KB are all that is left, and to connect the settings are read."""
    started(board, hand)
    board.run(
        "held, ours = [], bytearray(6000)\ntry:\n    while True:\n        held.append(bytearray(2048))\n"
        "except MemoryError:\n    pass\n"
        "for index in range(0, len(held), 2):\n    held[index] = None\nours = None\ngc.collect()\n"
    )  # `ours` is what this line to the board takes
    assert board.eval("[len(app.settings.secrets()[name]) > 200 for name in ('ca', 'cert', 'key')]") == [True] * 3


@pytest.mark.needs("gcc")
def test_who_finds_no_memory_to_connect_begins_anew(shop: Shop, board: Board, hand: Hand, clock_library: Path) -> None:
    """A heap in pieces stays so; what was heard goes onto flash before."""
    clock = FastClock(20)
    board.environment, hand.wall = clock.environment(clock_library), clock.now_s
    hand.keys = spans(clock.now_s() - 60, clock.now_s() + 7200)
    started(board, hand)
    board.run("import sensor.mqtt\ndef starved(*_):\n    raise MemoryError('no piece')\nsensor.mqtt.secured = starved")
    shop.broker.stop(signal.SIGKILL)
    board.air(frame(1))
    shop.broker.start()
    board.wait_reset()
    assert "no piece" in board.output.read_text()
    board.start(cause=SOFT)
    board.until("app.capture.key_id and not app.spool.log.entries")
    wait(lambda: [record for batch in shop.batches().values() for record in batch.records])


def test_settings_that_reach_nobody_come_back(shop: Shop, board: Board, hand: Hand) -> None:
    (board.flash / "settings.next").write_text(json.dumps({"version": 1, **shop.settings(port=1)}))
    for _ in range(3):
        board.start()
        board.until("app.counts.drops['link_refused']")
        board.cut()
    started(board, hand)
    assert board.eval("app.settings.get('port')") == shop.broker.port


def test_the_hubs_configuration_is_taken_and_answered(shop: Shop, board: Board, hand: Hand) -> None:
    started(board, hand)
    probe = {"id": PROBE, "floor": "ground", "position_m": [1, 2, 3], "channels": [1, 13], "dwell_ms": 300}
    desired(hand, "aa" * 16, probe)
    wait(lambda: hand.infos[-1].config_refused)
    assert hand.infos[-1].config_refused.config_hash == "aa" * 16  # type: ignore[union-attr]
    assert "channels" in hand.infos[-1].config_refused.what  # type: ignore[union-attr]
    desired(hand, "bb" * 16, dict(probe, channels=[3, 9]))
    wait(lambda: hand.infos[-1].config_hash == "bb" * 16)
    assert hand.infos[-1].config_refused is None
    board.until("app.radio.tuned_log[-2:] in ([3, 9], [9, 3])")
    wait(lambda: {entry.channel for entry in list(shop.batches().values())[-1].listened} == {3, 9})
    board.cut()
    board.start()
    assert board.eval("app.settings.get('channels')") == [3, 9]


def desired(hand: Hand, digest: str, probe: dict[str, object]) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    message = {"source": f"/{identity('hub')}", "type": "footfall.v1.config", "time": at}
    message["data"] = {"config_hash": digest, "version": 1, "probe": probe}  # type: ignore[assignment]
    hand.raw("config", json.dumps(message).encode())


# -- updates --


class Maker:
    """Who makes images: signs manifests, and answers the board's question whether a signature verifies."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def sign(self, text: str) -> str:
        """Give r and s of the signature, in hex."""
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex()

    @staticmethod
    def verify(question: dict[str, Any]) -> bool:
        """Do what mbedTLS does on a board."""
        public, digest, signature = (bytes.fromhex(one) for one in question["verify"])
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        except InvalidSignature:
            return False
        return True


@pytest.fixture
def maker(board: Board) -> Maker:
    maker = Maker()
    board.answer = maker.verify
    return maker


IMAGE = b"BUILD=2\n" + bytes(range(256)) * 40


def manifest(board: Board, **changes: object) -> str:
    fields = {
        "chip": board.eval("app.update._chip"),
        "build": 2,
        "size": len(IMAGE),
        "sha256": sha256(IMAGE).hexdigest(),
    }
    return json.dumps(fields | changes)


def begin(hand: Hand, text: str, signature: str) -> str | None:
    """Give why it was refused."""
    number = hand.command("update", step="begin", manifest=text, signature=signature)
    answer = hand.answer(number)
    return answer.error.what if answer.error else None


def send(hand: Hand, image: bytes) -> None:
    for at in range(0, len(image), 1000):
        data = base64.b64encode(image[at : at + 1000]).decode()
        assert hand.answer(hand.command("update", step="data", offset=at, data=data)).error is None


def ready(board: Board, hand: Hand, maker: Maker) -> None:
    started(board, hand)
    board.run(f"app.update.public_key = bytes.fromhex('{maker.public.hex()}')")


def test_bad_updates_are_refused_and_named(board: Board, hand: Hand, maker: Maker) -> None:
    ready(board, hand, maker)
    good = manifest(board)
    assert "signature" in (begin(hand, good, Maker().sign(good)) or "")
    assert "signature" in (begin(hand, good.replace("2", "3"), maker.sign(good)) or "")
    other = manifest(board, chip="esp8266")
    assert "another chip" in (begin(hand, other, maker.sign(other)) or "")
    older = manifest(board, build=1)
    assert "newer" in (begin(hand, older, maker.sign(older)) or "")
    large = manifest(board, size=10**7)
    assert "size" in (begin(hand, large, maker.sign(large)) or "")
    assert begin(hand, good, maker.sign(good)) is None
    send(hand, IMAGE[:5000])
    cut = hand.answer(hand.command("update", step="end"))
    assert cut.error is not None
    assert "5000 is next" in cut.error.what
    assert board.eval("app.update.offset") == 5000  # it may go on from there
    assert begin(hand, good, maker.sign(good)) is None
    send(hand, IMAGE[:-1] + b"x")
    spoilt = hand.answer(hand.command("update", step="end"))
    assert spoilt.error is not None
    assert "sha256" in spoilt.error.what
    assert health(board, hand).drops["update_refused"] == 7
    assert (
        not (board.flash / "otadata.json").exists()
        or json.loads((board.flash / "otadata.json").read_text())["boot"] == 0
    )


def updated(board: Board, hand: Hand, maker: Maker) -> None:
    ready(board, hand, maker)
    text = manifest(board)
    assert begin(hand, text, maker.sign(text)) is None
    send(hand, IMAGE)
    assert hand.answer(hand.command("update", step="end")).error is None
    board.wait_reset()
    assert (board.flash / "slot1.bin").read_bytes()[: len(IMAGE)] == IMAGE


def test_a_good_update_is_kept_once_the_hub_answers(board: Board, hand: Hand, maker: Maker) -> None:
    updated(board, hand, maker)
    board.start(cause=5)
    assert board.eval("sensor.BUILD") == 2
    assert board.eval("app.update.pending")
    board.run("from sensor import ota; ota.CONFIRM_S = 1")
    give(hand)
    board.until("not app.update.pending")
    board.cut()
    board.start()
    assert board.eval("[sensor.BUILD, app.counts.drops['update_rolled_back']]") == [2, 0]


def test_an_update_that_finds_no_hub_is_rolled_back(shop: Shop, board: Board, hand: Hand, maker: Maker) -> None:
    updated(board, hand, maker)
    shop.broker.stop()
    board.start(cause=5)
    assert board.eval("sensor.BUILD") == 2
    board.run("from sensor import ota; ota.GIVE_UP_S = 1")
    board.wait_reset()
    shop.broker.start()
    started(board, hand)
    assert board.eval("sensor.BUILD") == 1
    assert health(board, hand).drops["update_rolled_back"] == 1
