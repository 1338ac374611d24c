"""What goes wrong on site: each gives one line with the next step, a documented exit code, and no half-made file."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from hostkit.cli.replay import bin_seconds, probe_captures
from hostkit.errors import UsageError
from tests.builders import Packet, heard, pcap, phone_elements, probe_request, radiotap, section
from tests.cli.command import ONE_LINE, footfall, refused
from tests.crowd import START_US, crowd, overhear, save
from tests.disks import small_disk

USAGE, INPUT, CONFIG, STORAGE = 2, 3, 4, 5
STREET = overhear(crowd(1))
GOOD = pcap(STREET)
CONTEXT, PARAMETER = click.Context(click.Command("replay")), click.Option(["--any"])
BARE = probe_request(phone_elements())

REFUSED_CAPTURES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"bad\.pcap: is empty; capture anew"),
    "three bytes": (b"\xd4\xc3\xb2", "neither pcap nor pcapng; "),
    "text": (b"time,address\n" * 99, "neither pcap nor pcapng; "),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(99), "gzip-compressed, not a capture; unpack it with gunzip"),
    "header cut": (GOOD[:20], "neither pcap nor pcapng; "),
    "header only": (GOOD[:24], "no probe request with signal strength in 0 packets; "),
    "pcapng section only": (section(), "no probe request with signal strength in 0 packets; "),
    "Ethernet": (pcap(STREET, link_type=1), r"link type 1 \(Ethernet\).*; capture in monitor mode"),
    "unknown link type": (pcap(STREET, link_type=4242), r"link type 4242 \(unknown\).*; capture in monitor mode"),
    "802.11 without radiotap": (pcap([Packet(data=BARE)], link_type=105), "link type 105 .*; capture in monitor mode"),
    "radiotap that is none": (pcap([Packet(data=b"\xff" * 60)]), r"no probe request .*\(1 bad_radiotap\); "),
    "no signal strength": (pcap([Packet(data=radiotap({1: b"\0"}) + BARE)]), r"\(1 no_rssi\); "),
    "frames of length 0": (pcap([Packet(data=b""), Packet(data=b"")]), r"\(2 bad_radiotap\); "),
    "frames of length 65,535": (pcap([Packet(data=b"\0" * 65_535)]), r"in 1 packets \(1 bad_radiotap\); "),
    "impossible packet": (
        GOOD + struct.pack("<4I", 0, 0, 0x7FFFFFFF, 60) + bytes(60),
        rf"packet {len(STREET) + 1} at byte {len(GOOD)}: packet length 2147483647 is impossible",
    ),
    "clock that keeps jumping back": (
        pcap([Packet(data=heard(BARE), time_us=START_US + at * 1_000_000) for n in range(70) for at in (n, 999 - n)]),
        r"clock jumps back .*; put it in order with: reordercap",
    ),
}


@pytest.mark.parametrize("name", REFUSED_CAPTURES)
def test_captures_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    content, pattern = REFUSED_CAPTURES[name]
    (tmp_path / "bad.pcap").write_bytes(content)
    out = ("--csv", tmp_path / "out", "--plot", tmp_path / "out.png", "--json")
    refused(footfall("replay", *out, tmp_path / "bad.pcap"), INPUT, pattern)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pcap"]


def test_a_good_capture_beside_a_bad_one_does_not_hide_it(tmp_path: Path) -> None:
    good = save(tmp_path / "good.pcap", STREET)
    (tmp_path / "bad.pcap").write_bytes(b"no capture")
    refused(footfall("replay", good, tmp_path / "bad.pcap"), INPUT, r"bad\.pcap: neither pcap nor pcapng")


def test_a_missing_capture_and_a_directory(tmp_path: Path) -> None:
    refused(footfall("replay", tmp_path / "none.pcap"), INPUT, r"none\.pcap: no such file; check the path")
    refused(footfall("replay", tmp_path), INPUT, "is a directory; name the capture files in it")
    refused(footfall("replay", "/dev/null"), INPUT, "is not a regular file; ")
    refused(footfall("replay"), USAGE, "no capture; name one")


# ---- captures that are damaged but usable: a remark, the figures, exit 0 ----


def usable(tmp_path: Path, content: bytes, pattern: str | None) -> dict[str, object]:
    (tmp_path / "a.pcap").write_bytes(content)
    done = footfall("replay", "--json", tmp_path / "a.pcap")
    assert done.returncode == 0
    if pattern is None:
        assert done.stderr == ""
    else:
        assert ONE_LINE.fullmatch(done.stderr), done.stderr
        assert pattern in done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_capture_cut_short_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    found = usable(tmp_path, GOOD[:-10], f"ends inside a packet; the {len(STREET) - 1} frames before it were used")
    assert found["frames"] == len(STREET) - 1


def test_a_clock_set_back_is_told_and_frames_are_put_in_order(tmp_path: Path) -> None:
    half = len(STREET) // 2
    found = usable(tmp_path, pcap(STREET[half:] + STREET[:half]), "its clock jumps back 1 time,")
    assert found["frames"] == len(STREET)
    assert found["late"] == 0


def test_frames_of_length_0_and_65535_among_others_are_counted_not_kept(tmp_path: Path) -> None:
    long = heard(probe_request(phone_elements() + b"\xdd\xff" + bytes(65_535)))[:65_535]
    odd = [Packet(data=data, time_us=STREET[0].time_us) for data in (b"", b"\0" * 65_535, long)]
    found = usable(tmp_path, pcap(odd + STREET), None)
    assert found["frames"] == len(STREET) + 1
    assert found["skipped"] == 2


# ---- options ----


def test_a_bad_probe_and_a_bad_bin(tmp_path: Path) -> None:
    refused(
        footfall("replay", "--probe", "door"), USAGE, "--probe: 'door' is not ID=FILE; write it as door=monday.pcap"
    )
    refused(footfall("replay", "--bin", "7m", tmp_path / "a.pcap"), USAGE, "--bin: '7m' is no bin width; ")


def test_a_capture_named_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(STREET))
    again = ("--probe", f"door={tmp_path / 'sub' / '..' / 'a.pcap'}")
    (tmp_path / "sub").mkdir()
    refused(footfall("replay", path, *again), USAGE, "a.pcap: named twice; name it once, as CAPTURE or with --probe")


@pytest.mark.parametrize("value", ["=a.pcap", "Door=a.pcap", "door=", "a b=a.pcap", "x" * 33 + "=a.pcap", "dör=a"])
def test_probes_that_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="is not ID=FILE"):
        probe_captures(CONTEXT, PARAMETER, (value,))


@pytest.mark.parametrize("value", ["0", "7m", "-10", "soon", "2d", "1e3", "59s", "999999h", "", "١٠"])
def test_bins_that_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="is no bin width"):
        bin_seconds(CONTEXT, PARAMETER, value)


@pytest.mark.parametrize(("value", "seconds"), [("10", 600), ("10m", 600), ("10 min", 600), ("90s", 90), ("1h", 3600)])
def test_bins_that_are_read(value: str, seconds: int) -> None:
    assert bin_seconds(CONTEXT, PARAMETER, value) == seconds


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ("dc:fb:48:68:be:e4\n\n# x\ndc:fb:48:68:be\n", r"fixed\.txt:4: .*dc:fb:48:68:be.* is not an address; "),
        ("\x1b[31mred\n", r"fixed\.txt:1: '\\x1b\[31mred' is not an address; "),
        ("\0" * 5_000_000, "is over 4000000 bytes; "),
    ],
)
def test_a_bad_list_of_fixed_addresses(tmp_path: Path, content: str, pattern: str) -> None:
    (tmp_path / "fixed.txt").write_text(content)
    capture = save(tmp_path / "a.pcap", STREET)
    refused(footfall("replay", "--fixed", tmp_path / "fixed.txt", capture), INPUT, pattern)


def test_a_missing_list_of_fixed_addresses(tmp_path: Path) -> None:
    capture = save(tmp_path / "a.pcap", STREET)
    refused(footfall("replay", "--fixed", tmp_path / "none.txt", capture), INPUT, r"none\.txt: cannot be read .*; ")


SITE = """
tenant = "acme"
site = "north"
time_zone = "UTC"
[[probes]]
id = "door"
"""
BAD_SITES = {
    "not TOML": ("tenant = acme\n", "not TOML"),
    "not UTF-8": ("\udcff", "not UTF-8"),
    "unknown key": (SITE + "colour = 1\n", "colour"),
    "wrong type": (SITE.replace('"UTC"', "3"), "time_zone"),
    "no such time zone": (SITE.replace("UTC", "Mars/Olympus"), "time_zone"),
    "two probes of one name": (SITE + '[[probes]]\nid = "door"\n', "door"),
    "probe on a floor that is not there": (SITE + 'floor = "attic"\nposition_m = [1, 1, 2]\n', "attic"),
}


@pytest.mark.parametrize("name", BAD_SITES)
def test_a_broken_or_contradictory_site(tmp_path: Path, name: str) -> None:
    content, pattern = BAD_SITES[name]
    (tmp_path / "site.toml").write_bytes(content.encode(errors="surrogateescape"))
    capture = save(tmp_path / "door.pcap", STREET)
    refused(footfall("replay", "--site", tmp_path / "site.toml", capture), CONFIG, rf"site\.toml: .*{pattern}")


def test_a_site_that_does_not_know_the_probe(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    capture = save(tmp_path / "a.pcap", STREET)
    assert footfall("replay", "--site", tmp_path / "site.toml", capture).returncode == 0
    done = footfall("replay", "--site", tmp_path / "site.toml", "--probe", f"attic={capture}")
    refused(done, CONFIG, "the site has no probe 'attic'; use one of: door")
    refused(footfall("replay", "--site", tmp_path / "none.toml", capture), CONFIG, r"none\.toml: .*; ")


def test_a_truth_that_is_none(tmp_path: Path) -> None:
    capture = save(tmp_path / "a.pcap", STREET)
    wrong = tmp_path / "summary.json"
    wrong.write_text('{"people": 3}')
    refused(footfall("replay", "--truth", wrong, capture), INPUT, r"summary\.json: .*; give truth/summary\.json")
    refused(footfall("replay", "--truth", tmp_path / "none", capture), INPUT, r"none: .*; give truth/summary\.json")


# ---- disks ----


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("option", ["--json", "--bin=10m"])
def test_a_full_disk_under_standard_output(tmp_path: Path, option: str) -> None:
    with open("/dev/full", "w") as full:
        done = footfall("replay", option, save(tmp_path / "a.pcap", STREET), stdout=full.fileno())
    refused(done, STORAGE, "standard output: cannot be written .*No space left.*; free some space")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_a_drawing_leaves_device_and_tables_alone(tmp_path: Path) -> None:
    capture = save(tmp_path / "a.pcap", STREET)
    done = footfall("replay", "--plot", "/dev/full", "--csv", tmp_path / "out", capture)
    refused(done, STORAGE, "/dev/full: cannot be written .*No space left.*; free some space")
    assert Path("/dev/full").is_char_device()
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]


@pytest.mark.needs("mount")
def test_a_full_disk_leaves_old_files_and_nothing_new(tmp_path: Path) -> None:
    capture = save(tmp_path / "a.pcap", STREET)
    with small_disk(tmp_path / "disk", "16k") as disk:
        (disk / "series.csv").write_text("old")
        done = footfall("replay", "--csv", disk, "--plot", disk / "deep" / "out.png", capture)
        refused(done, STORAGE, "cannot be written .*No space left.*; free some space")
        assert [path.name for path in disk.iterdir()] == ["series.csv"]
        assert (disk / "series.csv").read_text() == "old"


def test_tables_where_a_file_is(tmp_path: Path) -> None:
    capture = save(tmp_path / "a.pcap", STREET)
    refused(footfall("replay", "--csv", capture, capture), USAGE, "is a file, a directory is needed; ")
    done = footfall("replay", "--csv", capture / "below", capture)
    refused(done, STORAGE, "cannot be written .*; a part of the path is a file")
    refused(footfall("replay", "--plot", tmp_path, capture), STORAGE, "; give the name of a file")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pcap"]


@pytest.fixture
def mortal() -> Callable[[], list[str]]:
    """A prefix under which file permissions hold, for root as well."""
    return lambda: ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"] if os.geteuid() == 0 else []


@pytest.mark.needs("setpriv")
def test_files_nobody_may_touch(tmp_path: Path, mortal: Callable[[], list[str]]) -> None:
    capture = save(tmp_path / "a.pcap", STREET)
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    done = footfall("replay", "--plot", locked / "out.png", capture, prefix=mortal())
    refused(done, STORAGE, r"out\.png: cannot be written .*; choose a place you may write to")
    capture.chmod(0)
    refused(footfall("replay", capture, prefix=mortal()), STORAGE, r"a\.pcap: may not be read; ")
