"""Firmware files onto a board: the real mpremote to a real MicroPython, the real esptool for a LittleFS image."""

import importlib.util
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from littlefs import LittleFS

from hostkit.errors import StorageError, UsageError
from hostkit.install import putapp
from hostkit.install.complaints import explain
from hostkit.install.firmware import Files, compiled, read_firmware
from hostkit.install.flash import esptool
from hostkit.install.fleet import Board, Job
from hostkit.install.label import Label, draw_labels
from hostkit.install.putapp import littlefs_image
from tests.cli.command import footfall, refused
from tests.firmware.board import interpreter
from tests.install.console import Console
from tests.install.image import TABLE, Made
from tests.install.rom import Rom

FIRMWARE = Path(__file__).parents[2] / "firmware"
Release = Callable[..., Path]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    one = Console(tmp_path / "ttyACM0", tmp_path / "flash")
    yield one
    one.off()


def put(port: Path, *more: str | Path) -> "subprocess.CompletedProcess[str]":
    return footfall("probe", "put-app", "--port", port, *more)


def told(done: "subprocess.CompletedProcess[str]", code: int, words: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.startswith("board: put-app: "), done.stdout
    assert words in done.stdout.splitlines()[0]


def held(flash: Path) -> dict[str, bytes]:
    return {path.relative_to(flash).as_posix(): path.read_bytes() for path in flash.rglob("*") if path.is_file()}


def test_files_are_compiled_put_and_read_back_and_settings_stay(console: Console, tmp_path: Path) -> None:
    (console.flash / "sensor").mkdir()
    (console.flash / "sensor" / "gone.py").write_text("stale")
    (console.flash / "settings.json").write_text("kept")
    done = put(console.port, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    there = held(console.flash)
    assert there.pop("settings.json") == b"kept"
    files = read_firmware(FIRMWARE)
    assert there.keys() == {name if name == "main.py" else name.replace(".py", ".mpy") for name in files.contents}
    assert there["main.py"] == files.contents["main.py"]
    facts = json.loads(done.stdout)["boards"][0]["steps"][0]["facts"]
    assert facts["mpy"].startswith("v6.3")
    run = subprocess.run(
        [interpreter(), "-c", "import sys; sys.path.insert(0, ''); import sensor.wire; print(sensor.wire.__file__)"],
        cwd=console.flash, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "sensor/wire.mpy"  # it loads what was compiled

    assert put(console.port, "--plain").returncode == 0
    there = held(console.flash)
    assert {name: there[name] for name in files.contents} == files.contents
    assert len(there) == len(files.contents) + 1


def test_what_the_board_holds_is_compared(console: Console) -> None:
    def spoil() -> None:
        while not (console.flash / "sensor" / "capture.py").exists():  # long before the last
            time.sleep(0.005)
        victim = console.flash / "sensor" / "app.py"
        victim.write_bytes(victim.read_bytes()[:-1] + b"#")

    threading.Thread(target=spoil, daemon=True).start()
    told(
        put(console.port, "--plain"),
        6,
        "the board does not hold what was sent: sensor/app.py; run the same",
    )


def test_a_board_that_is_unplugged_half_way_does_not_start(console: Console) -> None:
    (console.flash / "main.py").write_text("old")

    def pull() -> None:
        while len(list((console.flash / "sensor").glob("*"))) < 5:
            time.sleep(0.01)
        console.cable.unplug()

    (console.flash / "sensor").mkdir()
    threading.Thread(target=pull, daemon=True).start()
    told(put(console.port, "--plain"), 6, "the board was unplugged; plug it in again and start over")
    assert not (console.flash / "main.py").exists()
    console.cable.plug_in()
    assert put(console.port, "--plain").returncode == 0
    assert (console.flash / "main.py").exists()


def test_a_port_without_micropython(tmp_path: Path) -> None:
    rom = Rom(tmp_path / "ttyUSB0")
    rom.silent = True
    told(put(rom.path), 6, "no MicroPython answers; flash it: footfall probe flash")
    rom.pull()


def test_a_file_system_as_an_image(tmp_path: Path, made_release: Release) -> None:
    rom = Rom(tmp_path / "ttyUSB0")
    roomy = Made(table=(*TABLE[:4], ("vfs", 1, 0x81, 0x50000, 0x60000)))
    told(put(rom.path, "--littlefs"), 6, "has no partition for files; flash it first")
    assert footfall("probe", "flash", "--images", made_release(roomy), "--factory", "--port", rom.path).returncode == 0
    done = put(rom.path, "--littlefs")
    assert done.returncode == 0, done.stdout + done.stderr
    image = bytes(rom.flash[0x50000:0xB0000])
    files = read_firmware(FIRMWARE)
    system = LittleFS(mount=False, block_size=4096, block_count=len(image) // 4096, disk_version=0x20000)
    system.context.buffer = bytearray(image)
    system.mount()
    for name, data in files.contents.items():
        with system.open(name, "rb") as file:
            assert file.read() == data
    told(
        put(rom.path, "--littlefs"),
        3,
        "holds a file system already; an image would erase its settings",
    )
    assert put(rom.path, "--littlefs", "--erase").returncode == 0
    rom.pull()


def test_micropython_mounts_the_image(tmp_path: Path) -> None:
    files = read_firmware(FIRMWARE)
    (tmp_path / "vfs.bin").write_bytes(littlefs_image(files, 0x60000))
    script = """
import vfs, hashlib, os
class Flash:
    def __init__(self): self.data = bytearray(open('vfs.bin','rb').read())
    def readblocks(self, n, buf, off=0): buf[:] = self.data[n*4096+off:n*4096+off+len(buf)]
    def writeblocks(self, n, buf, off=0): self.data[n*4096+off:n*4096+off+len(buf)] = buf
    def ioctl(self, op, arg): return {4: len(self.data)//4096, 5: 4096}.get(op, 0)
vfs.mount(vfs.VfsLfs2(Flash()), '/x')
for name in ['main.py'] + ['sensor/'+n for n in os.listdir('/x/sensor')]:
    print(name, ''.join('%02x' % b for b in hashlib.sha256(open('/x/'+name,'rb').read()).digest()))
"""
    done = subprocess.run([interpreter(), "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert dict(line.split() for line in done.stdout.splitlines()) == files.sums, done.stderr + done.stdout


def test_a_partition_too_small_and_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"do not fit; use an image with more room"):
        littlefs_image(read_firmware(FIRMWARE), 0x8000)
    refused(put(tmp_path / "x", "--firmware", tmp_path), 3, r"main\.py: cannot be read .*name the folder that holds")


def test_another_bytecode_is_not_compiled_for(tmp_path: Path) -> None:
    files = Files(contents={"main.py": b"", "sensor/a.py": b"x = 1\n"})
    assert compiled(files, 2822, tmp_path).contents.keys() == {"main.py", "sensor/a.mpy"}
    for other in (0, 5, 2822 - 0x100, 63 << 10 | 0x306):
        assert compiled(files, other, tmp_path) is files


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("mpremote: failed to access COM3 (it may be in use by another program)", "busy or gone; close the program"),
        ("mpremote: [Errno 13] Permission denied: '/dev/ttyACM0'", "udev rule"),
        ("OSError: [Errno 28] ENOSPC", "the board's file system is full"),
        ("MemoryError: memory allocation failed", "memory is full"),
    ],
)
def test_what_mpremote_says(words: str, meaning: str) -> None:
    assert meaning in str(explain("mpremote", words.splitlines(), "COM3", putapp._COMPLAINTS))


def test_a_program_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def job() -> Job:
        return Job(Board(probe="till", port="COM3"), {}, lambda text, share: None, threading.Event())

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    calls = {
        "esptool": lambda: esptool("COM3", ["flash-id"], job(), timeout_s=1.0),
        "mpremote": lambda: putapp._mpremote("COM3", ["reset"], job()),
        "littlefs-python": lambda: littlefs_image(Files(contents={}), 0x10000),
        "segno": lambda: draw_labels([Label(probe="a", place="b/c", lines=(), code="x")], tmp_path / "x.svg"),
    }
    for name, call in calls.items():
        with pytest.raises(
            UsageError, match=rf"{name} is not installed; install it: pip install 'footfall\[install\]'"
        ):
            call()
