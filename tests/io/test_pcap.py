"""Captures on disk: mapped, and refused with a next step."""

from pathlib import Path

import pytest

from hostkit.errors import ExitCode, InputError
from hostkit.io.pcap import open_capture
from tests.builders import KEY, Packet, heard, pcap, phone_elements, probe_request

CAPTURE = pcap([Packet(data=heard(probe_request(phone_elements())))] * 5)


def test_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "monday.pcap"
    path.write_bytes(CAPTURE)
    with open_capture(path, KEY) as reader:
        assert len(reader.read()) == 5
        assert reader.position == path.stat().st_size


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught, open_capture(path, KEY) as reader:
        reader.read()
    assert caught.value.exit_code == ExitCode.INPUT
    return str(caught.value)


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "monday.pcap"
    assert refusal(path) == f"{path}: No such file or directory; check the name"


def test_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: Is a directory; name the capture files inside it"


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.touch()
    assert refusal(path) == f"{path}: the file is empty; capture anew"


def test_damage_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.pcap"
    path.write_bytes(pcap([]) + b"\xff" * 100)
    assert refusal(path).startswith(f"{path}: packet 1 at byte 24: packet length 4294967295 is impossible")
