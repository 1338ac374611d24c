"""Calibration from probes that hear each other, against simulated shops of known truth, and with impossible input."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.calibrate_links import LinkFit, fit_links
from hostkit.errors import InputError
from hostkit.model import Estimate

Array = NDArray[np.float64]
LEVEL_DBM, EXPONENT, PAIR_DB, NOISE_DB = -42.0, 2.2, 3.0, 1.5


def shop(seed: int, probes: int = 8) -> tuple[Array, Array, Array, Array]:
    """Places, mean RSSI (sender, receiver), transmit and receive offsets, each of zero mean."""
    rng = np.random.default_rng(seed)
    places = np.column_stack((rng.uniform((0, 0), (30, 20), (probes, 2)), np.full(probes, 2.5)))
    transmit, receive = (rng.normal(0, 3, probes) for _ in range(2))
    transmit, receive = transmit - transmit.mean(), receive - receive.mean()
    apart = np.maximum(np.linalg.norm(places[:, None] - places, axis=2), 0.5)
    shadow = np.triu(rng.normal(0, PAIR_DB, (probes, probes)), 1)
    rssi = LEVEL_DBM + transmit[:, None] + receive - 10 * EXPONENT * np.log10(apart) + shadow + shadow.T
    return places, rssi + rng.normal(0, NOISE_DB, rssi.shape), transmit, receive


def fitted(places: Array, rssi: Array) -> LinkFit:
    sender, receiver = np.nonzero(np.isfinite(rssi) & ~np.eye(len(rssi), dtype=bool))
    return fit_links(places, sender, receiver, rssi[sender, receiver])


def values(parts: tuple[Estimate, ...]) -> Array:
    return np.array([part.value for part in parts])


def test_intervals_cover_what_they_claim() -> None:
    hits = []
    for seed in range(60):
        places, rssi, transmit, receive = shop(seed)
        fit = fitted(places, rssi)
        pairs = [(fit.rssi_1m_dbm, LEVEL_DBM), (fit.exponent, EXPONENT)]
        pairs += [*zip(fit.transmit_db, transmit, strict=True), *zip(fit.receive_db, receive, strict=True)]
        hits.append([one.low <= truth <= one.high for one, truth in pairs])
    share = np.mean(hits, axis=0)
    assert (share > 0.75).all()
    assert 0.86 <= share.mean() <= 0.95


def test_offsets_are_found_and_pairs_share_their_shadowing() -> None:
    places, rssi, transmit, receive = shop(100, 16)
    fit = fitted(places, rssi)
    assert np.abs(values(fit.transmit_db) - transmit).max() < 2.5
    assert np.abs(values(fit.receive_db) - receive).max() < 2.5
    assert values(fit.receive_db).sum() == pytest.approx(0, abs=1e-9)
    assert fit.sigma_db == pytest.approx(np.hypot(PAIR_DB, NOISE_DB), rel=0.3)
    assert fit.residual_db < fit.sigma_db <= 1.2 * fit.cross_validated_db
    assert (fit.links, fit.readings, fit.heard) == (240, 240, (30,) * 16)


def test_order_of_probes_and_rigid_motion_do_not_matter() -> None:
    places, rssi, _, _ = shop(101)
    order = np.random.default_rng(1).permutation(8)
    still, turned = fitted(places, rssi), fitted(places[order][:, [1, 0, 2]] + 40.0, rssi[np.ix_(order, order)])
    np.testing.assert_allclose(values(turned.receive_db), values(still.receive_db)[order], atol=0.02)
    assert turned.exponent.value == pytest.approx(still.exponent.value, abs=0.005)


def test_readings_of_one_link_count_once() -> None:
    places, rssi, _, _ = shop(102)
    sender, receiver = np.nonzero(~np.eye(8, dtype=bool))
    once = fit_links(places, sender, receiver, rssi[sender, receiver])
    often = fit_links(places, np.tile(sender, 9), np.tile(receiver, 9), np.tile(rssi[sender, receiver], 9))
    assert often.exponent.value == pytest.approx(once.exponent.value, abs=1e-9)
    assert often.exponent.low == pytest.approx(once.exponent.low, abs=1e-9)
    assert (often.links, often.readings) == (56, 504)


def test_a_probe_nobody_hears_is_unsure() -> None:
    places, rssi, _, _ = shop(103)
    rssi[7] = np.nan
    rssi[:, 7] = np.inf
    fit = fitted(places, rssi)
    assert fit.heard[7] == 0
    width = [one.high - one.low for one in fit.receive_db]
    assert width[7] > 1.5 * max(width[:7])


@pytest.mark.parametrize(
    ("places", "sender", "receiver", "rssi", "what"),
    [
        (np.zeros((1, 3)), [0], [0], [-50.0], "1 probes"),
        (np.zeros((33, 3)), [0], [1], [-50.0], "33 probes"),
        (np.zeros((4, 2)), [0], [1], [-50.0], "no places"),
        (np.full((4, 3), np.nan), [0], [1], [-50.0], "no places"),
        (np.zeros((4, 3)), [0], [4], [-50.0], "not in probes_m"),
        (np.zeros((4, 3)), [0.5], [1], [-50.0], "do not match"),
        (np.zeros((4, 3)), [0, 1], [1], [-50.0], "do not match"),
        (np.zeros((4, 3)), [0, 1, 2], [0, 1, 2], [-50.0] * 3, "0 pairs"),
        (np.zeros((4, 3)), [0, 1, 2], [1, 2, 3], [-50.0] * 3, "alike in distance"),
    ],
)
def test_links_that_fix_nothing_are_refused(
    places: Array, sender: list[float], receiver: list[int], rssi: list[float], what: str
) -> None:
    with pytest.raises(InputError, match=what) as refused:
        fit_links(places, sender, receiver, rssi)
    assert refused.value.next_step
