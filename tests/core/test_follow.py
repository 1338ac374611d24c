"""Following one device without calibration: what must not matter, what is learnt, and input that says little."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core import follow as kernel
from hostkit.core.follow import Followed, follow
from hostkit.errors import InputError

ROOM, STREET = ((0.0, 0.0), (9.0, 0.0), (9.0, 6.0), (0.0, 6.0)), ((-7.0, 0.0), (0.0, 0.0), (0.0, 6.0), (-7.0, 6.0))
ANCHORS = np.array([(-6.0, 1.0, 2.0), (-1.0, 5.0, 2.0), (1.0, 1.0, 2.0), (8.0, 5.0, 2.0), (5.0, 0.5, 2.0)])
Readings = tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]


def walk(seed: int = 0, noise_db: float = 3.0, exponent: float = 2.5) -> tuple[Readings, NDArray[np.float64]]:
    """Through both zones and back, five readings a second of each anchor; the places (T, 2)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(0, 80, 0.2)
    x = -6 + 14 * (1 - np.cos(2 * np.pi * time_s / 80)) / 2
    place = np.column_stack((x, 3 + 2 * np.sin(2 * np.pi * time_s / 20)))
    distance = np.sqrt(((place[:, None] - ANCHORS[:, :2]) ** 2).sum(axis=2) + (ANCHORS[:, 2] - 1.1) ** 2)
    level = -45 - 10 * exponent * np.log10(distance) + rng.normal(0, noise_db, distance.shape)
    anchor = np.tile(np.arange(len(ANCHORS)), len(time_s))
    return (np.repeat(time_s, len(ANCHORS)), anchor, level.ravel()), place


def followed(readings: Readings, anchors: NDArray[np.float64] = ANCHORS) -> Followed:
    return follow(*readings, anchors, [ROOM, STREET])


def test_the_way_is_found_better_than_by_standing_in_the_middle() -> None:
    readings, place = walk()
    found = followed(readings)
    true = np.column_stack([np.interp(found.time_s, np.arange(0, 80, 0.2), axis) for axis in place.T])
    error = np.hypot(found.x_m - true[:, 0], found.y_m - true[:, 1]).mean()
    middle = np.hypot(*(true - true.mean(axis=0)).T).mean()
    assert error < 0.7  # 0.42
    assert middle > 4
    assert ((found.p_zone[:, 0] > 0.5) == (true[:, 0] > 0)).mean() > 0.96
    assert found.step_s == 0.5


@pytest.mark.parametrize("exponent", [1.9, 3.0])
def test_the_levels_are_learnt(exponent: float) -> None:
    levels = followed(walk(1, 2.0, exponent)[0]).levels
    assert levels.exponent == pytest.approx(exponent, abs=0.3)
    assert levels.level_dbm == pytest.approx(-45, abs=3.5)
    assert levels.sigma_db < 2.5
    assert levels.body_db < 1.5
    assert levels.border_db < 1.5


def test_order_and_name_of_readings_do_not_matter_nor_where_and_when_it_was() -> None:
    readings, _ = walk()
    want = followed(readings)
    rng = np.random.default_rng(2)
    mixed = rng.permutation(len(readings[0]))
    other = tuple(np.concatenate([column[mixed], column]) for column in readings)  # all twice
    np.testing.assert_allclose(followed(other).p_zone, want.p_zone, atol=1e-3)
    names = rng.permutation(len(ANCHORS))
    renamed = (readings[0], np.argsort(names)[readings[1]], readings[2])
    np.testing.assert_allclose(followed(renamed, ANCHORS[names]).p_zone, want.p_zone, atol=1e-3)
    shift = np.array([1000.0, -2000.0])
    moved = follow(
        readings[0] + 4096.0,
        *readings[1:],
        ANCHORS + np.append(shift, 0.0),
        [[tuple(np.array(corner) + shift) for corner in zone] for zone in (ROOM, STREET)],
    )
    np.testing.assert_allclose(moved.p_zone, want.p_zone, atol=1e-3)
    np.testing.assert_allclose(moved.x_m, want.x_m + shift[0], atol=1e-2)
    np.testing.assert_allclose(moved.time_s, want.time_s + 4096.0)


