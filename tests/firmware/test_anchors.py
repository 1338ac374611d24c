"""Four probes with the real firmware hear each other's beacons over a played radio; the real hub keeps the night."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from hostkit.config import load_site
from hostkit.contract.codec import EVENT, HEALTH
from hostkit.contract.commands import CalibrateApply, CalibrateStart, CalibrateUndo, Status
from hostkit.core.calibrate_links import fit_links
from hostkit.core.dot11 import parse_frames
from hostkit.hub import anchors
from hostkit.io.anchorlinks import LinksRecord, read_links, reference_file
from hostkit.io.files import write_files
from hostkit.model import OpeningHours, Probe, Site
from tests.firmware.board import Board
from tests.firmware.shop import SITE, Shop, wait

pytestmark = pytest.mark.needs("mosquitto")

PLACES = ((0.0, 0.0, 2.5), (12.0, 0.0, 2.5), (3.0, 9.0, 2.5), (11.0, 4.0, 2.5))
TRANSMIT_DB, RECEIVE_DB = (3.0, -3.0, 1.0, -1.0), (-5.0, 4.0, 2.0, -1.0)
LEVEL_DBM, EXPONENT = -40.0, 2.5
LIMIT_DB = 2.5
PHONE = 0xABCDEF


def site() -> Site:
    """Give a shop that is closed now and whose night is now."""
    probes = tuple(
        Probe(id=f"p-{n}", floor="ground", position_m=place, channels=(6,)) for n, place in enumerate(PLACES)
    )
    values = {"tenant": SITE.tenant, "site": SITE.site, "floors": SITE.floors, "opening_hours": OpeningHours(dates=())}
    return Site(**values, time_zone=night_zone(), probes=probes)  # type: ignore[arg-type]


def night_zone() -> str:
    """Give a time zone in which it is about half past two."""
    hour = time.gmtime().tm_hour
    ahead = (2 - hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


class Air:
    """Carries every frame the boards send to all others that are tuned to its channel."""

    def __init__(self, boards: list[Board]) -> None:
        self.boards = boards
        self.receive_db = list(RECEIVE_DB)
        self.rng = np.random.default_rng(3)
        self.key = bytes(16)
        self._taken = [0] * len(boards)

    def carry(self) -> None:
        """Take what was sent since the last call to whoever hears it, and a phone's frame beside it."""
        for sender, board in enumerate(self.boards):
            sent = board.eval(f"[[one[1], one[2].hex()] for one in app.radio.sent[{self._taken[sender]}:]]")
            self._taken[sender] += len(sent)
            for channel, data in sent:
                frame = bytes.fromhex(data)
                for receiver, other in enumerate(self.boards):
                    if receiver != sender and other.eval("app.radio.tuned") == channel:
                        self._hear(other, frame, channel, sender, receiver)

    def _hear(self, board: Board, frame: bytes, channel: int, sender: int, receiver: int) -> None:
        (row,) = parse_frames(frame, np.array([0]), np.array([len(frame)]), self.key)
        apart_m = np.linalg.norm(np.subtract(PLACES[sender], PLACES[receiver]))
        mean = LEVEL_DBM - 10 * EXPONENT * np.log10(apart_m) + TRANSMIT_DB[sender] + self.receive_db[receiver]
        rssi_dbm = round(float(mean + self.rng.normal(0, 1.0)))
        fields = (int(row["fingerprint"]), int(row["ssid_key"]), int(row["sequence"]), rssi_dbm, -95, channel, 1)
        board.air((frame[10:16].hex(), *fields), ("02aabbccddee", PHONE, 0, 1, -60, -95, channel, 1))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(anchors, "NIGHT", anchors.Plan(channels=1, count=5, slot_ms=300, settle_s=4.0))
    monkeypatch.setattr(anchors, "BETWEEN_S", 0.0)
    monkeypatch.setattr(anchors, "LOOK_S", 2.0)
    shop = Shop(tmp_path, site())
    yield shop
    shop.stop()


@pytest.fixture
def boards(tmp_path: Path, shop: Shop) -> Iterator[list[Board]]:
    boards = [Board(tmp_path / probe.id) for probe in shop.site.probes]
    for board, probe in zip(boards, shop.site.probes, strict=True):
        board.settings(**shop.settings(probe.id, channels=[6], batch_s=1))
        board.start()
    yield boards
    for board in boards:
        board.stop()


