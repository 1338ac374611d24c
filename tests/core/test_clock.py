"""Clock offset and drift between probes, from frames both heard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.core.clock import (
    MAX_REPEATS,
    MIN_COMMON_FRAMES,
    SECOND_US,
    ClockFit,
    CommonSample,
    align,
    fit_clock,
    jumps_back,
)

START_US = 1_709_215_035 * SECOND_US
HEARD = np.dtype([("time_us", "<i8"), ("device_key", "<u8"), ("fingerprint", "<u4"), ("sequence", "<u2")])


def street(rng, frames=20_000, span_s=14_400, phones=300):
    """Frames on the air: phones of 20 models with counting sequence numbers."""
    sent = np.empty(frames, HEARD)
    sent["time_us"] = START_US + np.sort(rng.integers(0, span_s * SECOND_US, frames))
    phone = rng.integers(0, phones, frames)
    sent["device_key"] = rng.integers(1, 2**63, phones)[phone]
    sent["fingerprint"] = rng.integers(1, 2**32, 20)[phone % 20]
    sent["sequence"] = np.arange(frames) % 4096
    return sent


def hear(rng, sent, *, share=0.3, offset_s=0.0, drift_ppm=0.0, jitter_s=0.0005):
    """Let a probe hear a share of the frames and stamp them with its own clock."""
    heard = sent[rng.random(len(sent)) < share].copy()
    since_us = heard["time_us"] - START_US
    shown_us = offset_s * SECOND_US + drift_ppm * 1e-6 * since_us + rng.normal(0, jitter_s * SECOND_US, len(heard))
    heard["time_us"] += shown_us.astype(np.int64)
    return heard


def sampled(heard, limit=1_000_000):
    sample = CommonSample(limit)
    for chunk in np.array_split(heard, 3):
        sample.add(chunk)
    return sample.frames()


def error_s(fit, heard, offset_s, drift_ppm):
    """Largest difference between a fit's correction and the true one, over a capture."""
    since_s = ((heard["time_us"] - START_US) / SECOND_US - offset_s) / (1 + drift_ppm * 1e-6)
    true_s = offset_s + drift_ppm * 1e-6 * since_s
    return np.abs(-fit.shift_us(heard["time_us"]) / SECOND_US - true_s).max()


@pytest.mark.parametrize(
    ("offset_s", "drift_ppm"),
    [(0.02, 0.0), (-0.02, 3.0), (0.64, -5.6), (3.7, 40.0), (-45.0, 100.0), (599.0, 0.0), (0.0, 0.0)],
)
def test_offset_and_drift_are_found_within_a_millisecond(offset_s, drift_ppm):
    rng = np.random.default_rng(11)
    sent = street(rng)
    other = hear(rng, sent, offset_s=offset_s, drift_ppm=drift_ppm)
    fit = fit_clock(sampled(hear(rng, sent)), sampled(other))
    assert fit.reason is None
    assert 1500 < fit.common_frames <= 1900  # 0.09 of 20,000
    assert error_s(fit, other, offset_s, drift_ppm) < 0.001
    assert fit.drift_ppm == pytest.approx(drift_ppm, abs=0.2)
    assert 0.0004 < fit.residual_s < 0.001  # two jitters of 0.5 ms


def test_a_day_of_strong_drift_is_followed_from_end_to_end():
    rng = np.random.default_rng(5)
    sent = street(rng, frames=60_000, span_s=86_400)
    other = hear(rng, sent, share=0.1, offset_s=2.0, drift_ppm=80.0)  # parts by 6.9 s in the day
    fit = fit_clock(sampled(hear(rng, sent, share=0.1)), sampled(other))
    assert error_s(fit, other, 2.0, 80.0) < 0.001


def test_the_exact_case_is_exact():
    rng = np.random.default_rng(1)
    sent = street(rng, frames=500)
    other = hear(rng, sent, share=2, offset_s=1.5, jitter_s=0.0)
    fit = fit_clock(sampled(sent), sampled(other))
    assert fit.common_frames == 500
    assert fit.offset_s == pytest.approx(1.5, abs=1e-9)
    assert (other["time_us"] + fit.shift_us(other["time_us"]) == sent["time_us"]).all()


def test_too_few_common_frames_are_refused_and_nothing_is_shifted():
    rng = np.random.default_rng(2)
    sent = street(rng, frames=MIN_COMMON_FRAMES - 1)
    fit = fit_clock(sampled(sent), sampled(sent))
    assert fit.common_frames == MIN_COMMON_FRAMES - 1
    assert f"{MIN_COMMON_FRAMES} are needed" in fit.reason
    assert not fit.shift_us(sent["time_us"]).any()
    enough = street(rng, frames=MIN_COMMON_FRAMES)
    assert fit_clock(sampled(enough), sampled(enough)).reason is None


def test_probes_in_different_streets_are_refused():
    rng = np.random.default_rng(3)
    fit = fit_clock(sampled(street(rng)), sampled(street(rng)))
    assert fit.reason is not None


