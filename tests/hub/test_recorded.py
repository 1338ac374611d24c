"""Replay of other people's captures: counts equal to tshark's, clocks within what is known of them."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

from hostkit.hub.replay import ReplayResult, ReplaySettings, replay
from hostkit.io.addresses import read_addresses

pytestmark = pytest.mark.realdata

CAPTURES = "probes/brno-lab/pcap"


def captures(realdata: Path, day: str) -> list[Path]:
    return sorted((realdata / CAPTURES).glob(f"position_*/*{day}*.pcap"))


def run(paths: list[Path], fixed: Path | None = None) -> ReplayResult:
    addresses = read_addresses(fixed) if fixed else ()
    return replay(ReplaySettings(captures=tuple((path, None) for path in paths), fixed_addresses=addresses))


@cache
def tshark(path: Path) -> tuple[str, ...]:
    """The sender of every probe request in the capture."""
    done = subprocess.run(
        ["tshark", "-r", path, "-Y", "wlan.fc.type_subtype == 4", "-T", "fields", "-e", "wlan.sa"],
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(done.stdout.split())


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("day", ["2022-11-22", "2024-02-29"])
def test_frames_and_addresses_are_those_tshark_counts(realdata: Path, day: str) -> None:
    paths = captures(realdata, day)
    heard = [sender for path in paths for sender in tshark(path)]
    result = run(paths)
    assert result.totals.frames == len(heard)
    assert result.totals.addresses == len(set(heard))
    randomised = {sender for sender in heard if int(sender[:2], 16) & 2}
    assert result.totals.randomised_share == pytest.approx(len(randomised) / len(set(heard)))
    assert (result.totals.late, result.totals.dropped) == (0, 0)


@pytest.mark.parametrize("day", ["2022-11-22", "2024-02-29"])
def test_devices_are_far_below_addresses_and_the_interval_is_stated(realdata: Path, day: str) -> None:
    totals = run(captures(realdata, day)).totals
    assert totals.devices.value is not None
    assert totals.devices.low is not None
    assert totals.devices.high is not None
    assert totals.devices.low < totals.devices.value < totals.devices.high < totals.addresses / 3


@pytest.mark.parametrize("day", ["2024-02-15", "2024-02-29"])
def test_clocks_of_the_two_positions_are_found(realdata: Path, day: str) -> None:
    """As far apart as is known (0.02 to 0.64 s); a line that fits to a millisecond proves the frames are the same."""
    first, second = run(captures(realdata, day)).captures
    assert first.probe == "position-1"
    assert second.probe == "position-2"
    assert second.clock.reason is None
    assert second.clock.common_frames > 500
    assert 0.019 < abs(second.clock.offset_s) < 0.64
    assert abs(second.clock.drift_ppm) * 0.0864 < 0.6
    assert second.clock.residual_s < 0.001


def test_the_desktops_of_the_room_are_set_apart(realdata: Path) -> None:
    paths = captures(realdata, "2022-11-22")
    listed = realdata / "probes" / "brno-lab" / "fixed-devices.txt"
    result = run(paths, listed)
    assert 10 <= result.totals.fixed <= 14
    assert result.totals.frames == run(paths).totals.frames


def test_eight_days_give_only_the_bins_of_those_days(realdata: Path) -> None:
    result = run(sorted((realdata / CAPTURES).glob("position_*/*.pcap")))
    days = {int(bin_.start_s) // 86_400 for bin_ in result.bins}
    assert len(days) == 8
    assert 150 < len(result.bins) < 200
    assert len(result.captures) == 10
    assert result.totals.frames == 155_573