def heard_nights(shop: Shop) -> int:
    """Count the nights of which there is something to read."""
    return sum("links heard" in line and ": 0 " not in line for line in shop.said)


def nights(shop: Shop, air: Air, count: int) -> LinksRecord:
    """Let the radio play until so many nights were heard; give the last."""
    deadline = time.monotonic() + 240
    while heard_nights(shop) < count:
        assert time.monotonic() < deadline, shop.said
        air.carry()
        time.sleep(0.02)
    return wait(lambda: read_links(shop.folder / "site.toml"))[-1]  # it is told of before it is written


def test_offsets_come_back_beacons_are_no_phones_and_drift_is_told(
    shop: Shop, boards: list[Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert datetime.now(ZoneInfo(shop.site.time_zone)).hour in (1, 2, 3)
    shop.start_hub()
    for board in boards:
        board.until("app.capture.key_id")
    air = Air(boards)
    air.key = bytes.fromhex(boards[0].eval("app.keys.messages()")[0]["key"])
    night = nights(shop, air, 1)
    assert len(night.links) == 12
    assert min(link.n for link in night.links) >= 8
    index = {probe.id: number for number, probe in enumerate(night.probes)}
    fit = fit_links(
        PLACES,
        [index[link.sender] for link in night.links],
        [index[link.receiver] for link in night.links],
        [link.median_dbm for link in night.links],
    )
    found = np.array([one.value for one in fit.receive_db], float)
    assert np.abs(found - np.array(RECEIVE_DB)).max() < LIMIT_DB
    assert np.abs(RECEIVE_DB).max() > LIMIT_DB  # had nobody calibrated
    assert fit.exponent.value == pytest.approx(EXPONENT, abs=0.6)
    write_files(dict([reference_file(shop.folder / "site.toml", night)]))
    air.receive_db[1] -= 12
    monkeypatch.setattr(anchors, "BETWEEN_S", 1e9)  # but for a night that runs, the next is when somebody asks
    for _ in range(4):  # the first may be one that began before the change, and ran when it was asked for
        begun = shop.asked(CalibrateStart, kind="anchors").seconds
        nights(shop, air, heard_nights(shop) + 1)
        if any("calibration_drift: p-1" in line for line in shop.said) and begun:
            break
    assert begun == anchors.NIGHT.channel_s(4)
    assert any("calibration_drift: p-1 hears others" in line for line in shop.said), shop.said
    event = wait(lambda: next((one for one in list(shop.heard) if one.topic.endswith("/hub/event")), None))
    told_of = EVENT.decoder.decode(event.payload).data
    assert (told_of.rule, told_of.phase) == ("calibration_drift", "new")
    health = wait(lambda: told(shop))
    (drift,) = health.calibration.calibration_drift  # type: ignore[union-attr]
    assert (drift.probe, drift.is_heard_db) == ("p-1", 0)
    assert drift.hears_db == pytest.approx(-12, abs=2)
    heard = sum(board.eval("app.capture.kept") for board in boards)
    assert health.counters["beacons"] * 2 >= heard * 0.6  # half of what they heard
    assert health.counters["frames"] <= heard - health.counters["beacons"]
    applied = shop.asked(CalibrateApply, calibration="anchors")
    assert applied.outcome is Status.DONE, applied
    offset, *others = (load_site(shop.folder / "site.toml").probes[at].offset_db for at in (1, 0, 2, 3))
    assert offset < np.mean(others) - LIMIT_DB
    wait(lambda: "calibration_drift: as calibrated again" in shop.said)
    assert shop.asked(CalibrateUndo, count=applied.count).version == (applied.version or 0) + 1
    assert load_site(shop.folder / "site.toml").probes == shop.site.probes


def told(shop: Shop):  # type: ignore[no-untyped-def]
    """Give the hub's last health that tells of a drift."""
    rows = [HEALTH.decoder.decode(one.payload).data for one in list(shop.heard) if one.topic.endswith("/hub/health")]
    found = [row for row in rows if row.calibration and row.calibration.calibration_drift]
    return found[-1] if found else None
