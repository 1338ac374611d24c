"""Many boards side by side: what fails is explained, what is done is not done again, nothing is half-done unseen."""

import _thread
import json
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from hostkit.cli.fleet_text import finish
from hostkit.errors import ExitCode, HostkitError, InputError, PeerError, StorageError
from hostkit.install.fleet import Board, Job, Progress, Step, read_boards, run
from hostkit.install.journal import Journal, State

NAMES = ("flash", "provision", "verify")


def boards(count: int) -> list[Board]:
    return [Board(probe=f"probe-{number}", port=f"/dev/ttyUSB{number}") for number in range(count)]


class Bench:
    """Steps that fail where `broken` says so, and remember what was done."""

    def __init__(self) -> None:
        self.broken: dict[tuple[str, str], HostkitError] = {}
        self.done: list[tuple[str, str]] = []
        self.image = "1"
        self.steps = [Step(name=name, run=self._runner(name), inputs=self._inputs(name)) for name in NAMES]

    def _runner(self, name: str):  # type: ignore[no-untyped-def]
        def step(job: Job) -> Mapping[str, str]:
            job.say("working", 0.5)
            if (error := self.broken.get((job.board.probe, name))) is not None:
                raise error
            self.done.append((job.board.probe, name))
            return {name: job.board.port, "before": ",".join(sorted(job.facts))}

        return step

    def _inputs(self, name: str):  # type: ignore[no-untyped-def]
        return lambda board: self.image if name == "flash" else ""


def trouble(number: int) -> HostkitError:
    kinds = (PeerError, StorageError, InputError)
    return kinds[number](f"fault {number}", where=f"port {number}", next_step=f"cure {number}")


def test_seventeen_done_three_explained_and_the_rest_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    places = [("probe-3", "flash"), ("probe-7", "provision"), ("probe-11", "verify")]
    bench.broken = {place: trouble(number) for number, place in enumerate(places)}
    outcomes = run(boards(20), bench.steps, journal=Journal(tmp_path))
    assert sum(outcome.done for outcome in outcomes) == 17
    code = finish(outcomes, tmp_path, as_json=False, again="run it again")
    said = capsys.readouterr().out
    for number, (probe, step) in enumerate(places):
        assert f"{probe}: {step}: port {number}: fault {number}; cure {number}\n" in said
    assert "17 of 20 boards done" in said
    assert code is ExitCode.PEER

    first, bench.done = bench.done, []
    bench.broken = {}
    outcomes = run(boards(20), bench.steps, journal=Journal(tmp_path))  # another process reads the same folder
    assert all(outcome.done for outcome in outcomes)
    assert len(first) == 17 * 3 + 0 + 1 + 2
    assert sorted(bench.done) == sorted(
        [("probe-3", name) for name in NAMES] + [("probe-7", name) for name in NAMES[1:]] + [("probe-11", "verify")]
    )
    assert finish(outcomes, tmp_path, as_json=True, again="") is ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["failed"]) == (20, 0)
    eleven = next(board for board in told["boards"] if board["probe"] == "probe-11")
    assert [step["now"] for step in eleven["steps"]] == [False, False, True]
    assert eleven["steps"][2]["facts"]["before"] == "before,flash,provision"  # facts of the first run reach the second


def test_they_run_side_by_side() -> None:
    meet = threading.Barrier(6, timeout=20)

    def step(job: Job) -> Mapping[str, str]:
        meet.wait()
        return {}

    outcomes = run(boards(6), [Step(name="meet", run=step)], journal=Journal(None), at_once=6)
    assert all(outcome.done for outcome in outcomes)


def test_a_changed_input_does_its_step_and_those_after_it_again(tmp_path: Path) -> None:
    bench = Bench()
    run(boards(1), bench.steps, journal=Journal(tmp_path))
    bench.done, bench.image = [], "2"
    bench.broken = {("probe-0", "provision"): trouble(0)}
    run(boards(1), bench.steps, journal=Journal(tmp_path))
    states = {name: entry.state for name, entry in Journal(tmp_path).entries("probe-0").items()}
    assert states == {"flash": State.DONE, "provision": State.FAILED, "verify": State.WAITING}
    assert bench.done == [("probe-0", "flash")]


def test_again_does_everything(tmp_path: Path) -> None:
    bench = Bench()
    run(boards(1), bench.steps, journal=Journal(tmp_path))
    run(boards(1), bench.steps, journal=Journal(tmp_path), again=True)
    assert bench.done == [("probe-0", name) for name in NAMES] * 2


def test_a_program_that_died_in_a_step_is_seen(tmp_path: Path) -> None:
    class PowerCut(BaseException):
        pass

    def dies(job: Job) -> Mapping[str, str]:
        raise PowerCut

    with pytest.raises(PowerCut):
        run(boards(1), [Step(name="flash", run=dies)], journal=Journal(tmp_path))
    assert Journal(tmp_path).entries("probe-0")["flash"].state is State.RUNNING
    bench = Bench()
    assert run(boards(1), bench.steps, journal=Journal(tmp_path))[0].done
    assert len(bench.done) == 3


