"""Evaluation of counts: truth tables, scores against SciPy's, the whole on made-up days, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from hostkit.errors import InputError
from hostkit.evaluate.agreement import agreement, block_bootstrap, spearman, winkler
from hostkit.evaluate.count import read_truth
from tests.cli.command import footfall, refused
from tests.crowd import START_US, crowd, overhear, save

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
KEYS = {"mae_people", "bias_people", "spearman", "interval_coverage", "interval_width", "windows"}


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["time,people", *lines]) + "\n")
    return path


# ---- truth ----


def test_times_are_iso_or_unix_and_a_window_is_the_mean_of_its_rows(tmp_path: Path) -> None:
    lines = ("2024-02-29T14:00:00Z,4", "1709215500,8", "2024-02-29T15:09:59+01:00,6", "2024-02-29T14:10:00,20")
    assert read_truth(table(tmp_path / "t.csv", *lines)) == ({1709215200 // 600: 6.0, 1709215800 // 600: 20.0}, ())


def test_a_row_without_people_is_nobody_counting_and_not_nobody_there(tmp_path: Path) -> None:
    people, remarks = read_truth(table(tmp_path / "t.csv", "1709215200,4", "1709215260,", "1709215800,nan"))
    assert people == {1709215200 // 600: 4.0}
    assert len(remarks) == 1
    assert "2 rows have no people" in remarks[0]
    with pytest.raises(InputError, match="no rows with people"):
        read_truth(table(tmp_path / "t.csv", "1709215200,", "1709215260,n/a"))


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        ("yesterday,4", "line 2: time is 'yesterday'"),
        ("1709215200000,4", "line 2: time is .*Unix seconds"),
        ("nan,4", "line 2: time is 'nan'"),
        ("1709215200,-1", "line 2: people is -1"),
        ("1709215200,many", "line 2: people is 'many'"),
        ("1709215200,inf", "line 2: people is 'inf'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern):
        read_truth(table(tmp_path / "t.csv", line))


def test_a_table_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rows"):
        read_truth(table(tmp_path / "t.csv"))


# ---- scores ----


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_rank_correlation_is_scipys_with_ties(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(side, float) for side in zip(*pairs, strict=True))
    found = spearman(a, b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(a, b)[0], abs=1e-9)


def test_winkler_is_width_and_twenty_times_what_is_missed() -> None:
    low, high = np.array([2.0, 2.0, 2.0]), np.array([6.0, 6.0, 6.0])
    np.testing.assert_allclose(winkler(np.array([4.0, 7.0, 1.5]), low, high), [4, 24, 14])


def test_errors_have_their_sign_and_no_interval_gives_none() -> None:
    it = agreement(np.array([5.0, 7.0]), np.array([4.0, 4.0]))
    assert (it.mae_people, it.bias_people, it.spearman, it.interval_coverage, it.winkler) == (
        2.0,
        2.0,
        None,
        None,
        None,
    )


def test_the_bootstrap_of_alike_neighbours_is_wider() -> None:
    random = np.random.default_rng(1)
    blocks = np.repeat(random.random(60) < 0.9, 6).astype(float)
    low, high = block_bootstrap(blocks)
    single_low, single_high = block_bootstrap(blocks, 1)
    assert low < blocks.mean() < high
    assert high - low > 1.5 * (single_high - single_low)


# ---- the command ----


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    """Two days of three hours with 5 to 20 phones in the room, each a person's, and how many there were."""
    root = tmp_path_factory.mktemp("lab")
    captures, lines = [], []
    for hour, phones in enumerate((6, 18, 12, 9, 20, 5)):
        start_us = START_US + hour // 3 * DAY_US + hour % 3 * HOUR_US
        sent = crowd(hour, phones=phones, minutes=60, start_us=start_us, stay_minutes=60)
        captures.append(save(root / f"{hour}.pcap", overhear(sent, gain_db=25)))
        lines += [f"{start_us // 1_000_000 + minute * 60},{phones}" for minute in range(60)]
    return captures, table(root / "people.csv", *lines)


def test_people_are_counted_and_baselines_beside_them(lab: tuple[list[Path], Path], tmp_path: Path) -> None:
    captures, truth = lab
    plot = tmp_path / "days.png"
    arguments = ("evaluate", "count", *captures, "--truth", truth, "--fit-until", "2024-03-01")
    found = json.loads(footfall(*arguments, "--json", "--plot", plot).stdout)
    assert set(found) >= KEYS | {"baselines", "at_once"}
    assert set(found["baselines"]) == {"unique_addresses", "louder_than_-70", "cdrc", "mean"}
    assert all(set(one) >= KEYS for one in found["baselines"].values())
    assert found["windows"] == 18
    assert found["mae_people"] < min(2.5, found["baselines"]["mean"]["mae_people"] / 2)
    assert found["spearman"] > 0.85
    assert found["baselines"]["mean"]["spearman"] is None
    assert found["fit"]["days"] == 1
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_the_table_names_every_method(lab: tuple[list[Path], Path]) -> None:
    captures, truth = lab
    done = footfall("evaluate", "count", *captures[2:4], "--truth", truth, "--fit-until", "2024-03-01T00:00Z")
    assert done.returncode == 0
    for name in ("footfall", "footfall, at once", "unique addresses", "louder than -70", "cdrc", "mean", "18 windows"):
        assert name.replace("18", "6") in done.stdout


def test_a_date_with_nothing_on_one_side(lab: tuple[list[Path], Path]) -> None:
    captures, truth = lab
    for date, side in (("2024-02-01", "before"), ("2025-01-01", "at or after")):
        done = footfall("evaluate", "count", *captures[:2], "--truth", truth, "--fit-until", date)
        refused(done, 3, f"no window {side} .*choose another date")


def test_a_date_that_is_none(lab: tuple[list[Path], Path]) -> None:
    done = footfall("evaluate", "count", lab[0][0], "--truth", lab[1], "--fit-until", "soon")
    refused(done, 2, "'soon' is no date; write it as")
