"""The README's "A new shop" by its commands alone, from a blank chip to a verified heartbeat.

Real: every command, esptool, mpremote, mosquitto, the hub, MicroPython and the firmware on it. Played: the boot loader
(rom.Rom), what the chip's pins and radio are (tests/firmware/fakes), the list of USB ports, the phones in the air.
"""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hostkit.config import dump_site
from tests.cli.command import COMMAND, ROOT, footfall, refused
from tests.disks import fill, small_disk
from tests.firmware.shop import frame
from tests.identity.place import HOST, accepts, until
from tests.install.chip import Chip
from tests.install.image import Made, made_image
from tests.install.place import QUICK, SITE, footfall_at
from tests.install.usb import plugged
from tests.io.brokers import free_port

pytestmark = pytest.mark.needs("mosquitto")
USAGE, STORAGE = 2, 5
STEPS = ("flash", "provision", "verify", "label")
FIRMWARE = ROOT / "firmware"
ADVERT = [1, "c2aabbccddee", 0, -61, "02010603031818"]


@dataclass
class Town:
    """A hub and a laptop, as two folders; `say` was printed by `hub run`."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def site(self) -> Path:
        return self.folder / "site.toml"

    @property
    def place(self) -> tuple[str | Path, ...]:
        return ("--site", self.site, "--data", self.folder / "hub")

    def at_hub(self, *arguments: str | Path) -> str:
        """Run a command that must succeed; give what it printed."""
        done = footfall(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def bundle(self, *probes: str) -> Path:
        path = self.folder / f"{'-'.join(probes)}.footfall"
        self.at_hub("site", "bundle", *self.place, *probes, "--out", path)
        return path


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"))
    town.site.write_text(dump_site(SITE))
    port, enrol_port = free_port(), free_port()
    ports = ("--port", str(port), "--enrol-port", str(enrol_port))
    said = town.at_hub("hub", "init", *town.place, "--host", HOST, *ports)
    broker, hub = re.search(r"start it with: (mosquitto -c \S+)", said), re.search(r'--broker "([^"]+)"', said)
    assert broker
    assert hub
    with ExitStack() as stack:
        stack.enter_context(running(broker[1].split()))
        until(lambda: accepts(port), "the broker does not listen", 30)
        run = (*COMMAND, "hub", "run", *map(str, town.place), "--broker", hub[1])
        stack.enter_context(running(run, town.said))
        code = town.folder / "installer.code"
        town.at_hub("hub", "enrol", *town.place, "installer", "--role", "operator", "--out", code)
        until(lambda: accepts(enrol_port), "nobody answers codes", 30)
        town.at_hub("enrol", "--to", town.folder / "installer", "--invitation", code)
        yield town


@contextmanager
def running(argv: "list[str] | tuple[str, ...]", said: list[str] | None = None) -> Iterator[None]:
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def read() -> None:
        assert process.stderr
        with process.stderr:
            for line in process.stderr:
                (said if said is not None else []).append(line)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        reader.join()


@contextmanager
def air(hear: Callable[[int], None]) -> Iterator[None]:
    """Let a board hear something, whenever it runs."""
    over = threading.Event()

    def send() -> None:
        number = 0
        while not over.wait(0.3):
            try:
                hear(number)
            except (OSError, AssertionError):
                continue  # it restarts
            number += 5

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def phones(chip: Chip) -> Callable[[int], None]:
    return lambda number: chip.board.air(*(frame(number + at) for at in range(5)))


def install(town: Town, tmp_path: Path, probe: str, *more: str | Path) -> tuple[str | Path, ...]:
    return (
        "probe", "install", "--site", town.site, "--probe", probe, "--board", "wt32-eth01", "--as",
        town.folder / "installer", "--journal", tmp_path / "journal", "--wait", "90", *more,
    )  # fmt: skip


def steps(done: "subprocess.CompletedProcess[str]") -> dict[str, bool]:
    """Give the steps that are done, and whether they were done now."""
    (board,) = json.loads(done.stdout)["boards"]
    return {step["step"]: step["now"] for step in board["steps"] if step["state"] == "done"}


def test_one_command_from_a_blank_chip_to_a_verified_heartbeat(
    town: Town, tmp_path: Path, made_release: Callable[..., Path]
) -> None:
    image = Made(app_bytes=0x8000)
    chip = Chip(tmp_path, ours=made_image(image))
    asked = install(town, tmp_path, "window-left", "--images", made_release(image))
    try:
        bundle = town.bundle("window-left")
        with air(phones(chip)), plugged(tmp_path, chip.path) as environment:
            done = footfall(*asked, "--port", "auto", "--bundle", bundle, **environment)
            assert done.returncode == 0, done.stderr + done.stdout
            bundle.unlink()
            again = footfall(*asked, "--port", "auto", "--json", **environment)  # asks for no code: nothing is missing
        first, last = done.stdout.splitlines()
        assert re.fullmatch(
            r"window-left: PASS, heard over lan: [\d.]+ Wi-Fi frames a second; its label: \S+\.pdf", first
        )
        assert last == "1 of 1 boards done"
        said = [re.search(r"window-left: ([\w-]+): ", line) for line in done.stderr.splitlines()]
        assert list(dict.fromkeys(match[1] for match in said if match)) == [*STEPS]
        assert chip.boots[0] == "footfall"
        assert chip.erased == 1
        assert chip.board.eval("app.led()") == "pass"
        held = json.loads((chip.files / "settings.json").read_text())
        assert (held["probe"], held["host"]) == ("window-left", HOST)
        assert again.returncode == 0, again.stderr
        assert steps(again) == dict.fromkeys(STEPS, False)
        journal = tmp_path / "journal"
        assert (journal / "label-window-left.pdf").read_bytes().startswith(b"%PDF")
        kept = "".join(path.read_text() for path in journal.glob("*.json"))
        assert "PRIVATE" not in kept
        assert held["key"][40:80] not in kept
    finally:
        chip.off()


def test_killed_in_every_step_the_same_command_goes_on(
    town: Town, tmp_path: Path, real_release: Path, micropython_image: Path
) -> None:
    """Upstream's MicroPython on the chip, our files put on it: BLE alone is heard."""
    chip = Chip(tmp_path, plain=micropython_image.read_bytes(), prepare=QUICK)
    asked = install(
        town, tmp_path, "till", "--images", real_release, "--put-app", FIRMWARE, "--ble-only", "--port", chip.path
    )
    first = (*asked, "--bundle", town.bundle("till"))
    try:
        killed(first, "flash: erasing")
        killed(first, "put-app: running")
        before = chip.blocks
        killed(first, (chip.files / "main.py").exists, before=("flash",))
        chip.plug()
        until(lambda: chip.boots[-1] == "main.py", "what is whole does not start", 30)
        killed(first, "provision: settings", before=("flash",))
        done = footfall(*first)
        assert done.returncode == 6, done.stderr
        assert re.search(r"this code was used; .*ask for a new", done.stdout), done.stdout
        (town.folder / "till.footfall").unlink()
        second = (*asked, "--bundle", town.bundle("till"))
        killed(second, "verify: running", before=("flash", "put-app"))
        with air(lambda _: chip.board._say(verb="ble", adverts=[ADVERT])):
            done = footfall(*second, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        assert steps(done) == {"flash": False, "put-app": False, "provision": False, "verify": True, "label": True}
        assert chip.blocks == before
        assert list(dict.fromkeys(chip.boots)) == ["micropython", "main.py"]
        assert chip.board.eval("app.led()") == "pass"
    finally:
        chip.off()


def killed(asked: tuple[str | Path, ...], at: str | Callable[[], bool], *, before: tuple[str, ...] = ()) -> None:
    """Kill the command, and nothing else, once it says `at` or that is true; `before`: steps it must not do again."""
    process = footfall_at(*asked)
    assert process.stderr
    said = ""
    while isinstance(at, str) and at not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    if not isinstance(at, str):
        until(at, "it never came so far", 60)
    process.kill()
    said += process.communicate()[1]
    for step in before:
        assert f"{step}: done before" in said, said


def test_on_a_full_disk_nothing_is_begun_and_with_room_the_same_command_goes_on(
    town: Town, tmp_path: Path, made_release: Callable[..., Path]
) -> None:
    image = Made(app_bytes=0x8000)
    chip = Chip(tmp_path, ours=made_image(image))
    with small_disk(tmp_path / "disk", "1m") as disk:
        asked = install(town, disk, "door", "--images", made_release(image), "--port", chip.path)
        first = (*asked, "--bundle", town.bundle("door"))
        try:
            filler = fill(disk, leave=0)
            nowhere = footfall(*first)
            assert not chip.boots
            assert not chip.erased
            filler.unlink()
            filler = fill(disk, leave=12_288)  # for the journal, not for the label
            with air(phones(chip)):
                unlabelled = footfall(*first)
            filler.unlink()
            done = footfall(*first, "--json")
        finally:
            chip.off()
    for failed, step in ((nowhere, "flash"), (unlabelled, "label")):
        assert failed.returncode == STORAGE, failed.stderr
        said = rf"door: {step}: \S+: cannot be written \(No space left on device\); free some space"
        assert re.match(said, failed.stdout), failed.stdout
    assert done.returncode == 0, done.stderr
    assert steps(done) == dict.fromkeys(STEPS, False) | {"label": True}


def test_where_there_is_no_terminal_nothing_is_asked(
    town: Town, tmp_path: Path, made_release: Callable[..., Path]
) -> None:
    release = made_release(Made(app_bytes=0x8000))
    asked = install(town, tmp_path, "till", "--images", release, "--port", "/dev/null")
    refused(footfall(*asked), USAGE, "code: is not given, and there is no terminal to ask on; give --bundle or --codes")
    wireless = (*asked, "--uplink", "wifi-park", "--ssid", "shop", "--bundle", town.bundle("till", "door"))
    refused(footfall(*wireless), USAGE, "password of shop: is not given, .*; give --wifi-password")
