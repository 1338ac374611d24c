"""Boards with Footfall's image, in one command each or many: real firmware, mosquitto with TLS and ACL, the hub."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import footfall
from tests.firmware.shop import frame
from tests.identity.place import until
from tests.install.place import PROBES, Desk, Shop, footfall_at

pytestmark = pytest.mark.needs("mosquitto")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop")).open()
    yield shop
    shop.close()


@contextmanager
def phones(*desks: Desk) -> Iterator[None]:
    """Let boards that run hear something."""
    over = threading.Event()

    def send() -> None:
        number = 0
        while not over.wait(0.3):
            for desk in desks:
                try:
                    desk.board.air(*(frame(number + at) for at in range(5)))
                except (OSError, AssertionError):
                    continue  # it restarts
            number += 5

    thread = threading.Thread(target=send)
    thread.start()
    yield
    over.set()
    thread.join()


def install(shop: Shop, *more: str | Path, **known: str):  # type: ignore[no-untyped-def]
    return footfall("probe", "install", "--site", shop.site, "--board", "wt32-eth01", "--no-flash", *more, **known)


def test_many_boards_some_fail_and_the_second_run_finishes_them(shop: Shop, tmp_path: Path) -> None:
    first, second = Desk(tmp_path, "tty1").on(), Desk(tmp_path, "tty2").on()
    table = tmp_path / "boards.csv"
    table.write_text(f"probe,port\ntill,{first.port}\ndoor,{second.port}\n")
    asked = ("--csv", table, "--journal", tmp_path / "journal", "--broker", shop.broker, "--json")
    codes = shop.codes("till", "door")
    try:
        with phones(first):  # the other hears nothing
            done = install(shop, *asked, "--codes", codes, "--wait", "25")
        assert done.returncode == 6, done.stderr
        told = {board["probe"]: board for board in json.loads(done.stdout)["boards"]}
        assert told["till"]["done"]
        states = [step["state"] for step in told["door"]["steps"]]
        assert states == ["done", "failed", "waiting"]
        assert "no Wi-Fi frame in them" in told["door"]["steps"][1]["trouble"]["what"]
        assert second.board.eval("app.led()") == "fail"
        with phones(first, second):
            done = install(shop, *asked, "--wait", "60")
        assert done.returncode == 0, done.stdout
        told = {board["probe"]: board for board in json.loads(done.stdout)["boards"]}
        assert [step["now"] for step in told["till"]["steps"]] == [False, False, False]
        assert [step["now"] for step in told["door"]["steps"]] == [False, True, True]
    finally:
        first.off()
        second.off()


def test_a_second_board_with_the_id_of_one_that_runs_is_refused(shop: Shop, tmp_path: Path) -> None:
    desk, other = Desk(tmp_path, "tty1"), Desk(tmp_path, "tty2").on()
    desk.board.settings(**shop.settings("window-left"))
    desk.on()
    try:
        desk.board.until("app.capture.key_id")
        time.sleep(2)
        asked = ("--probe", "window-left", "--port", other.port, "--journal", tmp_path / "j", "--broker", shop.broker)
        done = install(shop, *asked, "--codes", shop.codes("window-left"))
        assert done.returncode == 6
        assert "another board is window-left now, and is online; give this one another id" in done.stdout
        (code,) = [
            one for one in shop.authority.enrolment.codes() if one.identity.endswith("window-left") and not one.used_s
        ]
        assert code.wrong == 0
        assert not (other.board.flash / "settings.next").exists()
    finally:
        desk.off()
        other.off()


def test_a_laptop_without_the_hub_gives_the_board_what_it_enrols_with(tmp_path: Path) -> None:
    """The hub is off while the board is set up from the bundle; once it runs, the board fetches its certificate."""
    shop = Shop(tmp_path)
    desk = Desk(tmp_path).on()
    try:
        bundle = tmp_path / "monday.footfall"
        made = footfall("site", "bundle", "--site", shop.site, "--data", shop.folder, "till", "--out", bundle)
        assert made.returncode == 0, made.stderr
        asked = (
            "--probe",
            "till",
            "--port",
            desk.port,
            "--journal",
            tmp_path / "journal",
            "--bundle",
            bundle,
            "--json",
        )
        running = footfall_at(
            "probe", "install", "--site", shop.site, "--board", "wt32-eth01", "--no-flash", *asked, "--wait", "90"
        )
        until(lambda: desk.starts == 2, "the board did not get its settings", 60)
        desk.board.until("app.uplink.trouble")
        held = json.loads((desk.board.flash / "settings.next").read_text())
        assert held["code"]
        assert "cert" not in held
        shop.open()
        with phones(desk):
            stdout, stderr = running.communicate(timeout=120)
        assert running.returncode == 0, stderr
        assert "the board enrols by itself" in stderr
        (board,) = json.loads(stdout)["boards"]
        assert board["steps"][1]["facts"]["witness"] == "board"
        held = json.loads((desk.board.flash / "settings.json").read_text())
        assert held["cert"].startswith("-----BEGIN CERTIFICATE")
        assert held["code"] == held["csr"] == ""
        (code,) = shop.authority.enrolment.codes()
        assert code.used_s
    finally:
        desk.off()
        shop.close()


def test_what_is_asked_wrongly_is_said_before_the_ladder(shop: Shop, tmp_path: Path) -> None:
    codes = shop.codes("till")
    wrong = {
        ("--probe", "tlil"): (2, "site.toml has no probe 'tlil'"),
        ("--probe", "till", "--uplink", "wifi-park"): (2, "--ssid: wifi-park needs a network"),
        ("--probe", "till", "--csv", tmp_path / "x.csv"): (2, "which board?"),
        (): (2, "which board?"),
    }
    for arguments, (code, said) in wrong.items():
        done = install(shop, *arguments, "--journal", tmp_path / "j", "--codes", codes)
        assert done.returncode == code, done.stderr
        assert said in done.stderr.splitlines()[-1]
    done = footfall("probe", "install", "--site", shop.site, "--probe", "till", "--codes", codes)
    assert "is the board to be flashed?; give --images DIR, or say --no-flash" in done.stderr
    assert set(PROBES) == {"window-left", "till", "door"}
