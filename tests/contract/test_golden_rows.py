"""Visit rows as they travel, byte for byte: what a reader in another language can check itself against."""

import json
from pathlib import Path

import msgspec
import pytest

from hostkit.contract.messages import VisitRow
from hostkit.contract.visitrows import row_of_visit
from hostkit.model import Dwell, EndReason, Interval, Radio, Visit, VisitClass, ZoneStay

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "contract" / "visit_rows.json").read_text())
NOON_S = 1_741_086_000.0
VISITS = (
    Visit(
        visit_id="k3v9",
        rev=1,
        start_s=Interval(lo=NOON_S + 61.25, hi=NOON_S + 90.5),
        end_s=Interval(lo=NOON_S + 800.0, hi=NOON_S + 871.3),
        dwell_s=Dwell(lo=709.5, mid=759.77, hi=810.05),
        visit_class=VisitClass.ENTRANT,
        p_entrant=0.94,
        radio=Radio.WIFI,
        bursts=13,
        reentry=True,
        zones=(
            ZoneStay(zone="door", enter_s=NOON_S + 90.5, leave_s=NOON_S + 120.0, p=0.61),
            ZoneStay(zone="shoes", enter_s=NOON_S + 120.0, leave_s=NOON_S + 800.0, p=0.83),
        ),
    ),
    Visit(
        visit_id="a0c1",
        rev=2,
        start_s=Interval(lo=NOON_S - 64.5, hi=NOON_S),
        end_s=Interval(lo=NOON_S, hi=NOON_S + 64.5),
        dwell_s=Dwell(lo=0.0, mid=64.5, hi=129.0),
        visit_class=VisitClass.PASSERBY,
        p_entrant=0.02,
        radio=Radio.BLE,
        bursts=1,
        end_reason=EndReason.ROTATION,
    ),
)


@pytest.mark.parametrize(("visit", "golden"), list(zip(VISITS, GOLDEN, strict=True)))
def test_rows_are_the_golden_ones(visit: Visit, golden: dict) -> None:
    row = row_of_visit(visit, golden["grain_s"])
    assert json.loads(msgspec.json.encode(row)) == golden["row"]
    assert msgspec.convert(golden["row"], VisitRow) == row


def test_a_row_of_an_earlier_release_is_read() -> None:
    earlier = {**GOLDEN[0]["row"], "bursts": 13, "dwell_s": [709.5, 759.8, 810.1]}
    assert msgspec.convert(earlier, VisitRow).dwell_s == (709.5, 759.8, 810.1)
