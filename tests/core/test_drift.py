"""Which probe changed since it was calibrated: one, several, gone ones; a new shelf and everyday noise are none."""

import numpy as np
import pytest

from hostkit.core.drift import LIMIT_DB, Drift, Heard, find_drift

Night = dict[tuple[str, str], Heard]


def night(seed: int, probes: str = "abcd", hears: dict[str, float] | None = None, heard: dict[str, float] | None = None,
          noise_db: float = 1.0) -> Night:  # fmt: skip
    """Links of a site of its own, with shifts of receivers and senders, and the noise of `seed`."""
    levels = np.random.default_rng(1).uniform(-75, -45, (26, 26))
    rng = np.random.default_rng(seed)
    return {
        (i, j): Heard(
            n=40,
            median_dbm=float(levels[ord(i) - 97, ord(j) - 97] + rng.normal(0, noise_db))
            + (hears or {}).get(j, 0.0)
            + (heard or {}).get(i, 0.0),
        )
        for i in probes
        for j in probes
        if i != j
    }


def changed(before: Night, now: Night, probes: str = "abcd") -> dict[str, tuple[float | None, float | None]]:
    return {one.probe: (one.hears_db, one.is_heard_db) for one in find_drift(before, now, probes)}


@pytest.mark.parametrize("probes", ["abc", "abcd", "abcdefgh"])
@pytest.mark.parametrize("shift_db", [-10.0, 9.0])
def test_a_probe_that_hears_otherwise_is_blamed_and_nobody_else(probes: str, shift_db: float) -> None:
    for seed in range(20):
        found = changed(night(seed, probes), night(seed + 100, probes, hears={"b": shift_db}), probes)
        assert list(found) == ["b"]
        assert found["b"] == (pytest.approx(shift_db, abs=3.5), 0)
        found = changed(night(seed, probes), night(seed + 100, probes, heard={"b": shift_db}), probes)
        assert found == {"b": (0, pytest.approx(shift_db, abs=3.5))}


def test_an_antenna_that_is_lost_works_both_ways() -> None:
    found = changed(night(1), night(2, hears={"c": -12}, heard={"c": -12}))
    assert found == {"c": (pytest.approx(-12, abs=2), pytest.approx(-12, abs=2))}


def test_everyday_noise_and_a_new_shelf_are_no_drift() -> None:
    for seed in range(50):
        assert changed(night(seed), night(seed + 100, noise_db=2.0)) == {}
    now = night(2)
    for ends in (("a", "b"), ("b", "a")):
        now[ends] = Heard(n=40, median_dbm=now[ends].median_dbm - 15)
    assert changed(night(1), now) == {}


def test_below_the_limit_nothing_is_said() -> None:
    quiet = {"noise_db": 0.0}
    assert changed(night(1, **quiet), night(2, hears={"a": LIMIT_DB - 0.1}, **quiet)) == {}
    assert list(changed(night(1, **quiet), night(2, hears={"a": LIMIT_DB + 0.1}, **quiet))) == ["a"]


def test_who_is_not_heard_any_more_is_named_if_it_took_part() -> None:
    before, now = night(1), {ends: one for ends, one in night(2).items() if ends[0] != "d"}
    assert find_drift(before, now, "abcd") == (Drift(probe="d", hears_db=0.0, is_heard_db=None),)
    assert find_drift(before, now, "abc") == ()
    faint = {ends: Heard(n=40, median_dbm=-90.0) if ends[0] == "d" else one for ends, one in before.items()}
    assert find_drift(faint, now, "abcd") == ()


def test_few_frames_tell_nothing() -> None:
    now = {ends: Heard(n=2, median_dbm=one.median_dbm - 30) for ends, one in night(2).items()}
    before = {ends: Heard(n=2, median_dbm=one.median_dbm) for ends, one in night(1).items()}
    assert find_drift(before, now, "abcd") == ()
    assert find_drift({}, now, "abcd") == ()
