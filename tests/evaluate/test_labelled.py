"""Labelled input of every kind: the same phones read the same, and what is wrong is one line."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.wire import Flag
from hostkit.errors import InputError, UsageError
from hostkit.evaluate.labelled import BREAK_US, elements_hash, read_folder, read_labelled
from hostkit.evaluate.read import read_input
from hostkit.evaluate.table import read_sightings
from tests.builders import Packet, element, esp32, heard, probe_request
from tests.crowd import save
from tests.evaluate.phones import HEADER, folder, packets, phones, table

BEACON = b"\x80\0" + probe_request(b"")[2:]


def read(path: Path, labels: Path | None = None) -> object:
    return read_input(path, labels, lambda done, total: None)


def test_a_folder_has_each_frame_once_in_order_with_its_phone(tmp_path: Path) -> None:
    frames = phones()
    of = read_folder(folder(tmp_path / "in", frames))
    assert of.devices == tuple(f"phone{n}" for n in range(6))
    assert of.label.tolist() == [one.phone for one in frames]
    np.testing.assert_allclose(of.sightings["time_us"], [one.time_us for one in frames], atol=20_000)
    assert of.sightings["sequence"].tolist() == [one.sequence for one in frames]
    assert len(np.unique(of.sightings["device_key"])) == len({one.address for one in frames})
    assert of.notes == ()
    keys = [one.sightings["device_key"].tolist() for one in (of, read_folder(tmp_path / "in"))]
    assert keys[0] != keys[1], "each reading has a key of its own"


def test_folder_labels_and_table_agree(tmp_path: Path) -> None:
    frames = phones()
    of = read_folder(folder(tmp_path / "in", frames))
    capture = save(tmp_path / "all.pcap", packets(frames))
    labels = tmp_path / "l.csv"
    labels.write_text("".join(f"phone{one.phone},x\n" for one in frames))
    for other in (read_labelled(capture, labels), read_sightings(table(tmp_path / "s.csv", frames))):
        assert [other.devices[n] for n in other.label] == [of.devices[n] for n in of.label]
        for name in ("sequence", "fingerprint", "flags", "rssi_dbm", "channel"):
            np.testing.assert_array_equal(other.sightings[name], of.sightings[name], name)
        np.testing.assert_array_equal(other.elements, of.elements)
        assert np.unique(other.sightings["device_key"]).size == np.unique(of.sightings["device_key"]).size


def test_every_packet_has_a_label_and_beacons_need_none(tmp_path: Path) -> None:
    frames = phones(count=2, minutes=2)
    sent = packets(frames)
    beacon = Packet(data=heard(BEACON), time_us=frames[0].time_us)
    capture = save(tmp_path / "all.pcap", [beacon, *sent[:3], beacon, *sent[3:]])
    rows = [f"phone{one.phone}" for one in frames]
    rows = ["", *rows[:3], "", *rows[3:]]
    labels = tmp_path / "l.csv"
    for header in ([], ["label"]):
        labels.write_text("\n".join([*header, *rows]) + "\n")
        assert read_labelled(capture, labels).label.tolist() == [one.phone for one in frames]
    labels.write_text("\n".join([*rows[:2], "", *rows[3:]]) + "\n")
    with pytest.raises(InputError, match=r"line 3: probe request without a label"):
        read_labelled(capture, labels)
    labels.write_text("\n".join(rows[:-2]) + "\n")
    with pytest.raises(InputError, match=f"{len(rows) - 2} labels for {len(rows)} packets"):
        read_labelled(capture, labels)


def test_sessions_are_captures_at_one_time(tmp_path: Path) -> None:
    frames = phones(count=1)
    for session, later_us in enumerate((0, 3_600_000_000)):
        save(tmp_path / "in" / "a" / f"{session}-1.pcap", packets(frames[::2], later_us))
        save(tmp_path / "in" / "a" / f"{session}-6.pcap", packets(frames[1::2], later_us + 60_000_000))
    assert np.unique(read_folder(tmp_path / "in").session).size == 2


def test_a_clock_that_was_set_ends_a_session_and_is_told(tmp_path: Path) -> None:
    frames = phones(count=1)
    half = len(frames) // 2
    stepped = packets(frames[:half], 2 * BREAK_US) + packets(frames[half:])
    save(tmp_path / "in" / "a.pcap", stepped)
    of = read_folder(tmp_path / "in")
    assert np.unique(of.session).size == 2
    assert (np.diff(of.sightings["time_us"]) >= 0).all()
    assert any("clock was set back 1 times" in note for note in of.notes)


def test_top_level_captures_are_devices_and_other_files_are_counted(tmp_path: Path) -> None:
    frames = phones(count=2, minutes=2)
    folder(tmp_path / "in", [one for one in frames if one.phone == 0])
    save(tmp_path / "in" / "lone.pcap", packets([one for one in frames if one.phone == 1]))
    save(tmp_path / "in" / "phone0" / "silent.pcap", [])
    save(tmp_path / "in" / "beacons.pcap", [Packet(data=heard(BEACON))])
    (tmp_path / "in" / "README.md").write_text("x" * 100)
    of = read_folder(tmp_path / "in")
    assert [of.devices[n] for n in np.unique(of.label)] == ["lone", "phone0"]
    assert any("2 files are no captures or empty" in note for note in of.notes)
    assert any("1 of 3 devices sent no probe request" in note for note in of.notes)


def test_what_a_probe_recorded_itself_is_a_capture_too(tmp_path: Path) -> None:
    frames = phones(count=1, minutes=2)
    (tmp_path / "in").mkdir()
    bare = [Packet(data=one.body, time_us=one.time_us) for one in frames]
    (tmp_path / "in" / "a.heard").write_bytes(esp32(bare))
    of = read_folder(tmp_path / "in")
    assert of.sightings["sequence"].tolist() == [one.sequence for one in frames]
    assert of.elements[0] == elements_hash(frames[0].elements)


def test_address_bits_that_an_anonymiser_made_are_not_trusted(tmp_path: Path) -> None:
    frames = [replace(one, address=bytes([n % 4, *one.address[1:]])) for n, one in enumerate(phones(count=2))]
    own = [replace(one, address=bytes([one.address[0] & 0xFC, *one.address[1:]])) for one in phones(count=2)]
    for mixed, notes in ((frames, 1), (own, 0)):
        of = read_sightings(table(tmp_path / "s.csv", mixed))
        assert len(of.notes) == notes
        assert bool((of.sightings["flags"] & Flag.RANDOMISED).all()) == bool(notes)


def test_the_plain_hash_of_elements_skips_ssid_and_channel_and_what_is_cut() -> None:
    rest = element(1, b"\x82\x84") + element(127, b"abc")
    one = elements_hash(element(0, b"home") + element(3, b"\6") + rest)
    assert one == elements_hash(element(0, b"") + rest + element(3, b"\1")) == elements_hash(rest + b"\x32\x08ab")
    assert one != elements_hash(rest[:-1] + b"d")


LINE = "1.5,a,02:00:00:00:00:01,-60,6,7,0000,x"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (LINE.replace("1.5", "-1"), r"line 3: time_s is -1, not in 0 to"),
        (LINE.replace("-60", "5"), r"line 3: rssi_dbm is 5"),
        (LINE.replace(",7,", ",4096,"), r"line 3: sequence is 4096"),
        (LINE.replace("02:00", "02-00"), r"line 3: .* is not an address"),
        (LINE.replace("0000,x", "zz,x"), r"line 3: elements_hex is not hexadecimal"),
        (LINE.replace("0000,x", "00" * 3000 + ",x"), r"line 3: elements of 3000 bytes"),
        (LINE.replace(",x", ","), r"line 3: label is ''"),
    ],
)
def test_a_table_names_the_line_that_is_wrong(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"{HEADER}\n{LINE}\n{line}\n")
    with pytest.raises(InputError, match=what):
        read_sightings(path)


def test_too_many_probes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("\n".join([HEADER, *(LINE.replace(",a,", f",p{n},") for n in range(65))]))
    with pytest.raises(InputError, match="65 probes, at most 64"):
        read_sightings(path)


def _empty(path: Path) -> Path:
    path.mkdir()
    return path


def _folders_of_folders(path: Path) -> Path:
    folder(path / "set", phones(count=2, minutes=2))
    return path


def _no_probe_request(path: Path) -> Path:
    return save(path / "a" / "x.pcap", [Packet(data=heard(BEACON))]).parent.parent


def _huge(path: Path) -> Path:
    path.touch()
    os.truncate(path, (1 << 30) + 1)
    return path


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (_empty, "no capture in it"),
        (_folders_of_folders, "name the folder of devices itself"),
        (_no_probe_request, "no probe request in it"),
        (_huge, "is over 1073741824 bytes"),
        (lambda path: save(path, packets(phones(count=1))), "which device sent which frame is not known"),
        (lambda path: path, "cannot be read"),
        (lambda path: table(path, []), "no sighting in it"),
    ],
)
def test_what_cannot_be_scored_is_refused(tmp_path: Path, made: object, what: str) -> None:
    assert callable(made)
    with pytest.raises(InputError, match=what):
        read(made(tmp_path / "in"))


def test_labels_of_what_has_its_own_are_refused(tmp_path: Path) -> None:
    for path in (folder(tmp_path / "in", phones(count=1)), table(tmp_path / "s.csv", phones(count=1))):
        with pytest.raises(UsageError, match="--labels"):
            read(path, tmp_path / "l.csv")


def test_damage_is_told_and_what_is_whole_is_used(tmp_path: Path) -> None:
    path = save(tmp_path / "in" / "a.pcap", packets(phones(count=1)))
    whole = len(read_folder(tmp_path / "in").sightings)
    path.write_bytes(path.read_bytes()[:-5])
    of = read_folder(tmp_path / "in")
    assert len(of.sightings) == whole - 1
    assert any("damaged or cut short" in note for note in of.notes)
