"""The first pass: order, steps back, spans of listening."""

from pathlib import Path

import pytest

from hostkit.errors import InputError
from hostkit.hub.survey import MAX_SEGMENTS, Survey, survey
from tests.builders import KEY, Packet, heard, phone_elements, probe_request
from tests.crowd import START_US, crowd, overhear, save, shifted

PROBE_REQUEST = heard(probe_request(phone_elements()))


def ticking(*times_s: float) -> list[Packet]:
    return [Packet(data=PROBE_REQUEST, time_us=START_US + round(second * 1e6)) for second in times_s]


def look(tmp_path: Path, packets: list[Packet], **settings: int) -> Survey:
    path = save(tmp_path / "a.pcap", packets)
    return survey(path, KEY, settings.get("sample_frames", 0), lambda read: None)


def spans_s(found: Survey) -> list[tuple[float, float]]:
    return [((start - START_US) / 1e6, (end - START_US) / 1e6) for start, end in found.spans_us]


def segments(found: Survey) -> list[tuple[int, int]]:
    return [(segment.first, segment.last) for segment in found.segments]


def test_an_ordered_capture_is_one_segment_and_one_span(tmp_path: Path) -> None:
    found = look(tmp_path, ticking(0, 5, 5, 900))
    assert segments(found) == [(0, 4)]
    assert spans_s(found) == [(0, 900)]
    assert (found.steps_back, found.largest_step_s) == (0, 0)
    assert found.counts.frames == 4


def test_small_disorder_stays_in_one_segment_and_only_steps_over_a_second_are_told(tmp_path: Path) -> None:
    found = look(tmp_path, ticking(0, 5, 4.2, 9, 3, 12))
    assert segments(found) == [(0, 6)]
    assert (found.steps_back, found.largest_step_s) == (1, 6.0)
    assert spans_s(found) == [(0, 12)]


def test_a_clock_set_back_starts_a_new_segment(tmp_path: Path) -> None:
    found = look(tmp_path, ticking(100, 110, 50, 60, 70, 20))
    assert segments(found) == [(0, 2), (2, 5), (5, 6)]
    assert spans_s(found) == [(20, 110)]
    assert (found.steps_back, found.largest_step_s) == (2, 60.0)
    assert (found.start_us, found.end_us) == (START_US + 20_000_000, START_US + 110_000_000)


def test_a_slow_slide_back_is_found_against_the_newest_time_not_the_last(tmp_path: Path) -> None:
    found = look(tmp_path, ticking(100, 96, 93, 91, 88))
    assert segments(found) == [(0, 4), (4, 5)]
    assert found.largest_step_s == 4.0


def test_long_silence_is_not_listening(tmp_path: Path) -> None:
    found = look(tmp_path, ticking(0, 3600, 7200, 10801, 10900))
    assert spans_s(found) == [(0, 7200), (10801, 10900)]
    assert segments(found) == [(0, 5)]


def test_one_frame_of_the_far_future_does_not_stretch_the_span(tmp_path: Path) -> None:
    found = look(tmp_path, ticking(0, 10, 2_000_000_000, 20, 30))
    assert spans_s(found) == [(0, 30), (2_000_000_000, 2_000_000_000)]


def test_a_clock_that_keeps_jumping_is_refused_with_the_remedy(tmp_path: Path) -> None:
    times = [second for n in range(MAX_SEGMENTS + 1) for second in (1000 - n * 11, 1001 - n * 11)]
    with pytest.raises(InputError, match="reordercap"):
        look(tmp_path, ticking(*times))
    assert len(look(tmp_path, ticking(*times[:-2])).segments) == MAX_SEGMENTS


@pytest.mark.parametrize("size", [1, 7])
def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    packets = overhear(crowd(1, phones=10, minutes=20))
    packets = packets[200:] + packets[:200] + shifted(packets[:50], 7200)
    whole = look(tmp_path, packets)
    monkeypatch.setattr("hostkit.hub.survey.CHUNK_FRAMES", size)
    parts = look(tmp_path, packets)
    assert parts.segments == whole.segments
    assert parts.spans_us == whole.spans_us
    assert (parts.steps_back, parts.largest_step_s) == (whole.steps_back, whole.largest_step_s)


def test_no_probe_request_is_no_segment(tmp_path: Path) -> None:
    beacon = heard(b"\x80" + probe_request(b"")[1:])
    found = look(tmp_path, [Packet(data=beacon)])
    assert found.segments == ()
    assert found.counts.skipped.other_subtype == 1
