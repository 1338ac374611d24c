"""Four probes with the real firmware are updated by the real hub in stages; an image that cannot reach it goes back."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from hostkit.contract.commands import RolloutState, Updating
from hostkit.errors import InputError, PeerError
from hostkit.hub import update
from hostkit.hub.ask import Envoy
from hostkit.hub.update import stop_update, update_probes
from hostkit.io.mqtt import Arrived
from hostkit.model import Probe
from tests.firmware.board import PATIENCE_S, SOFT, Board
from tests.firmware.shop import SITE, Shop, wait
from tests.firmware.test_commands import Maker

pytestmark = pytest.mark.needs("mosquitto")
IMAGE = b"BUILD=2\n" + bytes(range(256)) * 20
PREPARED = """
from sensor import ota
class Machine:
    platform = "esp32"
    class implementation:
        _machine = "Generic ESP32 module with ESP32"
sensor_app.sys = sensor.sys = Machine
ota.CONFIRM_S, sensor_app.HEALTH_MS, sensor_app.FEED_MS = 1, 500, 100
sensor_app.asyncio.create_task(app._tell())  # the one that runs already waits its half minute
app.tell()
"""
NAMES = tuple(f"p-{n}" for n in range(4))


class Fleet:
    """Boards that start again when they reset; `ill`: its new image finds no hub."""

    def __init__(self, folder: Path, shop: Shop) -> None:
        self.maker, self.ill = Maker(), ""
        self.boards = {name: Board(folder / name) for name in NAMES}
        for name, board in self.boards.items():
            board.answer = self.maker.verify
            board.settings(**shop.settings(name))
            board.start()
            self._prepare(board)

    def _prepare(self, board: Board) -> None:
        board.run(PREPARED)
        board.run(f"sensor_app.RELEASE_KEY = bytes.fromhex('{self.maker.public.hex()}')")

    def live(self, over: threading.Event) -> None:
        """Do what a boot loader does, for all, until `over`."""
        while not over.wait(0.1):
            for name, board in self.boards.items():
                process = board._process
                if process is not None and process.poll() is not None:
                    board.wait_reset()
                    board.start(cause=SOFT)
                    self._prepare(board)
                    if name == self.ill and board.eval("sensor.BUILD") == 2:
                        board.run("ota.GIVE_UP_S = 1; app.uplink.answered = lambda: None; app._well_ms = None")

    def builds(self) -> list[int]:
        return [board.eval("sensor.BUILD") for board in self.boards.values()]

    def stop(self) -> None:
        for board in self.boards.values():
            board.stop()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(update, "LOOK_S", 1.0)
    probes = tuple(Probe(id=name, floor="ground", position_m=(1.0, 1.0, 2.5)) for name in NAMES)
    shop = Shop(tmp_path, replace(SITE, probes=probes))
    shop.start_hub()
    yield shop
    shop.stop()


@pytest.fixture
def fleet(tmp_path: Path, shop: Shop) -> Iterator[Fleet]:
    fleet, over = Fleet(tmp_path, shop), threading.Event()
    for board in fleet.boards.values():
        board.until("app.capture.key_id")
    wait(
        lambda: {name for name in NAMES if any(b"with ESP32" in row.payload for row in said(shop, name))} == set(NAMES)
    )
    keeper = threading.Thread(target=fleet.live, args=(over,), daemon=True)
    keeper.start()
    yield fleet
    over.set()
    keeper.join(PATIENCE_S)
    fleet.stop()


def said(shop: Shop, name: str) -> list[Arrived]:
    return [row for row in list(shop.heard) if row.topic.endswith(f"/{name}/info")]


def release(folder: Path, fleet: Fleet, maker: Maker | None = None) -> Path:
    """Lay out a release for the chip that these boards say they are."""
    folder.mkdir()
    text = json.dumps({"chip": "esp32", "build": 2, "size": len(IMAGE), "sha256": sha256(IMAGE).hexdigest()})
    (folder / "update.bin").write_bytes(IMAGE)
    signed = {"path": "update.bin", "manifest": text, "signature": (maker or fleet.maker).sign(text)}
    manifest = {"version": "0.2.0", "builds": [{"chipFamily": "ESP32", "update": signed}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def envoy(shop: Shop) -> Envoy:
    return Envoy(broker=shop.url("boss"), tenant=SITE.tenant, site=SITE.site, at=datetime.now(UTC), node="operator")


def test_a_fleet_is_updated_one_a_quarter_the_rest(shop: Shop, fleet: Fleet, tmp_path: Path) -> None:
    seen: list[RolloutState] = []
    folder = release(tmp_path / "release", fleet)
    state = update_probes(envoy(shop), release=folder, data=shop.folder / "hub", probes=(), on_state=seen.append)
    assert state.state == "done", (state, shop.said)
    assert {one.state for one in state.probes} == {Updating.KEPT}
    deadline = time.monotonic() + PATIENCE_S
    while fleet.builds() != [2] * 4:
        assert time.monotonic() < deadline
    for look in seen:  # nobody begins before those of the stage before have kept it
        kept = [one.state is Updating.KEPT for one in look.probes]
        begun = [one.state is not Updating.WAITING for one in look.probes]
        assert not any(begun[1:]) or kept[0]
        assert not any(begun[2:]) or all(kept[:2])
    again = update_probes(envoy(shop), release=None, data=shop.folder / "hub", probes=("p-1",), on_state=seen.append)
    assert [one.what for one in again.probes] == ["has build 2 already"]


def test_an_image_that_goes_back_stops_the_rest(shop: Shop, fleet: Fleet, tmp_path: Path) -> None:
    fleet.ill = "p-1"
    folder = release(tmp_path / "release", fleet)
    state = update_probes(envoy(shop), release=folder, data=shop.folder / "hub", probes=(), on_state=lambda _: None)
    assert (state.state, state.stage) == ("failed", 2)
    states = [one.state for one in state.probes]
    assert states == [Updating.KEPT, Updating.ROLLED_BACK, Updating.WAITING, Updating.WAITING]
    assert fleet.builds() == [2, 1, 1, 1]
    assert any("update: p-1: rolled back" in line for line in shop.said)


def test_a_release_nobody_signed_changes_nothing(shop: Shop, fleet: Fleet, tmp_path: Path) -> None:
    folder = release(tmp_path / "release", fleet, Maker())
    state = update_probes(envoy(shop), release=folder, data=shop.folder / "hub", probes=(), on_state=lambda _: None)
    assert state.state == "failed"
    assert "signature: does not verify" in state.probes[0].what
    assert fleet.builds() == [1] * 4
    assert stop_update(envoy(shop)).state == "failed"
    (folder / "update.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="not what the signed text says"):
        update_probes(envoy(shop), release=folder, data=shop.folder / "hub", probes=(), on_state=lambda _: None)
    with pytest.raises(PeerError, match="no probe nobody"):
        update_probes(envoy(shop), release=None, data=shop.folder / "hub", probes=("nobody",), on_state=lambda _: None)
