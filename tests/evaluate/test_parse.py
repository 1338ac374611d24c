"""Agreement with tshark: full on what we build, and every kind of disagreement found."""

import json
import random
from itertools import product
from pathlib import Path

import pytest

from hostkit.evaluate.parse import MAX_EXAMPLES, NOT_COMPARED, as_object, evaluate
from hostkit.sim.elements import wps
from tests import builders as b
from tests.builders import ADDRESS, RANDOMISED, Packet, heard, phone_elements, probe_request, radio_fields, radiotap
from tests.cli.command import footfall, refused
from tests.core.test_capture import CONTAINERS
from tests.core.test_capture import packets as container_packets
from tests.core.test_dot11_twin import random_frame

DEFECT, INPUT = 1, 3
TIME_US = 1_700_000_000_123_456


def packets() -> list[Packet]:
    """One of each kind that a sniffer hands over."""
    tail = wps(bytes(16), b"phone") + b.vendor("0017f20a", b"abc") + b.extension(2, b"\0\7") + b.element(107, b"\2")
    frame = probe_request(phone_elements(ssid=b"Cafe Luna", tail=tail), address=RANDOMISED, sequence=4095)
    fcs = radiotap(radio_fields(flags=b.FCS))
    bad = radiotap(radio_fields(flags=b.FCS | b.BAD_FCS))
    data = [
        heard(frame),
        heard(frame, rssi_dbm=-128, noise_dbm=-95, mhz=2472),
        heard(probe_request(phone_elements(), address=ADDRESS, control=0x0840)),
        heard(probe_request(phone_elements(), ht_control=b"\1\2\3\4")),
        heard(probe_request(b.element(0) + b.element(1, b.RATES), sequence=1), mhz=5180),
        heard(probe_request(phone_elements() + b"\xdd\x40ab")),
        fcs + frame + bytes(4),
        bad + frame + bytes(4),
        heard(probe_request(bytes(12) + b.element(0, b"x"), control=0x0080)),
        heard(probe_request(b"", control=0x0048)),
        heard(probe_request(phone_elements(), control=0x4040)),
        radiotap({b.CHANNEL: bytes(4)}) + frame,
        radiotap({2: b"\2"}, b.VendorData(), radio_fields(rssi_dbm=-41)) + frame,
    ]
    return [Packet(data=one, time_us=TIME_US + at * 1001) for at, one in enumerate(data)]


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("container", ["pcap", "pcapng"])
def test_every_kind_of_packet_agrees(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"a.{container}"
    path.write_bytes({"pcap": b.pcap, "pcapng": b.pcapng}[container](packets()))
    result = evaluate([path])
    assert not result.examples
    assert (result.captures, result.packets, result.frames) == (1, 13, 8)
    assert result.agreed["fate"] == result.agreed["packets"] == 13
    assert result.not_compared == {"stopped": 1}  # the frame whose last element runs over
    assert set(result.agreed.values()) == {7, 8, 13}
    assert not result.disagreed


@pytest.mark.needs("tshark")
def test_nonsense_agrees_where_the_standard_leaves_no_choice(tmp_path: Path) -> None:
    """Random bodies for every element: whatever tshark reads to the end, it reads the same."""
    rng = random.Random(5)
    some = [Packet(data=heard(random_frame(rng)), time_us=TIME_US + at) for at in range(600)]
    (tmp_path / "a.pcap").write_bytes(b.pcap(some))
    result = evaluate([tmp_path])
    assert not result.examples
    assert result.agreed["kinds"] > 100
    assert set(result.not_compared) <= set(NOT_COMPARED)


@pytest.mark.needs("tshark")
def test_a_cut_capture_and_an_empty_one_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(b.pcap(packets())[:-3])
    (tmp_path / "b.pcap").write_bytes(b.pcap([], link_type=1))
    seen: list[tuple[int, int]] = []
    result = evaluate([tmp_path], lambda done, total: seen.append((done, total)))
    assert result.packets == 12
    assert [line.partition(": ")[2] for line in result.warnings] == [
        "ends inside a packet; the 12 packets before it were compared",
        "holds no packet; nothing was compared",
    ]
    assert seen[-1][0] == seen[-1][1]


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_agrees(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.pcapng").write_bytes(CONTAINERS[name](container_packets()))
    result = evaluate([tmp_path])
    assert not result.examples
    assert result.frames == 3


@pytest.mark.needs("tshark")
def test_times_of_every_interface_agree(tmp_path: Path) -> None:
    """Resolutions of ten and two, offsets, both byte orders, packets without a time; tshark overflows beyond 1e-9."""
    packet, capture = container_packets(1)[0], b""
    for order, resolution, offset_s in product("<>", (None, 0, 3, 9, 0x80, 0x8A, 0xA0), (None, 100, -3)):
        shown = 6 if resolution is None else resolution
        ticks = TIME_US * (2 ** (shown & 127) if shown & 128 else 10**shown) // 10**6
        capture += b.section(order=order) + b.interface(resolution=resolution, offset_s=offset_s, order=order)
        capture += b.enhanced(packet, ticks=ticks, order=order) + b.simple(packet, order=order)
    (tmp_path / "a.pcapng").write_bytes(capture)
    result = evaluate([tmp_path])
    assert not result.examples
    assert (result.packets, result.frames) == (84, 42)


# ---- a tshark that answers as a test wants ----


def answering(folder: Path, lines: list[str]) -> str:
    """Put a `tshark` into a folder that prints these lines; give a PATH with it alone."""
    (folder / "lines").write_text("".join(line + "\n" for line in lines))
    program = folder / "tshark"
    script = ("#!/bin/sh", "[ $1 = --version ] && echo TShark x 9.9 && exit", 'while read -r l; do echo "$l"; done < ')
    program.write_text("\n".join(script) + f"{folder}/lines\n")
    program.chmod(0o755)
    return str(folder)


RIGHT = {
    "encapsulation": "23", "time": "1700000000.123456000", "version": "0",
    "subtype": "0x0004", "badfcs": "0", "address": "96:f6:21:04:45:4a",
    "sequence": "7", "retry": "0", "protected": "0", "rssi": "-60", "noise": "", "mhz": "2437", "ds": "6",
    "ssid": "436166",
    "ids": "0,1,50,3,45,127", "lengths": "3,4,8,1,26,8", "extensions": "", "malformed": "", "expert": "",
}  # fmt: skip
WRONG = {
    "time": "1700000000.123457000", "address": "96:f6:21:04:45:4b", "sequence": "8", "retry": "1", "rssi": "-61",
    "noise": "-1", "ds": "7", "ssid": "436167", "ids": "0,1,50,3,45",
    "expert": "Tag Length is longer than remaining payload", "subtype": "0x0008", "badfcs": "1", "protected": "1",
}  # fmt: skip


def capture(folder: Path) -> Path:
    frame = probe_request(phone_elements(ssid=b"Caf"), address=RANDOMISED, sequence=7)
    path = folder / "a.pcap"
    path.write_bytes(b.pcap([Packet(data=heard(frame), time_us=TIME_US)]))
    return path


@pytest.mark.parametrize("field", [None, *WRONG])
def test_each_field_that_differs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str | None) -> None:
    line = "\t".join((RIGHT if field is None else {**RIGHT, field: WRONG[field]}).values())
    monkeypatch.setenv("PATH", answering(tmp_path, [line]))
    result = evaluate([capture(tmp_path)])
    assert result.tshark == "9.9"
    assert bool(result.disagreed) is (field is not None)
    shown = json.dumps(as_object(result))
    assert "454a" not in shown.replace(":", "")
    assert "436166" not in shown


def test_packets_that_only_one_of_both_has_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "\t".join(RIGHT.values())
    for lines in ([], [line, line]):
        monkeypatch.setenv("PATH", answering(tmp_path, lines))
        assert evaluate([capture(tmp_path)]).disagreed["packets"] == 1


def test_examples_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", answering(tmp_path, ["\t".join({**RIGHT, "rssi": "-1"}.values())]))
    path = capture(tmp_path)
    result = evaluate([path] * 9)
    assert result.disagreed == {"rssi": 9}
    assert len(result.examples) == MAX_EXAMPLES
    assert (result.examples[0].packet, result.examples[0].tshark, result.examples[0].footfall) == (1, -1, -60)


# ---- the command ----


def test_command_says_how_to_get_tshark(tmp_path: Path) -> None:
    refused(footfall("evaluate", "parse", capture(tmp_path), PATH=str(tmp_path)), INPUT, "apt install tshark")


def test_command_fails_on_a_disagreement(tmp_path: Path) -> None:
    path = answering(tmp_path, ["\t".join({**RIGHT, "rssi": "-1"}.values())])
    done = footfall("evaluate", "parse", "--json", capture(tmp_path), PATH=path)
    answer = json.loads(done.stdout)
    assert done.returncode == DEFECT
    assert answer["fields"]["rssi"] == {"agreed": 0, "disagreed": 1}
    table = footfall("evaluate", "parse", capture(tmp_path), PATH=path)
    assert "packet 1: rssi is -1 by tshark, -60 here" in table.stdout


@pytest.mark.needs("tshark")
def test_command_agrees(tmp_path: Path) -> None:
    done = footfall("evaluate", "parse", "--json", capture(tmp_path))
    assert done.returncode == 0
    assert json.loads(done.stdout)["disagreed"] == 0


@pytest.mark.needs("tshark")
def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.pcap").write_text("time,address\n" * 99)
    (tmp_path / "none").mkdir()
    refused(footfall("evaluate", "parse", tmp_path / "text.pcap"), INPUT, "neither pcap nor pcapng")
    refused(footfall("evaluate", "parse", tmp_path / "none"), INPUT, "holds no capture")
    refused(footfall("evaluate", "parse", tmp_path / "gone.pcap"), INPUT, "no such file")