def test_a_quarter_turn_of_the_map_turns_the_way() -> None:
    readings, _ = walk()
    want = followed(readings)
    turned = ANCHORS[:, [1, 0, 2]] * [-1, 1, 1]
    found = follow(*readings, turned, [[(-y, x) for x, y in zone] for zone in (ROOM, STREET)])
    np.testing.assert_allclose(found.p_zone, want.p_zone, atol=1e-3)
    np.testing.assert_allclose(found.y_m, want.x_m, atol=1e-2)


def test_what_is_no_level_is_ignored_and_counted() -> None:
    readings, _ = walk()
    want = followed(readings)
    bad = np.array([-100.0, -127.0, 1.0, np.nan, np.inf, -np.inf])
    more = (np.full(7, 3.0), np.zeros(7, np.intp), np.append(bad, -50.0))
    more[0][6] = np.nan
    found = follow(*(np.concatenate(pair) for pair in zip(readings, more, strict=True)), ANCHORS, [ROOM, STREET])
    assert found.ignored == 7
    np.testing.assert_array_equal(found.p_zone, want.p_zone)


def test_steps_without_readings_are_marked_and_bridged() -> None:
    readings, _ = walk()
    cut = (readings[0] < 30) | (readings[0] > 36)
    found = followed(tuple(column[cut] for column in readings))
    silent = (found.time_s > 30.5) & (found.time_s < 35.5)
    np.testing.assert_array_equal(found.heard[silent], False)
    assert found.heard[~silent].mean() > 0.98
    assert np.isfinite(found.p_zone).all()


@pytest.mark.parametrize("anchors", [ANCHORS[:1], np.repeat(ANCHORS[:1], 4, axis=0), ANCHORS * [1, 0, 1]])
def test_few_coincident_and_collinear_anchors_give_probabilities(anchors: NDArray[np.float64]) -> None:
    (time_s, anchor, level), _ = walk()
    found = follow(time_s, anchor % len(anchors), level, anchors, [ROOM, STREET])
    np.testing.assert_allclose(found.p_zone.sum(axis=1), 1, atol=1e-3)


def test_one_reading_is_a_way_of_one_step() -> None:
    found = follow([5.0], [2], [-50.0], ANCHORS, [ROOM, STREET])
    assert found.p_zone.shape == (1, 2)
    np.testing.assert_allclose(found.p_zone.sum(), 1, atol=1e-3)


def test_slow_readings_take_longer_steps() -> None:
    (time_s, anchor, level), _ = walk()
    some = np.isin(np.round(time_s / 0.2) % 10, 0)
    assert followed((time_s[some], anchor[some], level[some])).step_s == pytest.approx(2.0)
    assert followed((time_s[some] * 30, anchor[some], level[some])).step_s == kernel.MAX_STEP_S


def test_strips_beside_a_zone_belong_to_it_and_wide_ones_do_not() -> None:
    (time_s, anchor, level), _ = walk()
    near = [((0.7, 0.7), (9.0, 0.7), (9.0, 5.5), (0.7, 5.5)), ((-7, 0.7), (0, 0.7), (0, 5.5), (-7, 5.5))]
    found = follow(time_s, anchor, level, ANCHORS, near)
    np.testing.assert_allclose(found.p_zone.sum(axis=1), 1, atol=1e-3)
    apart = follow(time_s, anchor, level, ANCHORS, [near[0]])
    assert apart.p_zone[0, 0] < 0.05


def test_what_is_too_much_or_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no reading"):
        follow([0.0, 1.0], [0, 0], [-100.0, np.nan], ANCHORS, [ROOM])
    with pytest.raises(InputError, match="cut it into parts of at most"):
        follow([0.0, 1.0, 1e6], [0, 0, 0], [-50.0] * 3, ANCHORS, [ROOM])
    with pytest.raises(InputError, match="km apart"):
        follow([0.0], [0], [-50.0], ANCHORS * 1e6, [ROOM])
