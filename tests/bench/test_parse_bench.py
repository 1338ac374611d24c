"""Frames per CPU-second of the parser against a floor and a peer in the same run; figures are ratios."""

import ctypes
import io
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import dpkt
import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.dot11 import CaptureReader
from tests.builders import KEY, Packet, heard, pcap, phone_elements, probe_request, vendor

RUNS = 9
FRAMES = 200_000
DPKT_FRAMES = 10_000
MIN_FLOOR_RATIO = 0.8
MIN_DPKT_RATIO = 400  # 727 to 1,082 on an idle machine
FLOOR = Path(__file__).with_name("floor.c")


def cpu_ratio(work: Callable[[], object], against: Callable[[], object]) -> float:
    """Give CPU time of `against` over that of `work`: best of RUNS each, in turn, so that both meet the same load."""
    best_s = [float("inf"), float("inf")]
    for _ in range(RUNS):
        for index, call in enumerate((work, against)):
            start_s = time.process_time()
            call()
            best_s[index] = min(best_s[index], time.process_time() - start_s)
    return best_s[1] / best_s[0]


def street(count: int) -> bytes:
    """Give a capture of 500 phones of 40 models in random order, a third of them naming a network."""
    random = np.random.default_rng(1)
    models = [vendor("0017f20a", random.bytes(int(size))) for size in random.integers(0, 40, 40)]
    frames = [
        heard(
            probe_request(
                phone_elements(ssid=b"network %d" % phone if phone % 3 == 0 else b"", tail=models[phone % 40]),
                address=phone.to_bytes(6, "big"),
            )
        )
        for phone in range(500)
    ]
    return pcap(Packet(data=frames[phone]) for phone in random.integers(0, 500, count))


@pytest.fixture(scope="module", params=["street", pytest.param("recorded", marks=pytest.mark.realdata)])
def capture(request: pytest.FixtureRequest) -> bytes:
    """Give a classic little-endian pcap of at least 100,000 frames."""
    if request.param == "street":
        return street(FRAMES)
    files = sorted(request.getfixturevalue("realdata").glob("probes/brno-lab/pcap/*/*.pcap"))
    return pcap([]) + b"".join(path.read_bytes()[24:] for path in files)


def layout(capture: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give where each packet starts and how long it is."""
    offsets, lengths, at = [], [], 24
    while at < len(capture):
        (size,) = struct.unpack_from("<I", capture, at + 8)
        offsets.append(at + 16)
        lengths.append(size)
        at += 16 + size
    return np.array(offsets), np.array(lengths)


def parse(capture: bytes) -> int:
    reader, count = CaptureReader(capture, KEY), 0
    while len(part := reader.read()):
        count += len(part)
    return count


def parse_with_dpkt(capture: bytes) -> int:
    count = 0
    for _, data in dpkt.pcap.Reader(io.BytesIO(capture)):
        frame = dpkt.radiotap.Radiotap(data).data
        count += frame.subtype == dpkt.ieee80211.M_PROBE_REQ and bool(frame.mgmt.src) and bool(frame.ies)
    return count


@pytest.mark.bench
@pytest.mark.needs("gcc")
def test_parse_keeps_up_with_hashing_every_octet(capture: bytes, tmp_path: Path) -> None:
    library = tmp_path / "floor.so"
    subprocess.run(["gcc", "-std=c99", "-O3", "-shared", "-fPIC", str(FLOOR), "-o", str(library)], check=True)
    floor = ctypes.CDLL(str(library)).floor_octets
    offsets, lengths = layout(capture)
    arguments = (ctypes.c_char_p(capture), offsets.ctypes, lengths.ctypes, ctypes.c_size_t(len(offsets)))
    assert parse(capture) == len(offsets)
    ratio = cpu_ratio(lambda: parse(capture), lambda: floor(*arguments))
    print(f"parse: {ratio:.2f} times the speed of hashing every octet")
    assert ratio >= MIN_FLOOR_RATIO


@pytest.mark.bench
def test_parse_against_dpkt(capture: bytes) -> None:
    offsets, lengths = layout(capture)
    some = capture[: offsets[DPKT_FRAMES - 1] + lengths[DPKT_FRAMES - 1]]
    assert parse_with_dpkt(some) == DPKT_FRAMES
    ratio = cpu_ratio(lambda: parse(capture), lambda: parse_with_dpkt(some)) * len(offsets) / DPKT_FRAMES
    print(f"parse: {ratio:.0f} times the speed of dpkt {dpkt.__version__}")
    assert ratio >= MIN_DPKT_RATIO
