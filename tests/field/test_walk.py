"""Survey walks: known parameters come back, bad surveys are told, and nothing is applied that does not help."""

from pathlib import Path

import numpy as np
import pytest

from hostkit.core.ranging import expected_rssi
from hostkit.errors import InputError
from hostkit.field.courses import points_on
from hostkit.field.ground import ground_of
from hostkit.field.survey import read_survey
from hostkit.field.trial import Trial
from hostkit.field.walk import Survey, positions, walk_trial
from hostkit.hub.adjust import trial_site
from tests.field.shop import SITE, TRUTH, level_dbm, offsets, recorded, table, write

GROUND = ground_of(SITE)


def tried(path: Path, *, phone: bool = True) -> Trial:
    survey, _ = read_survey(path, GROUND)
    return walk_trial(SITE, GROUND, survey, phone=phone)


def values(trial: Trial) -> dict[str, float]:
    return {one.key: one.after for one in trial.changes}


def changed(folder: Path, change: object) -> Path:
    """The walk with each row (time_s, anchor, rssi, x, y) changed by a function."""
    header, rows = recorded(1)["walk.csv"]
    return write(folder / "walk.csv", header, [change(row) for row in rows[::3]])  # type: ignore[operator]


def test_known_parameters_come_back_and_the_held_out_error_falls(tmp_path: Path) -> None:
    trials = [(seed, tried(table(tmp_path, "walk.csv", seed, every=3))) for seed in (1, 2, 3)]
    misses, gains = [], []
    for seed, trial in trials:
        found, true = values(trial), offsets(seed)
        assert found["path_loss.rssi_1m_dbm"] == pytest.approx(level_dbm(seed), abs=5.0)
        assert found["path_loss.exponent"] == pytest.approx(TRUTH.exponent, abs=0.5)
        assert 3.0 < found["path_loss.sigma_db"] < 6.0
        misses += [found[f"probes.{name}.offset_db"] - value for name, value in true.items()]
        assert trial.held is not None
        assert trial.held.naive is not None
        assert trial.held.after < trial.held.before
        gains.append((trial.held.before, trial.held.after, trial.held.naive))
        assert trial.improves
        assert trial.passed
    before, after, naive = np.mean(gains, axis=0)
    assert after < 0.85 * before
    assert after < 0.55 * naive
    spread = np.std([value for seed, _ in trials for value in offsets(seed).values()])
    assert np.sqrt(np.mean(np.square(misses))) < 0.8 * spread  # all alike would be 1


def test_a_tag_says_nothing_of_the_level_of_phones(tmp_path: Path) -> None:
    found = values(tried(table(tmp_path, "walk.csv", every=3), phone=False))
    assert "path_loss.rssi_1m_dbm" not in found
    assert "path_loss.exponent" in found


def test_a_survey_of_wrong_places_fails_and_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    places = {row[3:]: rng.uniform((4, 7), (22, 20)).round(1) for row in recorded(1)["walk.csv"][1]}
    trial = tried(changed(tmp_path, lambda row: (*row[:3], *places[row[3:]])))
    assert trial.enough
    assert not trial.passed
    assert not trial.improves


def test_too_few_points_say_how_many_and_which_corner_is_missing(tmp_path: Path) -> None:
    header, rows = recorded(1)["walk.csv"]
    trial = tried(write(tmp_path / "w.csv", header, [row for row in rows if float(str(row[4])) < 11]))
    assert not trial.enough
    assert [(need.word, need.have, need.least) for need in trial.needs if not need.met] == [("points", 16, 20)]
    assert [note.values for note in trial.weak] == [("x 3–13 m, y 14–21 m",), ("x 13–23 m, y 14–21 m",)]
    assert trial.held is None


def test_one_corner_missing_fails(tmp_path: Path) -> None:
    header, rows = recorded(1)["walk.csv"]
    kept = [row for row in rows[::3] if not (float(str(row[3])) > 13 and float(str(row[4])) > 13.5)]
    trial = tried(write(tmp_path / "w.csv", header, kept))
    assert trial.enough
    assert not trial.passed
    assert [check.word for check in trial.checks if not check.passed] == ["corners"]
    assert trial.weak[0].values == ("x 13–23 m, y 14–21 m",)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda row: (*row[:3], row[4], row[3]), "x and y look swapped"),
        (lambda row: (*row[:3], row[3], round(22 - row[4], 2)), "y looks upside down"),
        (lambda row: (*row[:3], round(26 - row[3], 2), row[4]), "x looks mirrored"),
    ],
)
def test_axes_the_wrong_way_round_are_told(tmp_path: Path, change: object, what: str) -> None:
    with pytest.raises(InputError, match=what) as refused:
        tried(changed(tmp_path, change))
    assert "x_m" in refused.value.next_step or "count" in refused.value.next_step


