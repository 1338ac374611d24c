"""The second pass: every sighting once, in order of time, in bounded chunks."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.clock import ClockFit
from hostkit.hub.merge import Stretch, merge
from hostkit.hub.survey import survey
from tests.builders import KEY, Packet
from tests.crowd import START_US, crowd, overhear, save, shifted


def stretches(paths: list[Path], fits: list[ClockFit] | None = None) -> list[Stretch]:
    surveys = [survey(path, KEY, 0, lambda read: None) for path in paths]
    return [
        Stretch(survey=found, segment=segment, probe=probe, fit=fits[probe] if fits else ClockFit())
        for probe, found in enumerate(surveys)
        for segment in found.segments
    ]


def merged(parts: list[Stretch]) -> NDArray[np.void]:
    chunks = list(merge(parts, KEY, lambda read: None))
    rows = np.concatenate(chunks)
    assert (np.diff(rows["time_us"]) >= 0).all()
    return rows


@pytest.fixture(params=[7, 32_768])
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostkit.hub.survey.CHUNK_FRAMES", request.param)


@pytest.mark.usefixtures("_chunk")
def test_two_probes_are_merged_in_order_and_nothing_is_lost(tmp_path: Path) -> None:
    sent = crowd(2, phones=10, minutes=20)
    one, two = overhear(sent, 1, share=0.6), overhear(sent, 2, share=0.4)
    rows = merged(stretches([save(tmp_path / "a.pcap", one), save(tmp_path / "b.pcap", two)]))
    assert sorted((int(t), int(p)) for t, p in zip(rows["time_us"], rows["probe"], strict=True)) == sorted(
        [(packet.time_us, 0) for packet in one] + [(packet.time_us, 1) for packet in two]
    )


@pytest.mark.usefixtures("_chunk")
def test_days_follow_each_other_in_any_order_of_files(tmp_path: Path) -> None:
    monday = overhear(crowd(3, phones=5, minutes=20))
    tuesday = shifted(monday, 86_400)
    rows = merged(stretches([save(tmp_path / "b.pcap", tuesday), save(tmp_path / "a.pcap", monday)]))
    assert rows["probe"].tolist() == [1] * len(monday) + [0] * len(tuesday)


@pytest.mark.usefixtures("_chunk")
def test_clock_correction_is_applied(tmp_path: Path) -> None:
    sent = crowd(4, phones=5, minutes=20)
    fit = ClockFit(common_frames=99, offset_s=5.0, origin_us=START_US)
    paths = [save(tmp_path / "a.pcap", overhear(sent)), save(tmp_path / "b.pcap", overhear(sent, offset_s=5.0))]
    rows = merged(stretches(paths, [ClockFit(), fit]))
    of_one, of_other = rows[rows["probe"] == 0], rows[rows["probe"] == 1]
    assert (of_one["time_us"] == of_other["time_us"]).all()
    assert (of_one["device_key"] == of_other["device_key"]).all()


@pytest.mark.usefixtures("_chunk")
@pytest.mark.parametrize("swap", ["neighbours", "far", "spike"])
def test_a_disordered_capture_comes_out_as_the_ordered_one(tmp_path: Path, swap: str) -> None:
    packets = overhear(crowd(5, phones=8, minutes=20))
    mixed: list[Packet] = list(packets)
    if swap == "neighbours":
        for i in range(0, len(mixed) - 1, 2):
            mixed[i], mixed[i + 1] = mixed[i + 1], mixed[i]
    elif swap == "far":
        mixed = mixed[100:] + mixed[:100]
    else:
        mixed.insert(50, mixed.pop())
    disordered = merged(stretches([save(tmp_path / "a.pcap", mixed)]))
    ordered = merged(stretches([save(tmp_path / "b.pcap", packets)]))
    assert (disordered["time_us"] == ordered["time_us"]).all()
    assert sorted(disordered["device_key"]) == sorted(ordered["device_key"])


def test_a_capture_that_grew_since_the_survey_gives_what_was_surveyed(tmp_path: Path) -> None:
    packets = overhear(crowd(6, phones=5, minutes=20))
    path = save(tmp_path / "a.pcap", packets[:100])
    parts = stretches([path])
    save(path, packets)
    assert len(merged(parts)) == 100


def test_memory_holds_only_captures_that_overlap(tmp_path: Path) -> None:
    day = overhear(crowd(7, phones=3, minutes=20))
    paths = [save(tmp_path / f"{n}.pcap", shifted(day, n * 86_400)) for n in range(5)]
    read: list[int] = []
    chunks = merge(stretches(paths), KEY, read.append)
    first = next(chunks)
    assert int(first["time_us"][-1]) < START_US + 86_400_000_000
    assert sum(read) <= 2 * paths[0].stat().st_size
