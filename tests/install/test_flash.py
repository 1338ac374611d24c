"""Images onto chips by the real esptool: a fake ROM on a pty with faults, PyPI's mock boot loader, whole fleets."""

import json
import runpy
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from esp32_mock_bootloader import mock_bootloader

from hostkit.errors import HostkitError, InputError, PeerError
from hostkit.install.chips import BRIDGES, CHIPS, ESPRESSIF
from hostkit.install.flash import explain
from hostkit.install.images import check_image, load_catalogue, parts_for_update
from hostkit.install.ports import Port, pick_port, udev_rule
from tests.cli.command import COMMAND, ROOT, footfall, refused
from tests.install.conftest import release as lay_out
from tests.install.image import TABLE, Made, program
from tests.install.rom import Rom

Release = Callable[..., Path]
C3 = Made(image_id=5, boot_offset=0, seed=3)


@pytest.fixture
def rom(tmp_path: Path) -> Iterator[Rom]:
    one = Rom(tmp_path / "ttyUSB0")
    yield one
    one.pull()


def flash(release: Path, mode: str, *more: str | Path) -> "subprocess.CompletedProcess[str]":
    return footfall("probe", "flash", "--images", release, f"--{mode}", *more)


def told(done: "subprocess.CompletedProcess[str]", code: int, pattern: str) -> None:
    """Assert what became of the one board: cause and next step in one line."""
    assert done.returncode == code, done.stdout + done.stderr
    line = done.stdout.splitlines()[0]
    assert line.startswith("board: flash: "), done.stdout
    assert "; " in line
    assert pattern in line, line


def test_a_real_image_is_written_whole_and_an_update_keeps_data(
    rom: Rom, real_release: Path, micropython_image: Path
) -> None:
    done = flash(real_release, "factory", "--port", rom.path, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)["boards"][0]["steps"][0]["facts"]
    assert (facts["family"], facts["version"]) == ("ESP32", "1.23.0")
    image = micropython_image.read_bytes()
    assert rom.flash[0x1000 : 0x1000 + len(image)] == image
    assert rom.erased == 1

    rom.flash[0x9000:0x9008], rom.flash[0x200000:0x200008], rom.flash[0x10000:0x10008] = (
        b"settings",
        b"sealed!!",
        b"outdated",
    )
    done = flash(real_release, "update", "--port", rom.path)
    assert done.returncode == 0, done.stderr
    assert (rom.flash[0x9000:0x9008], rom.flash[0x200000:0x200008]) == (b"settings", b"sealed!!")
    assert rom.flash[0x10000 : 0x1000 + len(image)] == image[0xF000:]
    assert rom.erased == 1


def test_an_update_boots_the_new_slot(rom: Rom, made_release: Release) -> None:
    old, new = made_release(Made(), version="1"), made_release(Made(seed=2), version="2")
    assert flash(old, "factory", "--port", rom.path).returncode == 0
    rom.flash[0xD000:0xD004] = b"slot"
    assert flash(new, "update", "--port", rom.path).returncode == 0
    assert rom.flash[0xD000:0xF000] == b"\xff" * 0x2000
    assert bytes(rom.flash[0x10000:0x10100]) == load_catalogue(new)["ESP32"].parts[0].data[0xF000:0xF100]


def test_a_blank_chip_has_nothing_to_keep(rom: Rom, made_release: Release) -> None:
    done = flash(made_release(Made()), "update", "--port", rom.path)
    assert done.returncode == 0
    assert "blank: nothing to keep" in done.stderr


def test_an_update_that_would_move_data_is_refused(rom: Rom, made_release: Release) -> None:
    assert flash(made_release(Made(), version="1"), "factory", "--port", rom.path).returncode == 0
    moved = (("nvs", 1, 2, 0x9000, 0x6000), *TABLE[2:])
    done = flash(made_release(Made(table=moved), version="2"), "update", "--port", rom.path)
    told(done, 3, "its partitions are others than the image's, so its data cannot be kept; footfall probe backup")
    assert rom.erased == 1


def test_no_answer(rom: Rom, made_release: Release) -> None:
    rom.silent = True
    told(flash(made_release(Made()), "factory", "--port", rom.path), 6, "no answer from a boot loader; hold BOOT")


