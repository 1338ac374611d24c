"""The firmware's pure modules give the same under CPython and under a real MicroPython."""

import importlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, ROOT, interpreter

HERE = Path(__file__).parent
MODULES = ("wire_checks", "plain_checks", "store_checks")
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
