"""Coverage of bins, and bins in which nobody was heard."""

import pytest

from hostkit.core.bins import CountBin
from hostkit.hub.listened import total_coverage, with_coverage
from hostkit.model import Coverage, Estimate

UNKNOWN = Coverage(listened_share=None, probes_up=0, probes_expected=0, completeness=None)


def heard(number: int) -> CountBin:
    devices = Estimate(value=7.0, low=5.0, high=9.0, method="test")
    return CountBin(
        start_s=number * 600, end_s=(number + 1) * 600, devices=devices, addresses=9, frames=30, coverage=UNKNOWN
    )


def spans(*pairs_s: tuple[float, float]) -> list[tuple[int, int]]:
    return [(round(start * 1e6), round(end * 1e6)) for start, end in pairs_s]


def test_a_listened_silence_is_a_bin_of_zero_and_a_gap_is_none() -> None:
    bins = with_coverage([heard(0), heard(5)], [spans((0, 1800), (3000, 3300))], 600)
    assert [bin_.start_s for bin_ in bins] == [0, 600, 1200, 3000]
    assert [bin_.devices.value for bin_ in bins[:3]] == [7.0, 0.0, 0.0]
    assert bins[1].devices.high is not None
    assert bins[1].devices.high > 0
    assert (bins[1].addresses, bins[1].frames) == (0, 0)


def test_shares_count_every_probe() -> None:
    bins = with_coverage([heard(0)], [spans((0, 600)), spans((300, 500))], 600)
    assert bins[0].coverage.listened_share == pytest.approx((600 + 200) / 1200)
    assert (bins[0].coverage.probes_up, bins[0].coverage.probes_expected) == (2, 2)
    assert len(bins) == 1


def test_a_bin_of_one_frame_at_the_very_end_is_kept() -> None:
    bins = with_coverage([heard(0), heard(1)], [spans((0, 600))], 600)
    assert [bin_.coverage.listened_share for bin_ in bins] == [1.0, 0.0]
    assert len(with_coverage([heard(0)], [spans((30, 30))], 600)) == 1


def test_total_is_the_mean_of_listened_bins() -> None:
    bins = with_coverage([heard(0), heard(1)], [spans((0, 900))], 600)
    total = total_coverage(bins)
    assert total.listened_share == pytest.approx(0.75)
    assert (total.probes_up, total.probes_expected) == (1, 1)
    assert total_coverage(()).listened_share is None
