"""`calibrate link` with the firmware itself, on a real MicroPython, through the real hub and broker."""

import math
import threading
from datetime import UTC, datetime

import pytest

from hostkit.field.courses import LinkCourse
from hostkit.field.diary import diary
from hostkit.field.hearing import HubHearing, Reference
from hostkit.field.session import END, Session
from hostkit.hub.ask import Envoy
from hostkit.model import PathLoss, Radio
from tests.firmware.board import Board
from tests.firmware.shop import PROBE, Shop

pytestmark = pytest.mark.needs("mosquitto")
LINE = PathLoss(rssi_1m_dbm=-48.0, exponent=2.5)


def carried(shop_board: Board, distances: list[float], over: threading.Event) -> None:
    """Let the board hear a phone that calls for `footfall-cal`, as strong as at the next distance, when it listens."""
    ssid_key = shop_board.eval(
        "__import__('sensor.siphash', None, None, ('siphash',)).siphash(app.capture.key().raw, b'footfall-cal')"
    )
    parts = [one for one in distances for _ in range(LinkCourse.parts)]
    for number, distance in enumerate(parts, 1):
        shop_board.until(f"app.radio.tuned_log.count(13) == {number}")
        level = round(LINE.rssi_1m_dbm - 10 * LINE.exponent * math.log10(distance))
        phone = ("020000000001", 1, ssid_key & 0xFFFFFFFF, 0, level, -95, 13, 1)
        other = ("020000000002", 1, 5, 0, -20, 0, 13, 1)
        shop_board.air(*[phone, other] * 12)
    over.set()


def test_two_points_of_the_firmware_itself(shop: Shop, board: Board) -> None:
    shop.start_hub()
    board.start()
    board.until("app.capture.key_id")
    site = shop.site
    place = {"tenant": site.tenant, "site": site.site}
    envoy = Envoy(broker=shop.url("boss"), **place, at=datetime.now(UTC), node="operator")
    reference = Reference(name="footfall-cal", channel=13, radio=Radio.WIFI, seconds=1)
    said: list[str] = []
    course = LinkCourse(site, (1.0, 8.0), phone=True)
    over = threading.Event()
    threading.Thread(target=carried, args=(board, [1.0, 8.0], over), daemon=True).start()
    with diary(shop.folder / "site.toml", course) as kept:
        session = Session(course, HubHearing(envoy, reference), "en", said.append, kept)
        for order in (0, 1, END):
            session.give(order)
        trial = session.run()
    shop.stop_hub()
    assert trial is not None, said
    assert over.wait(60)
    assert [stand.probes for stand in session.course.stands] == [(PROBE,)] * 2
    assert trial.enough, said
    assert trial.rows[0].readings == 48  # the other phone was not counted
    assert trial.rows[0].figures[0] == pytest.approx(LINE.rssi_1m_dbm, abs=1.0)
    assert trial.rows[0].figures[1] == pytest.approx(LINE.exponent, abs=0.15)
