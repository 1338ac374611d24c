"""When probes listened: coverage and the share of scans heard, against hopping played frame by frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.core.heard import LEAST_SHARE, REACH, SHORT_SHARE, SWEEP, SWEEP_STEP_S, heard_by_any, scan_share
from hostkit.core.listening import BLE, Listening
from hostkit.model import Probe

HOPPING, PARKED = (1, 6, 11), (6,)
HOUR_US = 3_600_000_000


def probes(*plans: tuple[int, ...]) -> tuple[Probe, ...]:
    return tuple(Probe(id=f"p{i}", channels=plan) for i, plan in enumerate(plans))


def told(listening: Listening, probe: int, plan: tuple[int, ...], share: float = 1.0) -> None:
    """A batch a half minute for an hour."""
    for number in range(120):
        ms = 30_000 * share / len(plan)
        listening.add(probe, number * 30_000_000, (number + 1) * 30_000_000, tuple((one, ms) for one in plan))


def caught(plan: tuple[int, ...], dwell_s: float, share: float = 1.0, scans: int = 20_000) -> float:
    """Share of scans caught, played: the probe hops, wakes for a share of the time, phones scan at any moment."""
    random = np.random.default_rng(3)
    at_s = random.uniform(0, 1e5, scans)
    length = np.where(random.random(scans) < SHORT_SHARE, random.integers(2, 6, scans), len(SWEEP))
    first = random.integers(0, len(SWEEP) - length + 1)
    hit = np.zeros(scans, bool)
    for step in range(len(SWEEP)):
        time_s = at_s + SWEEP_STEP_S * step
        tuned = np.array(plan)[(time_s // dwell_s).astype(int) % len(plan)]
        hit |= (step < length) & (tuned == SWEEP[0] + first + step)
    return float((hit & (random.random(scans) < share)).mean())


@pytest.mark.parametrize(
    ("plan", "dwell_s"), [(HOPPING, 1.0), (HOPPING, 0.25), (PARKED, 1.0), ((1,), 1.0), (SWEEP, 0.5)]
)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_share_of_scans_is_what_a_hopping_probe_catches(plan: tuple[int, ...], dwell_s: float, share: float) -> None:
    listened = dict.fromkeys(plan, share / len(plan))
    assert scan_share(listened, dwell_s) == pytest.approx(caught(plan, dwell_s, share), abs=0.03)


def test_hopping_parked_half_the_time_and_one_probe_out() -> None:
    """What the count is corrected by, from told milliseconds alone."""
    four = probes(*[HOPPING] * 4)
    shares = {}
    for name, plans, up, share in (
        ("four", four, 4, 1.0), ("three", four, 3, 1.0), ("half", four, 4, 0.5), ("one left", four, 1, 1.0),
        ("parked", probes(PARKED), 1, 1.0),
    ):  # fmt: skip
        listening = Listening(plans)
        for probe in range(up):
            told(listening, probe, plans[probe].channels, share)
        shares[name] = listening.heard_share(0, HOUR_US) or 0.0
    assert shares["four"] > shares["three"] > shares["half"] > shares["one left"]
    assert shares["parked"] > shares["one left"], "hopping while a phone sweeps misses some"
    one = scan_share(dict.fromkeys(HOPPING, 1 / 3), 1.0)
    assert shares["one left"] == pytest.approx(REACH * one)
    assert shares["four"] == pytest.approx(1 - (1 - REACH * one) ** 4)


def test_time_that_nobody_listened_to_is_told_from_time_nobody_told_of() -> None:
    listening = Listening(probes(PARKED))
    assert listening.heard_share(0, HOUR_US) is None
    assert listening.planned_share() == pytest.approx(REACH * scan_share({6: 1.0}, 1.0))
    told(listening, 0, PARKED)
    assert listening.heard_share(5 * HOUR_US, 6 * HOUR_US) == LEAST_SHARE
    assert listening.heard_share(0, 2 * HOUR_US) == pytest.approx((listening.heard_share(0, HOUR_US) or 0) / 2)
    assert Listening(()).planned_share() == 1.0


def test_ble_is_listened_to_apart() -> None:
    listening = Listening(probes(PARKED, PARKED))
    listening.add(0, 0, 60_000_000, ((BLE, 30_000.0),))
    listening.add(1, 0, 60_000_000, ((BLE, 45_000.0),))
    coverage = listening.coverage(0, 60, None)
    assert (coverage.listened_share, coverage.probes_up) == (0.0, 0), "coverage is of Wi-Fi"
    assert listening.heard_share(0, 60_000_000) == LEAST_SHARE
    assert listening.ble_share(0, 60_000_000) == 0.75


def test_what_is_forgotten_is_no_longer_listened_to() -> None:
    listening = Listening(probes(PARKED))
    told(listening, 0, PARKED)
    listening.forget_before(1800.0)
    assert listening.coverage(0, 3600, None).listened_share == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(1, 177), st.floats(0, 1), max_size=12), st.floats(0.01, 10))
def test_any_plan_gives_a_share(listened: dict[int, float], dwell_s: float) -> None:
    share = scan_share(listened, dwell_s)
    assert 0 <= share <= 1
    assert 0 <= heard_by_any([share, share]) <= 1
    assert heard_by_any([share, share]) >= heard_by_any([share])
