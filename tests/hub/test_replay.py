"""Captures to a result: nothing lost, nothing that depends on key, chunk or order of files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hostkit.core.address import parse_address
from hostkit.errors import InputError, UsageError
from hostkit.hub.replay import ReplayResult, ReplaySettings, replay
from hostkit.hub.report import report
from hostkit.io.addresses import read_addresses
from hostkit.model import Probe, Provenance, Site
from tests.builders import ADDRESS, KEY, Packet, esp32, heard, pcapng, phone_elements, probe_request
from tests.crowd import MINUTE_US, START_US, crowd, overhear, save, shifted

OTHER_KEY = bytes(range(100, 116))


def run(*paths: Path, **settings: object) -> ReplayResult:
    captures = tuple((path, None) for path in paths)
    return replay(replace(ReplaySettings(captures=captures), **settings))  # type: ignore[arg-type]


def desk(minutes: int = 60) -> list[Packet]:
    """A desktop that probes twice a minute under its own address."""
    return [
        Packet(
            data=heard(probe_request(phone_elements(), address=ADDRESS, sequence=n), rssi_dbm=-50),
            time_us=START_US + n * MINUTE_US // 2,
        )
        for n in range(minutes * 2)
    ]


def test_every_frame_and_address_is_counted(tmp_path: Path) -> None:
    packets = overhear(crowd(1))
    result = run(save(tmp_path / "a.pcap", [*packets, *desk()]))
    assert result.totals.frames == len(packets) + 120
    assert result.totals.addresses == len(packets) // 3 + 1
    assert sum(bin_.frames for bin_ in result.bins) == result.totals.frames
    assert result.totals.late == 0
    assert result.provenance is Provenance.REPLAY


def test_records_of_an_esp32_give_what_a_pcap_gives(tmp_path: Path) -> None:
    """The desktop for an hour, its radio's clock about to wrap; then the same with damage, which is told."""
    some = [replace(packet, data=packet.data[-len(probe_request(phone_elements())) :]) for packet in desk()]
    stream = esp32(some, boot_us=2**32 - 60_000_000, rssi_dbm=-50)
    (tmp_path / "whole.heard").write_bytes(stream)
    (tmp_path / "damaged.heard").write_bytes(stream[:1000] + b"?" + stream[1000:])
    whole, damaged = run(tmp_path / "whole.heard"), run(tmp_path / "damaged.heard")
    assert whole.bins == run(save(tmp_path / "a.pcap", desk())).bins
    assert damaged.totals.frames == whole.totals.frames - 1
    assert not any("damaged" in line for line in whole.warnings)
    place = tmp_path / "damaged.heard"
    remark = f"{place}: damaged in 1 place, 108 bytes lost; the 119 frames around them were used"
    assert remark in damaged.warnings


def test_devices_come_near_the_phones_and_far_below_the_addresses(tmp_path: Path) -> None:
    result = run(save(tmp_path / "a.pcap", overhear(crowd(2, phones=35))))
    assert result.totals.addresses > 400
    assert result.totals.devices.low is not None
    assert result.totals.devices.high is not None
    # of one probe some scans are taken to be missed: here none was
    assert 0.85 * result.totals.devices.low <= 35 <= result.totals.devices.high
    assert result.totals.devices.high < result.totals.addresses / 4


def test_the_result_does_not_depend_on_the_key(tmp_path: Path) -> None:
    sent = crowd(3)
    one = save(tmp_path / "x" / "a.pcap", [*overhear(sent, 1, share=0.8), *desk()])
    two = save(tmp_path / "y" / "a.pcap", overhear(sent, 2, share=0.7, offset_s=0.4))
    texts = {
        json.dumps(report(run(one, two, key=key, fixed_addresses=(ADDRESS,)))) for key in (KEY, OTHER_KEY, None, None)
    }
    assert len(texts) == 1
    assert json.loads(texts.pop())["probes"][1]["clock"]["common_frames"] > 100


def test_the_result_does_not_depend_on_chunks_or_the_order_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = overhear(crowd(4))
    paths = [
        save(tmp_path / "b.pcap", shifted(packets, 86_400)),
        save(tmp_path / "a.pcap", packets),
    ]
    whole = run(*paths)
    turned = run(*reversed(paths))
    monkeypatch.setattr("hostkit.hub.survey.CHUNK_FRAMES", 11)
    chunked = run(*paths)
    assert chunked == whole
    assert (turned.visits, turned.bins, turned.totals) == (whole.visits, whole.bins, whole.totals)


def test_shifting_time_by_days_shifts_the_result(tmp_path: Path) -> None:
    packets = overhear(crowd(5))
    first = run(save(tmp_path / "a.pcap", packets))
    later = run(save(tmp_path / "b.pcap", shifted(packets, 3 * 86_400)))
    assert later.totals == first.totals
    assert [b.devices for b in later.bins] == [b.devices for b in first.bins]
    assert [b.start_s - 3 * 86_400 for b in later.bins] == [b.start_s for b in first.bins]


