"""Every recorded probe request, field by field against tshark."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.address import parse_address
from hostkit.core.dot11 import FRAME, device_keys
from hostkit.core.wire import Flag
from hostkit.io.pcap import open_capture
from tests.builders import KEY
from tests.conftest import DATA

FIELDS = (
    *("frame.time_epoch", "wlan.ta", "wlan.seq", "radiotap.dbm_antsignal", "wlan.ds.current_channel"),
    *("radiotap.channel.freq", "wlan.fc.retry"),
)
CAPTURES = sorted(DATA.glob("probes/*/pcap/*/*.pcap")) + sorted(DATA.glob("derand/milano/*.pcap"))


def tshark(path: Path) -> list[list[str]]:
    """Give FIELDS of each probe request that has no bad FCS, as text."""
    wanted = "wlan.fc.type_subtype == 4 && !(radiotap.flags.badfcs == 1)"
    command = ["tshark", "-n", "-r", str(path), "-Y", wanted, "-T", "fields", "-E", "occurrence=f"]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, check=True)
    return [line.split("\t") for line in done.stdout.decode(errors="replace").splitlines()]


def read_all(path: Path) -> np.ndarray:
    with open_capture(path, KEY) as reader:
        parts = [np.empty(0, FRAME)]
        while len(part := reader.read(10_000)):
            parts.append(part)
        counts = reader.counts
    assert counts.packets == counts.frames + counts.skipped.bad_fcs
    return np.concatenate(parts)


def channel(ds: str, mhz: str) -> int:
    """Give the DS channel, else the tuned one; 0 is no channel, and the recordings are all in 2.4 GHz."""
    return int(ds) if int(ds or 0) else (14 if mhz == "2484" else (int(mhz) - 2407) // 5)


@pytest.mark.realdata
@pytest.mark.needs("tshark")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_capture_equals_tshark(path: Path) -> None:
    rows, expected = read_all(path), tshark(path)
    assert len(rows) == len(expected) > 0
    columns = list(zip(*expected, strict=True))
    addresses = [parse_address(text, where=path.name) for text in columns[1]]
    assert rows["time_us"].tolist() == [int(text.replace(".", "")[:16]) for text in columns[0]]
    assert np.array_equal(rows["device_key"], device_keys(addresses, KEY))
    assert len(np.unique(rows["device_key"])) == len(set(addresses))
    assert rows["sequence"].tolist() == [int(text) for text in columns[2]]
    assert rows["rssi_dbm"].tolist() == [int(text) for text in columns[3]]
    assert rows["channel"].tolist() == [channel(ds, mhz) for ds, mhz in zip(columns[4], columns[5], strict=True)]
    assert (rows["flags"] & Flag.RANDOMISED != 0).tolist() == [bool(address[0] & 2) for address in addresses]
    assert (rows["flags"] & Flag.RETRY != 0).tolist() == [text in ("1", "True") for text in columns[6]]