def test_same_address_with_chance_repeats_of_sequence_numbers_is_refused():
    rng = np.random.default_rng(4)
    one, two = street(rng, phones=1, span_s=3600), street(rng, phones=1, span_s=3600)
    two["device_key"], two["fingerprint"] = one["device_key"][0], one["fingerprint"][0]
    two["sequence"] = rng.integers(0, 4096, len(two))
    assert fit_clock(sampled(one), sampled(two)).reason is not None


def test_a_phone_with_a_constant_sequence_number_does_not_mislead():
    rng = np.random.default_rng(6)
    sent = street(rng, frames=2000)
    beacon = street(rng, frames=2000, phones=1)
    beacon["sequence"] = 0
    beacon["time_us"] = START_US + np.arange(2000) * SECOND_US // 2  # every 0.5 s: any multiple would fit
    assert len(beacon) > MAX_REPEATS
    everything = np.sort(np.concatenate([sent, beacon]), order="time_us")
    other = hear(rng, everything, share=0.9, offset_s=0.3)
    fit = fit_clock(sampled(hear(rng, everything, share=0.9)), sampled(other))
    assert fit.offset_s == pytest.approx(0.3, abs=0.0005)


@pytest.mark.parametrize("step_s", [0.9, 2.0, 30.0])
def test_a_clock_set_half_way_is_refused(step_s):
    rng = np.random.default_rng(7)
    sent = street(rng)
    other = hear(rng, sent)
    other["time_us"][len(other) // 2 :] += round(step_s * SECOND_US)
    assert fit_clock(sampled(hear(rng, sent)), sampled(other)).reason is not None


def test_thinning_keeps_the_limit_and_the_same_frames_in_both_captures():
    rng = np.random.default_rng(8)
    sent = street(rng)
    other = hear(rng, sent, share=0.5, offset_s=0.25)
    whole, thinned = sampled(sent, 4000), sampled(other, 2000)
    assert 2000 < len(whole) <= 4000
    assert 1000 < len(thinned) <= 2000
    fit = fit_clock(whole, thinned)
    assert fit.common_frames > 0.9 * min(len(thinned), len(whole) // 2)
    assert error_s(fit, other, 0.25, 0.0) < 0.001


def test_thinning_and_fit_do_not_depend_on_the_key():
    rng = np.random.default_rng(9)
    sent = street(rng)
    other = hear(rng, sent, offset_s=0.1)
    fits = []
    for mask in (0, 0x5A5A_1234_0FF0_8765):
        one, two = sent.copy(), other.copy()
        one["device_key"] ^= np.uint64(mask)
        two["device_key"] ^= np.uint64(mask)
        fits.append(fit_clock(sampled(one, 5000), sampled(two, 5000)))
    assert fits[0] == fits[1]


def test_one_frame_repeated_for_ever_stays_bounded():
    flood = np.zeros(10_000, HEARD)
    flood["fingerprint"] = 7
    sample = CommonSample(1000)
    for _ in range(3):
        sample.add(flood)
    assert len(sample.frames()) <= 1000


def test_probes_that_share_no_frame_are_aligned_over_a_third():
    rng = np.random.default_rng(10)
    sent = street(rng, frames=30_000)
    third = len(sent) // 3
    west = hear(rng, sent[: 2 * third], offset_s=0.0)
    east = hear(rng, sent[2 * third :], offset_s=-4.0)
    middle = hear(rng, sent, offset_s=1.0)
    fits = align([sampled(west), sampled(east), sampled(middle)], [0, 1, 2])
    assert [fit.reason for fit in fits] == [None, None, None]
    assert fits[0] == ClockFit()
    assert error_s(fits[1], east, -4.0, 0.0) < 0.002
    assert error_s(fits[2], middle, 1.0, 0.0) < 0.001


def test_captures_of_one_probe_are_never_compared():
    rng = np.random.default_rng(12)
    sent = street(rng)
    fits = align([sampled(sent), sampled(sent), sampled(sent[:5])], [0, 0, 1])
    assert fits[1] == ClockFit()
    assert fits[2].reason is not None
    half = len(sent) // 2
    fits = align([sampled(sent[:half]), sampled(sent), sampled(sent[half:])], [0, 1, 1])
    assert fits[1].reason is None
    assert fits[2].reason is not None


def test_empty_captures_are_refused_not_fitted():
    fits = align(
        [sampled(street(np.random.default_rng(1))), np.empty(0, sampled(street(np.random.default_rng(1))).dtype)],
        [0, 1],
    )
    assert fits[1].common_frames == 0
    assert fits[1].reason is not None


@given(st.lists(st.integers(-5_000_000, 5_000_000), min_size=1, max_size=60), st.integers(0, 60))
def test_jumps_back_of_chunks_are_those_of_the_whole(steps, cut):
    times = np.cumsum(np.array(steps, dtype=np.int64))
    cut = min(cut, len(times))
    whole = jumps_back(times, None, SECOND_US)
    assert whole.tolist() == [-step for step in steps[1:] if step < -SECOND_US]
    before = int(times[cut - 1]) if cut else None
    parts = [jumps_back(times[:cut], None, SECOND_US), jumps_back(times[cut:], before, SECOND_US)]
    assert np.concatenate(parts).tolist() == whole.tolist()