@pytest.mark.parametrize("pair", [("probe-1", "probe-6"), ("probe-2", "probe-3"), ("probe-4", "probe-5")])
def test_two_probes_that_were_exchanged_are_named(tmp_path: Path, pair: tuple[str, str]) -> None:
    other = {pair[0]: pair[1], pair[1]: pair[0]}
    with pytest.raises(InputError, match=f"{pair[0]} and {pair[1]} look exchanged") as refused:
        tried(changed(tmp_path, lambda row: (row[0], other.get(row[1], row[1]), *row[2:])))
    assert "position_m" in refused.value.next_step


def test_points_off_the_plan_name_their_line(tmp_path: Path) -> None:
    header, rows = recorded(1)["walk.csv"]
    bad = [*rows[:5], (*rows[5][:3], 99.0, 3.0), *rows[6:]]
    with pytest.raises(InputError, match="x 99, y 3 lies outside the plan of ground") as refused:
        tried(write(tmp_path / "w.csv", header, bad))
    assert refused.value.where.endswith("line 7")
    swapped = [(*row[:3], row[4], row[3]) for row in rows] + [(*rows[0][:3], 2.0, 25.0)]
    with pytest.raises(InputError, match="with x and y swapped all points lie on it"):
        tried(write(tmp_path / "w.csv", header, swapped))


def test_a_phone_that_changes_its_address_on_the_way_is_told(tmp_path: Path) -> None:
    header, rows = recorded(1)["walk.csv"]
    later = [(*row, "a" if number < 4000 else "b") for number, row in enumerate(rows)]
    with pytest.raises(InputError, match="the phone changed its address on the way") as refused:
        tried(write(tmp_path / "w.csv", (*header, "device"), later))
    assert refused.value.where.endswith("line 4002")
    mixed = [(*row, "ab"[number % 2]) for number, row in enumerate(rows)]
    with pytest.raises(InputError, match="2 devices are in one survey"):
        tried(write(tmp_path / "w.csv", (*header, "device"), mixed))


def test_a_probe_that_hears_next_to_nothing_is_named(tmp_path: Path) -> None:
    header, rows = recorded(1)["walk.csv"]
    kept = [row for number, row in enumerate(rows[::3]) if row[1] != "probe-5" or number < 40]
    trial = tried(write(tmp_path / "w.csv", header, kept))
    assert not trial.passed
    assert trial.weak[0].word == "probe_few"
    assert trial.weak[0].values[0] == "probe-5"
    silent = [row for row in rows[::3] if row[1] != "probe-5"]
    trial = tried(write(tmp_path / "w.csv", header, silent))
    assert not trial.passed
    assert trial.weak[0].values == ("probe-5", "0")


def test_after_is_of_squares_that_the_fit_did_not_see(tmp_path: Path) -> None:
    every, _ = read_survey(table(tmp_path, "walk.csv", 2), GROUND)
    few = slice(None, None, 9)
    survey = Survey(place_m=every.place_m[few], rssi_dbm=every.rssi_dbm[few], frames=every.frames[few], source="few")
    trial = walk_trial(SITE, GROUND, survey, phone=True)
    fitted = positions(trial_site(SITE, trial.changes), GROUND, survey.rssi_dbm, survey.frames)
    seen = np.hypot(*(fitted - survey.place_m).T).mean()
    assert trial.held is not None
    assert trial.held.after > seen + 0.03


def test_what_walls_of_the_plan_take_is_not_put_down_to_distance() -> None:
    place = points_on(GROUND.floor)
    apart = np.linalg.norm(np.column_stack((place, np.full(len(place), 1.1)))[:, None] - GROUND.places_m, axis=2)
    rssi = expected_rssi(apart, SITE.path_loss) - GROUND.losses_db(place)
    survey = Survey(place_m=place, rssi_dbm=rssi, frames=np.full(rssi.shape, 20), source="exact")
    found = values(walk_trial(SITE, GROUND, survey, phone=True))
    assert GROUND.losses_db(place).max() > 10
    assert found.get("path_loss.exponent", 2.7) == pytest.approx(2.7, abs=0.03)
    assert found.get("path_loss.rssi_1m_dbm", -45.0) == pytest.approx(-45.0, abs=0.4)
