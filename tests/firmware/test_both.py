"""The firmware's pure modules give the same under CPython and under a real MicroPython."""

import importlib
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.core.ble import record_of
from tests.ble_builders import eddystone, ibeacon, phone_ad, structure
from tests.builders import KEY
from tests.firmware.board import FIRMWARE, ROOT, interpreter

HERE = Path(__file__).parent
MODULES = ("wire_checks", "plain_checks", "store_checks", "small_checks")
DATA = ROOT / "tests" / "data" / "wire"


def checks() -> list[tuple[str, Callable[[], None]]]:
    """Give every check by name."""
    os.environ["WIRE_DATA"] = str(DATA)
    found = []
    for name in MODULES:
        module = importlib.import_module(f"both.{name}")
        found += [(f"{name} {check}", getattr(module, check)) for check in dir(module) if check.startswith("check_")]
    return found


CHECKS = checks()


def adverts() -> list[bytes]:
    """Give AD of every kind, whole, cut and spoilt, from a fixed seed."""
    chance = random.Random(11)
    whole = [phone_ad(), ibeacon(), eddystone(b"\0" + bytes(18)), structure(0x16, b"\xaa\xfe\x10abc"), b"", b"\0\0"]
    whole += [structure(kind, chance.randbytes(20)) for kind in (0x16, 0x20, 0x21, 0xFF)] * 5
    whole += [structure(kind, chance.randbytes(chance.randrange(29))) for kind in [*range(1, 64), 0xFF]]
    spoilt = []
    for _ in range(150):
        data = bytearray(b"".join(chance.choices(whole, k=2)))[: chance.randrange(1, 40)]
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
        spoilt.append(bytes(data))
    return whole + spoilt


def test_a_stock_image_keys_and_reads_adverts_as_the_c_does() -> None:
    record = importlib.import_module("sensor.bleshape").record
    made = 0
    for number, ad in enumerate(adverts()):
        kind, event, address = number % 4, number % 5, bytes((number * 37 & 255, 1, 2, 3, 4, number & 255))
        theirs = record_of(address, KEY, is_random=bool(kind & 1), event_type=event, ad=ad, offset_us=0, rssi_dbm=-60)
        assert (record(KEY, kind, address, event, -60, ad) or b"") == theirs[4:], (ad.hex(), kind, event)
        made += bool(theirs)
    assert made > 50


@pytest.mark.parametrize("check", [pytest.param(run, id=name.split()[1]) for name, run in CHECKS])
def test_under_cpython(check: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check()


@pytest.fixture(scope="module")
def under_micropython(tmp_path_factory: pytest.TempPathFactory) -> str:
    env = {"MICROPYPATH": f".frozen:{HERE}:{FIRMWARE}", "WIRE_DATA": str(DATA), "PATH": "/usr/bin:/bin"}
    folder = tmp_path_factory.mktemp("checks")
    command = [interpreter(), "-X", "heapsize=1m", str(HERE / "both" / "run.py"), str(folder), *MODULES]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name, _ in CHECKS])
def test_under_micropython(name: str, under_micropython: str) -> None:
    assert f"ok {name}\n" in under_micropython, under_micropython[-3000:]