def test_a_chip_without_an_image(made_release: Release, tmp_path: Path) -> None:
    rom = Rom(tmp_path / "ttyUSB1", chip="ESP32-C3")
    done = flash(made_release(Made()), "factory", "--port", rom.path)
    told(done, 3, "is an ESP32-C3, the catalogue has images for ESP32; take another board")
    assert rom.blocks == 0
    rom.pull()


def test_a_board_with_another_chip_than_the_list_says(rom: Rom, made_release: Release, tmp_path: Path) -> None:
    (tmp_path / "boards.csv").write_text(f"probe,port,chip\ntill,{rom.path},esp32-c3\n")
    done = flash(made_release(Made(), C3), "factory", "--csv", tmp_path / "boards.csv", "--journal", tmp_path / "j")
    assert done.returncode == 3
    assert "till: flash: " in done.stdout
    assert "is an ESP32, the list says esp32-c3; swap the boards" in done.stdout
    assert rom.blocks == 0


def test_a_flash_too_small(made_release: Release, tmp_path: Path) -> None:
    rom = Rom(tmp_path / "ttyUSB1", flash_mib=1)
    big = (*TABLE[:4], ("vfs", 1, 0x81, 0x50000, 0x200000))
    told(
        flash(made_release(Made(table=big)), "factory", "--port", rom.path),
        3,
        "has 1 MiB of flash, the image needs 2.3",
    )
    assert rom.blocks == 0
    rom.pull()


def test_a_worn_flash(rom: Rom, made_release: Release) -> None:
    rom.worn = True
    told(flash(made_release(Made()), "factory", "--port", rom.path), 6, "its MD5 differs); try again")


def test_a_pulled_cable_and_once_more(rom: Rom, made_release: Release) -> None:
    release = made_release(Made())
    rom.pull_after_blocks = 3
    told(flash(release, "factory", "--port", rom.path), 6, "unplugged")
    rom.pull_after_blocks = None
    rom.plug()
    assert flash(release, "factory", "--port", rom.path).returncode == 0


def test_a_line_too_bad_for_the_baud_rate(rom: Rom, made_release: Release) -> None:
    release = made_release(Made())
    rom.max_baud = 115_200
    told(
        flash(release, "factory", "--port", rom.path),
        6,
        "garbles what is sent (wrong baud rate, a bad cable); try again with",
    )
    assert flash(release, "factory", "--port", rom.path, "--baud", "115200").returncode == 0


def test_a_busy_port_is_named(rom: Rom, made_release: Release) -> None:
    release = made_release(Made())
    with subprocess.Popen(["sh", "-c", f"exec sleep 30 < {rom.path}"]) as other:
        try:
            time.sleep(0.3)
            told(
                flash(release, "factory", "--port", rom.path), 6, f"sleep ({other.pid}) has it open; close that program"
            )
        finally:
            other.kill()


def test_ports_that_are_none(made_release: Release, tmp_path: Path) -> None:
    release = made_release(Made())
    told(flash(release, "factory", "--port", tmp_path / "ttyUSB9"), 6, "no such port (there: ")
    (tmp_path / "file").write_text("")
    told(flash(release, "factory", "--port", tmp_path / "file"), 3, "is no serial port; see footfall probe ports")


@pytest.mark.needs("prlimit")
def test_a_disk_that_takes_no_more(rom: Rom, made_release: Release) -> None:
    asked = ("probe", "flash", "--images", made_release(Made()), "--factory", "--port", rom.path)
    told(footfall(*asked, prefix=("prlimit", "--fsize=50000")), 5, "cannot be written (File too large); check the disk")
    assert rom.erased == 0


def test_a_mode_has_to_be_said(made_release: Release) -> None:
    done = footfall("probe", "flash", "--images", made_release(Made()), "--port", "auto")
    assert done.returncode == 2
    assert "--update keeps it, --factory erases it" in done.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the mock leaves a pipe open
