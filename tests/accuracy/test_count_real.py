"""People in a recorded room against who was there, on days that nothing was fitted on, beside lines through addresses.

Constants of core.inside were chosen on all of these days, kappa and noise on those before the date alone.
"""

from pathlib import Path

import pytest

from hostkit.evaluate.count import CountEvaluation, evaluate
from hostkit.io.addresses import read_addresses
from tests.accuracy.brno import captures, fixed, write_truth

pytestmark = pytest.mark.realdata
FIT_UNTIL_S = {"2022-11-01": 1667260800.0, "2022-11-17": 1668643200.0}


@pytest.mark.parametrize(("until", "error", "correlation"), [("2022-11-01", 2.2, 0.75), ("2022-11-17", 2.2, 0.75)])
def test_people_in_a_room_are_counted_better_than_by_a_line(
    realdata: Path, tmp_path: Path, until: str, error: float, correlation: float
) -> None:
    it: CountEvaluation = evaluate(
        captures(realdata),
        write_truth(realdata, tmp_path / "truth.csv"),
        FIT_UNTIL_S[until],
        read_addresses(fixed(realdata)),
    )
    print(f"\nfitted until {until}: error {it.ours.mae_people:.2f}, rank correlation {it.ours.spearman:.2f}, ", end="")
    print(f"interval holds {it.ours.interval_coverage:.2f} {it.ours.coverage_interval}, Winkler {it.ours.winkler:.1f}")
    for name, one in it.baselines.items():
        print(f"  {name}: {one.mae_people:.2f}, {one.spearman or 0:.2f}, Winkler {one.winkler:.1f}")
    assert it.ours.mae_people < error
    assert (it.ours.spearman or 0) > correlation
    assert it.ours.mae_people < 0.75 * min(one.mae_people for one in it.baselines.values())
    low, high = it.ours.coverage_interval or (1.0, 0.0)
    assert low <= 0.95
    assert high >= 0.85
