"""Intervals of counts over independent simulated windows: the short version of scripts/accuracy, on other seeds."""

import numpy as np
import pytest

from hostkit.core.calendar import WINDOW_S as ANONYMOUS_S
from tests.accuracy.report import columns, reliability, score
from tests.accuracy.windows import Scene, Window, windows

COUNT = 90


@pytest.fixture(scope="module")
def found() -> list[Window]:
    return list(windows(None, COUNT, 3))


def test_nine_in_ten_intervals_hold_how_many_phones_sent(found: list[Window]) -> None:
    it = score(found, naive=True)
    print(f"\n{it}")
    assert 0.78 <= it.coverage <= 0.98
    assert abs(it.bias) < 0.25
    assert it.winkler < 0.8 * (it.winkler_naive or 0)
    assert it.addresses_error > 1


def test_intervals_of_other_levels_hold_their_share_too(found: list[Window]) -> None:
    shares = reliability(found)
    print(f"\n{shares}")
    assert (np.diff(shares) >= 0).all()
    assert 0.3 < shares[0] < 0.75


def test_counts_follow_the_crowd(found: list[Window]) -> None:
    truth, value, *_ = columns(found)
    assert np.corrcoef(np.log(truth), np.log(value))[0, 1] > 0.93


def test_one_probe_that_is_left_still_counts() -> None:
    whole, left = (score(list(windows(Scene(phones=30, outage=out), 12, 5))) for out in (False, True))
    print(f"\nfour probes {whole}\none left {left}")
    assert abs(np.log1p(left.bias) - np.log1p(whole.bias)) < 0.3
    assert left.coverage >= 0.6


def test_a_window_of_anonymous_5min_of_which_nothing_was_heard_before_is_counted_too() -> None:
    crowds = (5.0, 15.0, 40.0, 100.0)
    scenes = [Scene(phones=phones, before_s=0, window_s=ANONYMOUS_S) for phones in crowds]
    it = score([window for seed, scene in enumerate(scenes) for window in windows(scene, 15, seed)], naive=True)
    print(f"\n{it}")
    assert 0.78 <= it.coverage <= 0.98
    assert abs(it.bias) < 0.2
    assert it.winkler < 0.8 * (it.winkler_naive or 0)
    assert it.addresses_error > 0.7
