"""`footfall evaluate position` on simulated walks: what counts, what is refused, what changes nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.ranging import expected_rssi
from hostkit.errors import InputError
from hostkit.evaluate.position import DEFAULT, Evaluation, as_object, evaluate
from hostkit.evaluate.position_baselines import knn, weighted_centroid
from hostkit.evaluate.position_data import truth_at
from hostkit.evaluate.position_methods import Track
from hostkit.field.readings import Readings, Windows, windows_of
from hostkit.model import PathLoss
from tests.accuracy.tables import Tables, write
from tests.cli.command import footfall, refused

Array = NDArray[np.float64]
ANCHORS = np.array([(0, 0, 2.5), (15, 0, 2.5), (15, 10, 2.5), (0, 10, 2.5), (7, 5, 2.5)], float)
LAW = PathLoss(rssi_1m_dbm=-52.0, exponent=2.2)
FIGURES = ("mean_m", "median_m", "rmse_m", "p75_m", "p90_m", "region90_coverage", "fixes")


def readings(place: Array, time_s: Array, rng: np.random.Generator, sigma_db: float) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for k, anchor in enumerate(ANCHORS):
        distance = np.sqrt(((place - anchor[:2]) ** 2).sum(axis=1) + (anchor[2] - 1.1) ** 2)
        rssi = expected_rssi(distance, LAW) + rng.normal(0, sigma_db, len(place))
        rows += [(t, f"a{k}", r, *p) for t, r, p in zip(time_s, rssi.round(2), place, strict=True)]
    return rows


def walk_tables(out: Path, seconds: int = 60, sigma_db: float = 3.0, *, calibrated: bool = True) -> Tables:
    """A walk along the diagonal and back, heard twice a second; a survey of 150 places."""
    rng = np.random.default_rng(1)
    time_s = np.arange(0.0, seconds, 0.5)
    share = np.abs((time_s / seconds * 2) % 2 - 1)
    place = np.array([1.0, 1.0]) + share[:, None] * [13.0, 8.0]
    surveyed = rng.uniform((0, 0), (15, 10), (150, 2))
    heard = [row[:3] for row in readings(place, time_s, rng, sigma_db)]
    survey = readings(surveyed, np.arange(150) * 2.0, rng, sigma_db)
    return Tables(
        anchors=write(out / "anchors.csv", "anchor,x_m,y_m,z_m", [(f"a{k}", *at) for k, at in enumerate(ANCHORS)]),
        readings=write(out / "readings.csv", "time_s,anchor,rssi_dbm", heard),
        truth=write(out / "truth.csv", "time_s,x_m,y_m", np.column_stack((time_s, place))),
        calibration=write(out / "calibration.csv", "time_s,anchor,rssi_dbm,x_m,y_m", survey) if calibrated else None,
    )


def run(tables: Tables, window_s: float = 2.0) -> Evaluation:
    return evaluate(tables.anchors, tables.readings, tables.truth, tables.calibration, window_s=window_s)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def with_lines(path: Path, name: str, content: list[str]) -> Path:
    out = path.with_name(name)
    out.write_text("\n".join(content) + "\n")
    return out


@pytest.mark.parametrize("calibrated", [True, False])
def test_json_has_every_method_and_baseline(tmp_path: Path, calibrated: bool) -> None:
    done = footfall("evaluate", "position", *walk_tables(tmp_path, calibrated=calibrated).options(), "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["default"] == "grid-hmm"
    assert list(found["methods"]) == ["grid", "grid-hmm", "lm"]
    assert list(found["baselines"]) == ["centre", "weighted_centroid", "nls"] + ["knn"] * calibrated
    for one in (*found["methods"].values(), *found["baselines"].values()):
        assert tuple(one) == FIGURES
        assert one["median_m"] <= one["p75_m"] <= one["p90_m"]
        assert one["mean_m"] <= one["rmse_m"]
        assert one["fixes"] == found["windows_counted"] == 30
    assert all(one["region90_coverage"] is None for one in found["baselines"].values())
    assert found["methods"]["grid-hmm"]["mean_m"] < 0.6 * found["baselines"]["weighted_centroid"]["mean_m"]
    assert found["calibration"]["source"] == ("survey" if calibrated else "readings")


def test_table_and_plot_for_people(tmp_path: Path) -> None:
    plot = tmp_path / "errors.png"
    done = footfall("evaluate", "position", *walk_tables(tmp_path).options(), "--plot", plot)
    assert done.returncode == 0
    assert "30 of 30 windows of 2 s have a true place; 5 anchors" in done.stdout
    assert "grid-hmm (default)" in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_truth_is_used_for_scores_alone(tmp_path: Path) -> None:
    """Another truth, other errors; the same fixes and the same calibration."""
    tables = walk_tables(tmp_path, calibrated=False)
    moved = [",".join((row.split(",")[0], "3.0", "3.0")) for row in lines(tables.truth)[1:]]
    other = replace(tables, truth=with_lines(tables.truth, "still.csv", ["time_s,x_m,y_m", *moved]))
    found, again = run(tables), run(other)
    for name in ("grid", "grid-hmm", "lm"):
        np.testing.assert_array_equal(found.methods[name].place_m, again.methods[name].place_m)
    assert as_object(found)["calibration"] == as_object(again)["calibration"]
    assert found.methods["grid"].scores != again.methods["grid"].scores


def test_order_repeats_strangers_and_a_shifted_clock_change_nothing(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path)
    want = as_object(run(tables))
    header, *rows = lines(tables.readings)
    order = np.random.default_rng(2).permutation(len(rows))
    mixed = [rows[at] for at in order] + rows[:7] + ["3.0,stranger,-60", "3.5,stranger,-61"]
    found = run(replace(tables, readings=with_lines(tables.readings, "mixed.csv", [header, *mixed])))
    assert as_object(found) == want
    assert "2 readings of unknown anchors, first 'stranger'" in found.remarks[0]
    assert "7 rows repeat another" in found.remarks[1]
    late = {}
    for name in ("readings", "truth"):
        header, *rows = lines(getattr(tables, name))
        shifted = [f"{float(row.split(',', 1)[0]) + 1e6},{row.split(',', 1)[1]}" for row in rows]
        late[name] = with_lines(getattr(tables, name), f"late-{name}.csv", [header, *shifted])
    assert as_object(run(replace(tables, **late)))["methods"] == want["methods"]


def test_anchors_in_another_order_change_nothing(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path)
    header, *rows = lines(tables.anchors)
    turned = replace(tables, anchors=with_lines(tables.anchors, "turned.csv", [header, *rows[::-1]]))
    for name, one in run(tables).methods.items():
        np.testing.assert_allclose(run(turned).methods[name].place_m, one.place_m, atol=0.02)


def test_a_method_without_a_fix_is_charged_with_the_centre(tmp_path: Path) -> None:
    """Half the walk is heard by two anchors only: grid and lm stay silent there, and gain nothing by it."""
    tables = walk_tables(tmp_path)
    header, *rows = lines(tables.readings)
    kept = [row for row in rows if float(row.split(",")[0]) >= 30 or row.split(",")[1] in {"a0", "a1"}]
    found = run(replace(tables, readings=with_lines(tables.readings, "deaf.csv", [header, *kept])))
    assert found.counted == 30
    assert found.methods["grid"].scores.fixes == found.methods["lm"].scores.fixes == 15
    assert found.methods["grid-hmm"].scores.fixes == 30
    centre = found.baselines["centre"]
    silent = np.isnan(found.methods["grid"].place_m[:, 0])
    np.testing.assert_allclose(found.methods["grid"].error_m[silent], centre.error_m[silent])


def test_windows_without_truth_do_not_count(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path)
    header, *rows = lines(tables.truth)
    gap = [row for row in rows if not 20 <= float(row.split(",")[0]) <= 40]
    found = run(replace(tables, truth=with_lines(tables.truth, "gap.csv", [header, *gap])))
    assert (found.windows, found.counted) == (30, 20)


def test_truth_between_rows_is_interpolated_and_never_across_a_gap() -> None:
    truth_s = np.array([0.0, 2.0, 60.0, 63.0, 90.0])
    truth_m = np.array([(0, 0), (2, 4), (9, 9), (6, 9), (3, 3)], float)
    found = truth_at(np.array([-3.0, -0.5, 1.0, 2.9, 30.0, 61.0, 70.0, 90.6, 95.0]), truth_s, truth_m, 2.0)
    nowhere = (np.nan, np.nan)
    want = [nowhere, (0, 0), (1, 2), (2, 4), nowhere, (8, 9), nowhere, (3, 3), nowhere]
    np.testing.assert_allclose(found, want)
    np.testing.assert_allclose(truth_at(np.array([0.9, 1.1]), truth_s[:1], truth_m[:1], 2.0)[:, 0], [0.0, np.nan])


def test_windows_average_in_db_and_a_survey_splits_them_by_place() -> None:
    heard = Readings(
        time_s=np.array([10.0, 10.5, 11.9, 12.1]),
        anchor=np.array([0, 0, 1, 0]),
        rssi_dbm=np.array([-60.0, -70.0, -50.0, -80.0]),
        place_m=None,
    )
    found = windows_of(heard, 2, 2.0)
    np.testing.assert_array_equal(found.rssi_dbm, [(-65.0, -50.0), (-80.0, np.nan)])
    np.testing.assert_array_equal(found.frames, [(2, 1), (1, 0)])
    np.testing.assert_allclose(found.time_s, [(10 + 10.5 + 11.9) / 3, 12.1])
    places = np.array([(0.5, 0.5), (7.5, 0.5), (0.5, 0.5), (0.5, 0.5)])
    split = windows_of(replace(heard, place_m=places), 2, 2.0)
    assert len(split.time_s) == 3
    assert sorted(map(tuple, split.place_m)) == [(0.5, 0.5), (0.5, 0.5), (7.5, 0.5)]


def test_region_of_90_percent_holds_90_percent() -> None:
    rng = np.random.default_rng(3)
    covariance = np.array([(4.0, 1.5), (1.5, 1.0)])
    truth = rng.multivariate_normal((0, 0), covariance, 20_000)
    track = Track(place_m=np.zeros((20_000, 2)), covariance_m2=np.tile(covariance, (20_000, 1, 1)))
    assert track.covers(truth).mean() == pytest.approx(0.9, abs=0.007)


def test_baselines_are_exact_without_noise(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path, sigma_db=0.0)
    found = run(tables)
    assert found.baselines["nls"].scores.p90_m < 0.7  # a window averages over a second of walking, in dB
    assert found.methods["lm"].scores.p90_m < 0.5
    assert found.methods[DEFAULT].scores.p90_m < 0.6


def test_knn_and_centroid_by_hand() -> None:
    one = Windows(
        time_s=np.zeros(1), rssi_dbm=np.array([(-50.0, -60.0, np.nan)]), frames=np.ones((1, 3), int), place_m=None
    )
    survey = Windows(
        time_s=np.zeros(8),
        rssi_dbm=np.array([(-50.0, -60.0, np.nan)] * 5 + [(-60.0, -50.0, -40.0)] * 3),
        frames=np.ones((8, 3), int),
        place_m=np.array([(1.0, 2.0)] * 5 + [(9.0, 9.0)] * 3),
    )
    np.testing.assert_allclose(knn(one, survey).place_m, [(1.0, 2.0)])
    middle = weighted_centroid(np.array([(0.0, 0.0), (11.0, 22.0), (5.0, 5.0)]), one)
    np.testing.assert_allclose(middle.place_m, [(1.0, 2.0)])


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("anchors", ["anchor,x_m,y_m", "a0,0,0", "a1,1,1"], "2 anchors; a position needs 3 to 64"),
        ("anchors", ["anchor,x_m,y_m", "a0,0,0", "a1,1,1", "a0,2,2"], "line 4: anchor 'a0' again"),
        ("anchors", ["anchor,x_m,y_m", "a0,0,0", "a1,0,0", "a2,1,0"], "fewer than three places"),
        ("anchors", ["anchor,x_m,y_m", "a0,0,0", "a1,1e9,0", "a2,1,0"], "line 3: x_m is 1e.09, outside"),
        ("readings", ["time_s,anchor,rssi_dbm", "1,a0,-60", "1,a0,100"], "line 3: rssi_dbm is 100, outside -127 to 20"),
        ("readings", ["time_s,anchor,rssi_dbm", "1,a0,inf"], "line 2: rssi_dbm is 'inf'"),
        ("readings", ["time_s,anchor,rssi_dbm", "1,a0,", "2,a0,nan"], "no reading of a known anchor"),
        ("readings", ["time_s,anchor,rssi_dbm"], "no reading of a known anchor"),
        ("readings", ["time_s,anchor,rssi_dbm", "1,zz,-60"], "no reading of a known anchor"),
        ("readings", ["time_s,anchor,rssi_dbm", "900,a0,-60"], "no window of readings has a true place"),
        ("truth", ["time_s,x_m,y_m"], "no truth"),
        ("truth", ["time_s,x_m", "1,2"], "no column y_m"),
        ("calibration", ["time_s,anchor,rssi_dbm,x_m,y_m", "1,a0,-60,1,1"], "fewer than 4 places"),
        ("calibration", ["time_s,anchor,rssi_dbm", "1,a0,-60"], "no column x_m, y_m"),
    ],
)
def test_tables_that_cannot_be_used_are_one_line(tmp_path: Path, name: str, content: list[str], what: str) -> None:
    tables = walk_tables(tmp_path)
    broken = replace(tables, **{name: with_lines(tables.anchors, "broken.csv", content)})
    with pytest.raises(InputError) as caught:
        run(broken)
    assert what.replace(".09", "+09") in str(caught.value)


def test_a_broken_table_is_one_line_of_the_command(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path)
    missing = replace(tables, truth=tmp_path / "none.csv")
    refused(footfall("evaluate", "position", *missing.options()), 3, r"none\.csv: cannot be read")


def test_too_few_windows_to_learn_from_readings_alone(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path, seconds=4, calibrated=False)
    with pytest.raises(InputError, match="only 2 windows in which three anchors heard the device"):
        run(tables)


def test_anchors_in_a_line_give_figures(tmp_path: Path) -> None:
    """The mirror image cannot be told: regions are wide, multilateration silent, nothing is NaN."""
    tables = walk_tables(tmp_path, calibrated=False)
    header = "anchor,x_m,y_m,z_m"
    rows = [f"a{k},{4 * k},0,2.5" for k in range(5)]
    found = as_object(run(replace(tables, anchors=with_lines(tables.anchors, "line.csv", [header, *rows]))))
    json.dumps(found, allow_nan=False)
    assert found["methods"]["lm"]["fixes"] == 0


def test_rows_without_a_level_change_nothing_and_are_told(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path)
    want = as_object(run(tables))
    heard = with_lines(tables.readings, "gaps.csv", [*lines(tables.readings), "3.0,a0,", "1000.0,a1,nan"])
    survey = with_lines(tables.calibration, "survey.csv", [*lines(tables.calibration), "900.0,a2,N/A,3.0,4.0"])
    found = run(replace(tables, readings=heard, calibration=survey))
    assert as_object(found) == want
    assert len(found.remarks) == 2
    assert "2 rows have no rssi_dbm; they count as not heard" in found.remarks[0]
    assert "1 rows have no rssi_dbm" in found.remarks[1]


def test_missed_markers_are_remarked_upon(tmp_path: Path) -> None:
    tables = walk_tables(tmp_path)
    header, *rows = lines(tables.readings)
    marked = [*rows, *(f"{at / 10},a1,-110" for at in range(300))]
    found = run(replace(tables, readings=with_lines(tables.readings, "marked.csv", [header, *marked])))
    assert any("are -110 dBm; leave them out" in remark for remark in found.remarks)