def test_stop_leaves_a_journal_that_says_so(tmp_path: Path) -> None:
    seen: list[Progress] = []

    def waits(job: Job) -> Mapping[str, str]:
        if job.board.probe == "probe-0":
            _thread.interrupt_main()
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            job.check()
            time.sleep(0.02)
        return {}

    with pytest.raises(KeyboardInterrupt):
        run(boards(3), [Step(name="flash", run=waits)], journal=Journal(tmp_path), watch=seen.append, at_once=2)
    assert Journal(tmp_path).entries("probe-0")["flash"].state is State.STOPPED
    assert "flash" not in Journal(tmp_path).entries("probe-2") or seen[-1].state is State.STOPPED


def test_a_stop_while_boards_are_handed_out_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[threading.Thread] = []
    start, bench = threading.Thread.start, Bench()

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        begun.append(thread)
        raise KeyboardInterrupt  # the pool has not written down that it has this one

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(boards(3), bench.steps, journal=Journal(tmp_path))
    assert len(begun) == 1
    begun[0].join(20)
    assert not bench.done
    assert not Journal(tmp_path).entries("probe-0")


def test_what_cannot_be_written_down_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench = Bench()
    with pytest.raises(StorageError, match="a part of the path is a file"):
        run(boards(1), bench.steps, journal=Journal(tmp_path / "file" / "journal"))
    assert not bench.done


def test_a_disk_that_is_full_half_way_is_the_boards_trouble(tmp_path: Path) -> None:
    bench = Bench()

    def fills_up(job: Job) -> Mapping[str, str]:
        shutil.rmtree(tmp_path / "journal")
        (tmp_path / "journal").write_text("")
        return {}

    outcome = run(boards(1), [Step(name="full", run=fills_up), *bench.steps], journal=Journal(tmp_path / "journal"))[0]
    assert not outcome.done
    assert "a part of the path is a file" in str(outcome.trouble)
    assert not bench.done


def test_two_runs_do_not_do_the_same_board(tmp_path: Path) -> None:
    begun, over, bench = threading.Event(), threading.Event(), Bench()

    def waits(job: Job) -> Mapping[str, str]:
        begun.set()
        over.wait(30)
        return {}

    steps = [Step(name="flash", run=waits, inputs=lambda _: "1"), *bench.steps[1:]]
    first = threading.Thread(target=run, args=(boards(1), steps), kwargs={"journal": Journal(tmp_path)})
    first.start()
    begun.wait(30)
    second = Journal(tmp_path)
    assert second.entries("probe-0")["flash"].state is State.RUNNING  # read while the first is at it
    try:
        held = rf"\.probe-0\.lock: is held by another run \(process {os.getpid()}, since \d\d:\d\d:\d\d\); wait for it"
        with pytest.raises(StorageError, match=held):
            run(boards(2), bench.steps, journal=second)
        assert not bench.done
        assert run(boards(2)[1:], bench.steps, journal=second)[0].done  # another board meanwhile
    finally:
        over.set()
        first.join()
    bench.done = []
    assert run(boards(1), bench.steps, journal=second)[0].done
    assert not bench.done


@pytest.mark.parametrize("page", [b"", b"{", b'{"version": 2, "probe": "probe-0", "steps": []}', b"[" * 100_000])
def test_a_broken_journal_is_named(tmp_path: Path, page: bytes) -> None:
    (tmp_path / "probe-0.json").write_bytes(page)
    with pytest.raises(InputError, match=r"probe-0\.json: is no journal of probe-0 .*delete the file"):
        run(boards(1), Bench().steps, journal=Journal(tmp_path))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("probe,port\na,/dev/x\na,/dev/y\n", r"line 3: probe a is also in line 2; give every board its own id"),
        ("probe,port\na,/dev/x\nb,/dev/x\n", r"line 3: port /dev/x is also in line 2"),
        ("probe,port\nWindow Left,COM3\n", r"line 2: probe is 'Window Left'; use 1 to 32 of a-z"),
        ("probe\na\n", r"line 1: no column port"),
        ("probe,port\n", r"has 0 boards"),
    ],
)
def test_a_bad_list_is_refused_by_line(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "boards.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        read_boards(tmp_path / "boards.csv")


def test_a_list_is_read(tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text("Probe,port,ssid,other\na,auto,shop,1\nb,auto,shop,2\n")
    first, second = read_boards(tmp_path / "boards.csv", optional=("ssid", "board"))
    assert first == Board(probe="a", port="auto", cells={"ssid": "shop"})
    assert second.probe == "b"
