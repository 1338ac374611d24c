"""What a probe can be told, asked of the real hub by an operator: right, relay, the firmware's answer."""

import json
import time
from base64 import b64encode
from hashlib import sha256

import pytest

from hostkit.contract.commands import Beacon, Identify, Measure, ReadLog, Response, Restart, SetProbe, Update
from hostkit.contract.messages import KeySpan
from hostkit.core.pseudonym import KEY_BYTES
from tests.firmware.board import Board
from tests.firmware.shop import PROBE, Hand, Shop, frame, give, wait
from tests.firmware.test_commands import Maker

pytestmark = pytest.mark.needs("mosquitto")


@pytest.fixture
def open_shop(shop: Shop, board: Board):  # type: ignore[no-untyped-def]
    shop.start_hub()
    board.start()
    board.until("app.capture.key_id")
    yield shop
    shop.stop_hub()


def done(response: Response) -> Response:
    assert response.error is None, response.error
    return response


def test_everything_an_operator_may_tell_a_probe_arrives(open_shop: Shop, board: Board) -> None:
    shop = open_shop
    done(shop.asked(Identify, probe=PROBE, seconds=5))
    assert board.eval("app.led()") == "identify"
    done(shop.asked(Beacon, probe=PROBE, period_ms=300, count=2, channel=6))
    board.until("app.counts.passed['beacons_sent'] == 2")
    measured = done(shop.asked(Measure, probe=PROBE, beacon="door", channel=6, seconds=1)).measured
    assert measured is not None
    assert measured.frames == 0
    board.run("app.uplink.note('a line')")
    assert done(shop.asked(ReadLog, probe=PROBE, lines=1)).lines == ("a line",)
    refused = shop.asked(SetProbe, probe=PROBE, settings={"region": "nowhere"})
    assert refused.error is not None
    assert "region" in refused.error.what
    done(shop.asked(SetProbe, probe=PROBE, settings={"dwell_ms": 250, "channels": (1, 6)}))
    board.wait_reset()
    assert json.loads((board.flash / "settings.next").read_text())["dwell_ms"] == 250
    board.start()
    board.until("app.capture.key_id and app.settings.get('channels') == [1, 6]")
    done(shop.asked(Restart, probe=PROBE))
    board.wait_reset()


def test_an_update_goes_through_the_hub_step_by_step(open_shop: Shop, board: Board) -> None:
    maker, image = Maker(), b"BUILD=2\n" + bytes(900)
    board.answer = maker.verify
    board.run(f"app.update.public_key = bytes.fromhex('{maker.public.hex()}')")
    text = json.dumps(
        {"chip": board.eval("app.update._chip"), "build": 2, "size": len(image), "sha256": sha256(image).hexdigest()}
    )
    begun = done(open_shop.asked(Update, probe=PROBE, step="begin", manifest=text, signature=maker.sign(text)))
    assert begun.update is not None
    assert begun.update.offset == 0
    late = open_shop.asked(Update, probe=PROBE, step="data", offset=500, data=b64encode(image[500:]).decode())
    assert late.error is not None
    assert "0 is next" in late.error.what
    whole = done(open_shop.asked(Update, probe=PROBE, step="data", offset=0, data=b64encode(image).decode()))
    assert whole.update is not None
    assert whole.update.offset == len(image)
    done(open_shop.asked(Update, probe=PROBE, step="end"))
    board.wait_reset()
    board.start(cause=5)
    assert board.eval("sensor.BUILD") == 2


def test_what_a_probe_cannot_read_is_refused_at_the_hub(open_shop: Shop) -> None:
    answer = open_shop.asked(SetProbe, probe=PROBE, settings={"ca": "x" * 2400})
    assert answer.error is not None
    assert "window-left reads 2048" in answer.error.what


def test_registered_tags_are_flagged_under_their_key(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    now_s = int(time.time())
    key = bytes(range(KEY_BYTES))
    tag, phone = frame(1), frame(2)
    siphash = "__import__('sensor.siphash', None, None, ('siphash',)).siphash"
    number = int(board.eval(f"'%d' % {siphash}(bytes.fromhex('{key.hex()}'), bytes.fromhex('{tag[0]}'))"))
    span = KeySpan(key_id=7, key=key.hex(), from_s=now_s - 60, until_s=now_s + 3600, registered=(f"{number:016x}",))
    hand.keys = (span,)
    give(hand)
    board.until("app.capture.key_id")
    board.air(tag, phone)
    records = wait(
        lambda: [r for batch in shop.batches().values() for r in batch.records if batch.key_id == 7][:2] or None
    )
    flagged = {int(record["device_key"]): bool(record["flags"] & 16) for record in records}
    assert flagged.pop(number) is True
    assert list(flagged.values()) in ([], [False])


def test_the_longest_list_of_tags_fits_a_probe(shop: Shop, board: Board, hand: Hand) -> None:
    board.start()
    now_s = int(time.time())
    spans = [
        KeySpan(key_id=n, key=f"{n:032x}", from_s=now_s - 60 + 3600 * n, until_s=now_s + 3540 + 3600 * n,
                registered=tuple(f"{tag:016x}" for tag in range(32)))
        for n in (1, 2)
    ]  # fmt: skip
    hand.keys = tuple(spans)
    give(hand)
    board.until("app.capture.key_id == None and app.keys.any")
    assert board.eval("[len(key.registry) for key in app.keys._keys]") == [256, 256]
