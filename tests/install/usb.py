"""The list of serial ports as the operating system gives it, played: pyserial's in every process that is started so."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command import ROOT

CP2102 = (0x10C4, 0xEA60)
PATCH = """
import json, os
from serial.tools import list_ports, list_ports_common

def comports():
    found = []
    with open(os.environ["PLAYED_PORTS"]) as file:
        for path, vid, pid, product in json.load(file):
            one = list_ports_common.ListPortInfo(path, skip_link_detection=True)
            one.vid, one.pid, one.product = vid, pid, product
            found.append(one)
    return found

list_ports.comports = comports
"""


@contextmanager
def plugged(folder: Path, *boards: Path, others: tuple[Path, ...] = ()) -> Iterator[dict[str, str]]:
    """Give the environment in which boards with a CP2102, and other serial devices, are plugged in."""
    shim, ports = folder / "usb", folder / "ports.json"
    shim.mkdir(exist_ok=True)
    (shim / "sitecustomize.py").write_text(PATCH)
    rows: list[tuple[str, int | None, int | None, str]] = [(str(one), *CP2102, "CP2102") for one in boards]
    ports.write_text(json.dumps(rows + [(str(one), None, None, "ttyS0") for one in others]))
    yield {"PYTHONPATH": f"{shim}{os.pathsep}{ROOT}", "PLAYED_PORTS": str(ports)}
