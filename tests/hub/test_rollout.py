"""Staged updates: one, a quarter, the rest; what answers late, restarts, refuses or goes back; a hub that restarts."""

import json
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from hostkit.contract.commands import Fault, Response, Rollout, Update, UpdateProgress, Updating
from hostkit.contract.messages import Clock, Health, Info
from hostkit.errors import InputError, UsageError
from hostkit.hub.rollout import BEGINS, RELEASE, RETURN_S, STEP_BYTES, TRIES, Rollouts, chip_of, stages
from hostkit.io.outbox import Outbox

IMAGE = bytes(range(256)) * 16
NAMES = tuple(f"p-{n}" for n in range(9))


def release(folder: Path, build: int = 2) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "x.bin").write_bytes(IMAGE)
    text = json.dumps({"chip": "esp32", "build": build, "size": len(IMAGE), "sha256": sha256(IMAGE).hexdigest()})
    update = {"path": "x.bin", "manifest": text, "signature": "ab" * 64}
    manifest = {"version": f"0.{build}.0", "builds": [{"chipFamily": "ESP32", "update": update}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


class Board:
    """A probe that takes updates as firmware/sensor/ota.py does. `fault` names what goes wrong."""

    def __init__(self, name: str, tell: Callable[[str, Response], object]) -> None:
        self.name, self._tell = name, tell
        self.build, self.trial = 1, False
        self.data: bytearray | None = None
        self.fault = ""
        self.steps: list[str] = []

    def take(self, command: Update) -> None:
        self.steps.append(command.step)
        if self.fault == "dumb" or (self.fault == "slow" and len(self.steps) % 3 == 0):
            return
        if self.fault == "restarts" and len(self.steps) == 3:
            self.data = None
        error, offset = "", 0
        if command.step == "begin":
            error = "signature: does not verify" if self.fault == "unsigned" else ""
            self.data = None if error else bytearray()
        elif self.data is None:
            error = "nothing was begun"
        elif command.step == "data" and command.offset != len(self.data):
            error, offset = "offset", len(self.data)
        elif command.step == "data":
            self.data += b64decode(command.data)
        if self.data is not None and not error:
            offset = len(self.data)
        lost = self.fault == "answer lost" and len(self.steps) == 3
        fault = Fault(what=error, next_step="x") if error else None
        if not lost:
            self._tell(self.name, Response(id=command.id, error=fault, update=UpdateProgress(offset=offset)))

    def restart(self) -> None:
        """Boot into the image that came."""
        assert self.data == IMAGE
        self.build, self.trial = (1, False) if self.fault == "never boots" else (2, True)


class Place:
    """A hub's rollouts with nine boards, and the messages between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        release(folder / RELEASE)
        self.outbox = Outbox(folder / "hub.db")
        self.said: list[str] = []
        self.queue: list[Update] = []
        self.now_s = 100.0
        self.rollouts = Rollouts(folder, self.outbox, send=self._send, say=self.said.append)
        self.boards = {name: Board(name, self.rollouts.answered) for name in NAMES}
        self.away: set[str] = set()
        for name in NAMES:
            self.inform(name)

    def _send(self, name: str, command: Update) -> bool:
        self.queue.append(command)
        return True

    def inform(self, name: str) -> None:
        info = Info(
            role="probe", firmware="0.1.0", hardware="wt32-eth01 ESP32 module with ESP32", key_id=1,
            build=self.boards[name].build,
        )  # fmt: skip
        self.rollouts.informed(name, info)

    def health(self, name: str, kept: int = 0, back: int = 0) -> None:
        counts = {"counters": {"updates_kept": kept}, "drops": {"update_rolled_back": back} if back else {}}
        self.rollouts.healthy(name, Health(uptime_s=1, clock=Clock(synced=True), **counts))

    def do(self, step: str, *probes: str):  # type: ignore[no-untyped-def]
        command = Rollout(id="r", expires=0, step=step, probes=probes)  # type: ignore[arg-type]
        return self.rollouts.do(command, NAMES, lambda name: name not in self.away).rollout

    def round(self, rounds: int = 30) -> None:
        """Let hub and boards talk."""
        for _ in range(rounds):
            self.now_s += 0.2
            self.rollouts.mind(self.now_s, self.now_s)
            queue, self.queue = self.queue, []
            for command in queue:
                self.boards[command.probe].take(command)

    def restarted(self) -> list[str]:
        """Let those that have the image restart and come back; give who."""
        names = [one.probe for one in self.rollouts.state.probes if one.state is Updating.RESTARTING]
        for name in names:
            self.boards[name].restart()
            self.inform(name)
        return names

    def of(self, name: str):  # type: ignore[no-untyped-def]
        return next(one for one in self.rollouts.state.probes if one.probe == name)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_stages_are_one_a_quarter_the_rest() -> None:
    assert [len(stage) for stage in stages(list(NAMES))] == [1, 2, 6]
    assert [[len(stage) for stage in stages(list(NAMES[:n]))] for n in range(5)] == [
        [], [1], [1, 1], [1, 1, 1], [1, 1, 2],
    ]  # fmt: skip


def test_each_stage_waits_until_the_one_before_has_kept_it(place: Place) -> None:
    begun = place.do("begin")
    assert (begun.state, begun.version, begun.stage, begun.stages) == ("running", "0.2.0", 1, 3)
    seen = []
    for stage in range(3):
        place.round()
        names = place.restarted()
        seen.append(names)
        place.round()
        assert place.rollouts.state.stage == stage + 1  # on trial is not kept
        for name in names:
            place.health(name)
        place.round()
        assert place.rollouts.state.stage == stage + 1
        for name in names:
            place.health(name, kept=1)
        place.round(1)
    assert seen == [["p-0"], ["p-1", "p-2"], list(NAMES[3:])]
    assert place.rollouts.state.state == "done"
    assert {one.state for one in place.rollouts.state.probes} == {Updating.KEPT}
    assert place.said[-1] == "update: 0.2.0: done in stage 3 of 3"
    steps = ["begin", *["data"] * -(-len(IMAGE) // STEP_BYTES), "end"]
    assert all(board.steps == steps for board in place.boards.values())
    place.do("begin")
    assert {one.what for one in place.rollouts.state.probes} == {"has build 2 already"}
    assert place.rollouts.state.state == "done"


@pytest.mark.parametrize("fault", ["slow", "answer lost", "restarts"])
def test_it_goes_on_through_what_a_link_does(place: Place, fault: str) -> None:
    place.boards["p-0"].fault = fault
    place.do("begin", "p-0")
    place.round(400)
    assert place.restarted() == ["p-0"]
    assert place.boards["p-0"].steps.count("begin") == (2 if fault == "restarts" else 1)
    place.health("p-0", kept=1)
    place.round(1)
    assert place.rollouts.state.state == "done"


@pytest.mark.parametrize(
    ("fault", "what"),
    [("dumb", "does not answer"), ("unsigned", "signature: does not verify"), ("away", "did not come back")],
)
def test_the_first_that_fails_stops_it(place: Place, fault: str, what: str) -> None:
    place.boards["p-0"].fault = fault
    place.do("begin")
    place.round(int(max(TRIES * 10, RETURN_S) * 5) + 100)
    assert place.of("p-0").state is Updating.FAILED
    assert place.of("p-0").what == what
    assert place.rollouts.state.state == "failed"
    assert {one.state for one in place.rollouts.state.probes[1:]} == {Updating.WAITING}
    assert all(board.steps == [] for name, board in place.boards.items() if name != "p-0")
    assert place.said[-1] == "update: 0.2.0: failed in stage 1 of 3"
    if fault == "unsigned":
        assert place.boards["p-0"].steps == ["begin"]
    assert len(place.boards["p-0"].steps) <= max(TRIES, BEGINS + len(IMAGE))


def test_a_roll_back_is_seen_and_stops_it_in_the_second_stage(place: Place) -> None:
    place.do("begin")
    place.round()
    place.health(*place.restarted(), kept=1)
    place.round()
    assert place.restarted() == ["p-1", "p-2"]
    place.boards["p-1"].build = 1
    place.inform("p-1")
    place.health("p-1", back=1)
    place.health("p-2", kept=1)
    place.round()
    assert place.of("p-1").state is Updating.ROLLED_BACK
    assert "old image" in place.of("p-1").what
    assert place.rollouts.state.state == "failed"
    assert place.of("p-3").state is Updating.WAITING


def test_a_roll_back_is_seen_by_what_the_probe_says_it_is(place: Place) -> None:
    place.do("begin")
    place.round()
    place.restarted()
    place.boards["p-0"].build = 1
    place.inform("p-0")  # its health got lost
    place.round(1)
    assert place.of("p-0").state is Updating.ROLLED_BACK


def test_an_image_that_never_boots_is_a_roll_back(place: Place) -> None:
    place.boards["p-0"].fault = "never boots"
    place.do("begin")
    place.round()
    place.restarted()
    assert place.of("p-0").state is Updating.RESTARTING  # its old image may say hello before it restarts
    place.health("p-0", back=1)
    place.round(1)
    assert place.of("p-0").state is Updating.ROLLED_BACK


def test_who_cannot_take_it_is_skipped_and_says_why(place: Place) -> None:
    place.away = {"p-3"}
    place.rollouts.informed("p-4", Info(role="probe", firmware="1", hardware="x with ESP32C3", key_id=1, build=1))
    place.do("begin")
    assert place.of("p-3").what == "is not connected"
    assert place.of("p-4").what == "the release has no update for esp32c3"
    assert place.rollouts.state.stages == 3


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("y with ESP32", "esp32"), ("x with SPIRAM with ESP32-PICO-D4", "esp32"), ("x with ESP32S3", "esp32s3"),
        ("x with ESP32-C3", "esp32c3"), ("x with ESP32-UNICORE", "esp32"), ("linux [GCC 14] version", ""),
    ],
)  # fmt: skip
def test_the_chip_is_the_firmwares_own_word(name: str, chip: str) -> None:
    assert chip_of(Info(role="probe", firmware="1", hardware=name, key_id=None)) == chip


def test_stop_ends_it_and_only_one_runs(place: Place) -> None:
    place.do("begin")
    place.round(2)
    with pytest.raises(UsageError, match="an update is running"):
        place.do("begin")
    assert place.do("status").state == "running"
    assert place.do("stop").state == "stopped"
    steps = len(place.boards["p-0"].steps)
    place.round()
    assert len(place.boards["p-0"].steps) == steps
    assert place.do("begin", "p-1").state == "running"
    place.do("stop")
    with pytest.raises(UsageError, match="no probe nobody"):
        place.do("begin", "nobody")


def test_a_restarted_hub_knows_what_was_and_does_not_go_on(place: Place) -> None:
    place.do("begin")
    place.round()
    place.restarted()
    place.round(1)
    again = Rollouts(place.folder, place.outbox, send=lambda *_: True, say=place.said.append)
    assert again.state.state == "stopped"
    assert again.state.probes[0].state is Updating.ON_TRIAL


def test_a_spoilt_release_begins_nothing(place: Place) -> None:
    (place.folder / RELEASE / "x.bin").write_bytes(b"other")
    with pytest.raises(InputError, match="not what the signed text says"):
        place.do("begin")
    assert place.rollouts.state.state == "none"