def test_pypis_mock_boot_loader(real_release: Path) -> None:
    with mock_bootloader(chip="esp32") as mock:
        done = flash(real_release, "factory", "--port", f"socket://127.0.0.1:{mock.port()}", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["done"] == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the mock leaves a pipe open
@pytest.mark.parametrize("chip", ["ESP32-S3", "ESP32-C6"])
def test_pypis_mock_of_other_chips(chip: str, made_release: Release) -> None:
    release = made_release(Made(image_id=CHIPS[chip].image_id, boot_offset=CHIPS[chip].boot_offset))
    with mock_bootloader(chip=CHIPS[chip].argument) as mock:
        done = flash(release, "factory", "--port", f"socket://127.0.0.1:{mock.port()}", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["boards"][0]["steps"][0]["facts"]["family"] == chip


def test_twenty_boards_three_of_them_bad(made_release: Release, tmp_path: Path) -> None:
    release = made_release(Made(app_bytes=0x3000))
    roms = [Rom(tmp_path / f"ttyUSB{number}", number=number) for number in range(20)]
    table = tmp_path / "boards.csv"
    table.write_text("probe,port\n" + "".join(f"probe-{number},{rom.path}\n" for number, rom in enumerate(roms)))
    roms[4].silent, roms[9].worn, roms[14].pull_after_blocks = True, True, 1
    options = ("factory", "--csv", table, "--journal", tmp_path / "journal")
    done = flash(release, *options)
    assert done.returncode == 6
    assert "17 of 20 boards done" in done.stdout
    for number, words in ((4, "hold BOOT"), (9, "its MD5 differs"), (14, "unplugged")):
        assert any(line.startswith(f"probe-{number}: flash: ") and words in line for line in done.stdout.splitlines())
    before = [rom.blocks for rom in roms]

    roms[4].silent, roms[9].worn, roms[14].pull_after_blocks = False, False, None
    roms[14].plug()
    done = flash(release, *options, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 20
    again = [number for number, rom in enumerate(roms) if rom.blocks > before[number]]
    assert again == [4, 9, 14]
    image = load_catalogue(release)["ESP32"].parts[0].data
    assert all(rom.flash[0x1000 : 0x1000 + len(image)] == image for rom in roms)
    for rom in roms:
        rom.pull()


def test_stop_ends_esptool_and_says_so(rom: Rom, made_release: Release, tmp_path: Path) -> None:
    release = made_release(Made())
    rom.silent = True
    (tmp_path / "boards.csv").write_text(f"probe,port\ntill,{rom.path}\n")
    running = subprocess.Popen(
        footfall_command(release, tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    give_up = time.monotonic() + 60
    while not (tmp_path / "j" / "till.json").exists():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    time.sleep(1.0)  # esptool tries for some seconds
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert "stopped by you" in said
    assert json.loads((tmp_path / "j" / "till.json").read_text())["steps"][0]["state"] == "stopped"
    assert not any("esptool" in line for line in _processes(rom.path))


def footfall_command(release: Path, folder: Path) -> list[str]:
    return [*COMMAND, "probe", "flash", "--images", str(release), "--factory", "--csv", str(folder / "boards.csv"),
            "--journal", str(folder / "j")]  # fmt: skip


def _processes(port: Path) -> list[str]:
    told = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in told.stdout.splitlines() if str(port) in line]


# What the catalogue may be.


def test_a_catalogue_that_is_not_whole(made_release: Release, tmp_path: Path) -> None:
    refused(
        flash(tmp_path / "none", "factory", "--port", "auto"), 3, r"manifest\.json: cannot be read .*scripts/release"
    )
    release = made_release(Made(), C3)
    image = next(release.glob("*esp32.bin"))
    whole = image.read_bytes()
    image.write_bytes(whole[:-100])
    refused(flash(release, "factory", "--port", "auto"), 3, r"are not those of the catalogue \(cut short or changed\)")
    image.unlink()
    refused(flash(release, "factory", "--port", "auto"), 3, r"esp32\.bin: cannot be read")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no catalogue"),
        ("[" * 100_000, "is no catalogue"),
        ('{"name": "x", "version": "1", "builds": []}', "lists no image"),
        (
            '{"name": "x", "version": "1", "builds": [{"chipFamily": "ESP32", "parts": [{"path": "a", "offset": 0}]}]}',
            "sha256",
        ),
        ('{"name": "x", "version": "1", "builds": [{"chipFamily": "Z80", "parts": []}]}', "'Z80' is unknown"),
        (
            '{"name": "x", "version": "1", "builds": [{"chipFamily": "ESP32", "parts": '
            '[{"path": "../../etc/passwd", "offset": 0, "sha256": ""}]}]}',
            "is not possible",
        ),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_catalogue(tmp_path)


def test_an_image_of_another_chip_under_a_chips_name(made_release: Release) -> None:
    release = made_release(Made())
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["builds"][0] = {**manifest["builds"][0], "chipFamily": "ESP32-S2"}
    (release / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="is for ESP32, not for ESP32-S2"):
        load_catalogue(release)


@pytest.mark.parametrize("at", [8, 40, 3000, 6050])
def test_a_changed_byte_that_the_manifest_agrees_with(made_release: Release, tmp_path: Path, at: int) -> None:
    """Made anew with a broken image: its own checksum or hash tells."""
    release = made_release(Made())
    data = bytearray(next(release.glob("*.bin")).read_bytes())
    data[at] ^= 0x10
    (tmp_path / "broken.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"checksum is wrong|cut short"):
        load_catalogue(lay_out(tmp_path / "broken", tmp_path / "broken.bin"))


def test_an_image_without_a_hash_has_its_checksum() -> None:
    image = bytearray(program(0, b"code" * 500))
    image[23] = 0
    check_image(bytes(image), CHIPS["ESP32"], "x.bin")
    image[100] ^= 1
    with pytest.raises(InputError, match=r"x\.bin: its checksum is wrong"):
        check_image(bytes(image), CHIPS["ESP32"], "x.bin")


def test_an_update_leaves_out_data_alone(made_release: Release) -> None:
    build = load_catalogue(made_release(Made()))["ESP32"]
    parts = parts_for_update(build)
    written = {at for part in parts for at in range(part.offset, part.end, 0x1000)}
    assert written.isdisjoint(range(0x9000, 0xD000, 0x1000))
    assert {0x1000, 0x8000, 0xD000, 0xE000, 0x10000} <= written
    assert max(part.end for part in parts) <= 0x50000


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (
            "A fatal error occurred: Could not open COM3, the port is busy or doesn't exist.\n"
            "(could not open port 'COM3': PermissionError(13, 'Access is denied.', None, 5))",
            "the port is busy; close the program",
        ),
        ("Error: [Errno 13] could not open port /dev/ttyUSB0: [Errno 13] Permission denied", "udev rule"),
        ("Error: [Errno 11] Could not exclusively lock port /dev/ttyUSB0: Resource temporarily unavailable", "busy"),
        ("A fatal error occurred: Failed to connect to ESP32: Wrong boot mode detected (0x13)!", "hold BOOT"),
        ("A serial exception error occurred: ClearCommError failed (PermissionError(13, 'x', None, 22))", "unplugged"),
        ("OSError: [Errno 28] No space left on device", "the disk is full; free some space"),
        ("A fatal error occurred: something new", "something new"),
        ("", "it said nothing"),
    ],
)
def test_what_esptool_says_elsewhere(words: str, meaning: str) -> None:
    error = explain(words.splitlines(), "COM3")
    assert isinstance(error, HostkitError)
    assert meaning in str(error)


def test_the_rule_names_every_bridge() -> None:
    rule = udev_rule()
    for vid, pid in BRIDGES:
        line = next(line for line in rule.splitlines() if f'"{vid:04x}"' in line)
        assert vid == ESPRESSIF or f"{pid:04x}" in line
    assert footfall("probe", "ports", "--udev-rule").stdout == rule


def test_auto_is_the_one_board_there_is() -> None:
    def port(path: str, bridge: str | None) -> Port:
        return Port(path=path, bridge=bridge, product="", usb="", allowed=True, held_by=None)

    assert pick_port(lambda: [port("a", None), port("b", "CP2102")]) == "b"
    with pytest.raises(
        PeerError, match=r"2 boards are plugged in: b \(CP2102\), c \(CH340\); name yours, as --port b, or unplug"
    ):
        pick_port(lambda: [port("b", "CP2102"), port("c", "CH340")])
    with pytest.raises(PeerError, match="no board is plugged in; plug it in with a cable that carries data"):
        pick_port(list)
    with pytest.raises(PeerError, match=r"no board is plugged in \(no board's: /dev/ttyS0\); plug it in"):
        pick_port(lambda: [port("/dev/ttyS0", None)])


def test_the_script_that_makes_a_release_knows_the_same_chips() -> None:
    known = runpy.run_path(str(ROOT / "scripts" / "release"), run_name="release")["CHIPS"]
    assert known == {chip.image_id: (chip.family, chip.boot_offset) for chip in CHIPS.values()}