def test_a_disordered_capture_gives_the_ordered_one_and_a_remark(tmp_path: Path) -> None:
    packets = overhear(crowd(6))
    cut = len(packets) // 2
    ordered = run(save(tmp_path / "a.pcap", packets))
    turned = run(save(tmp_path / "b.pcap", packets[cut:] + packets[:cut]))
    assert (turned.totals, turned.bins, turned.visits) == (ordered.totals, ordered.bins, ordered.visits)
    assert ordered.warnings == ()
    assert "clock jumps back 1 time," in turned.warnings[0]


def test_bins_exist_only_where_a_probe_listened(tmp_path: Path) -> None:
    packets = overhear(crowd(7))
    result = run(save(tmp_path / "a.pcap", packets), save(tmp_path / "b.pcap", shifted(packets, 400 * 86_400)))
    assert 12 <= len(result.bins) <= 16
    assert all((bin_.coverage.listened_share or 0) > 0 for bin_ in result.bins)


def test_fixed_devices_are_set_apart(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pcap", [*overhear(crowd(8)), *desk()])
    without, with_list = run(path), run(path, fixed_addresses=(ADDRESS,))
    assert (without.totals.fixed, with_list.totals.fixed) == (0, 1)
    assert len(without.visits) == len(with_list.visits) + 1
    assert with_list.totals.frames == without.totals.frames
    assert with_list.totals.addresses == without.totals.addresses


def test_rotation_ends_every_visit_at_four_in_the_morning(tmp_path: Path) -> None:
    night_us = START_US // 86_400_000_000 * 86_400_000_000 + 86_400_000_000 + 4 * 3_600_000_000
    packets = [replace(packet, time_us=packet.time_us - START_US + night_us - 30 * MINUTE_US) for packet in desk()]
    result = run(save(tmp_path / "a.pcap", packets))
    assert len(result.visits) == 2
    assert all(visit.end_s.lo <= night_us / 1e6 or visit.start_s.hi >= night_us / 1e6 for visit in result.visits)
    tokyo = Site(tenant="t", site="s", time_zone="Asia/Tokyo", probes=(Probe(id="p"),))
    assert len(run(tmp_path / "a.pcap", site=tokyo).visits) == 1


def test_two_probes_are_joined_on_one_clock(tmp_path: Path) -> None:
    sent = crowd(9, phones=40)
    one = save(tmp_path / "west" / "a.pcap", overhear(sent, 1, share=0.8))
    two = save(tmp_path / "east" / "a.pcap", overhear(sent, 2, share=0.8, offset_s=-4.0))
    result = run(one, two)
    assert [capture.probe for capture in result.captures] == ["west", "east"]
    assert result.captures[1].clock.offset_s == pytest.approx(-4.0, abs=0.001)
    assert result.coverage.probes_expected == 2
    assert "taken as east, west" in result.warnings[0]
    alone = run(one)
    assert len(result.visits) == pytest.approx(len(alone.visits), abs=4)


def test_probes_without_common_frames_are_not_corrected_and_it_is_said(tmp_path: Path) -> None:
    captures = (
        (save(tmp_path / "a.pcap", overhear(crowd(10))), "a"),
        (save(tmp_path / "b.pcap", overhear(crowd(11))), "b"),
    )
    result = replay(ReplaySettings(captures=captures))
    assert result.captures[1].clock.reason is not None
    assert any("clock not corrected" in line for line in result.warnings)


def test_simulated_captures_are_marked_and_never_mixed(tmp_path: Path) -> None:
    packets = overhear(crowd(12))
    simulated = tmp_path / "a.pcapng"
    simulated.write_bytes(pcapng(packets, application="footfall simulate 0.1.0"))
    recorded = save(tmp_path / "b.pcap", shifted(packets, 86_400))
    assert run(simulated).provenance is Provenance.SIMULATED
    with pytest.raises(InputError, match=r"a\.pcapng: is simulated, others were recorded; replay"):
        run(simulated, recorded)


def test_a_capture_without_probe_requests_is_left_out_but_not_the_only_one(tmp_path: Path) -> None:
    beacons = save(tmp_path / "b.pcap", [Packet(data=heard(b"\x80" + probe_request(b"")[1:]))])
    with pytest.raises(InputError, match=r"no probe request .* in 1 packets \(1 other_subtype\)"):
        run(beacons)
    result = run(save(tmp_path / "a.pcap", overhear(crowd(13))), beacons)
    assert len(result.captures) == 1
    assert "it was left out" in result.warnings[0]
    assert result.counts.skipped.other_subtype == 1


def test_a_capture_named_twice_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pcap", overhear(crowd(14)))
    with pytest.raises(UsageError, match="named twice"):
        run(path, tmp_path / "." / "a.pcap")


def test_progress_reaches_the_end_and_never_goes_back(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pcap", overhear(crowd(15)))
    told: list[tuple[int, int]] = []
    replay(ReplaySettings(captures=((path, None),)), lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] == 2 * path.stat().st_size


def test_address_lists_allow_comments_and_name_the_bad_line(tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text("# desktops\n\ndc:fb:48:68:be:e4  # window\nDC-FB-48-8C-71-FC\n")
    assert read_addresses(good) == (ADDRESS, parse_address("dc:fb:48:8c:71:fc", where="test"))
    bad = tmp_path / "bad.txt"
    bad.write_text("dc:fb:48:68:be:e4\nnonsense\n")
    with pytest.raises(InputError, match=r"bad\.txt:2: "):
        read_addresses(bad)
