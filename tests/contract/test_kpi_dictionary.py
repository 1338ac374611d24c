"""The KPI dictionary is whole: every figure of the product, in both languages, with formula and null rule."""

import re

import pytest

from hostkit.contract import KpiDefinition, kpi_dictionary
from hostkit.model import PrivacyMode, Thresholds

IDS = [
    "passersby",
    "footfall",
    "visitors",
    "capture_rate",
    "window_stop_rate",
    "window_to_entry",
    "occupancy",
    "people_inside",
    "present_5min",
    "ble_devices",
    "present_last_hour",
    "arrivals_last_hour",
    "footfall_today",
    "dwell_mean_today",
    "dwell_mean",
    "dwell_median",
    "dwell_p90",
    "bounce_rate",
    "deep_visit_rate",
    "new_share",
    "returning_share",
    "visit_cycle_days",
    "activity_tier",
    "arrivals_by_hour",
    "zone_visits",
    "zone_dwell",
    "zone_share",
    "zone_flow",
    "heatmap",
    "transactions",
    "revenue",
    "atv",
    "conversion_rate",
    "exposure_rate",
    "path_depth",
    "category_interest",
    "dwell_sales_elasticity",
    "target",
    "attainment",
    "sales_per_visitor",
    "sales_per_m2",
    "open_hours_actual",
    "rank",
    "control_state",
    "campaign_lift",
    "store_score",
]
COUNTED = [
    "passersby",
    "footfall",
    "visitors",
    "occupancy",
    "people_inside",
    "present_5min",
    "present_last_hour",
    "arrivals_last_hour",
    "footfall_today",
    "arrivals_by_hour",
    "zone_visits",
    "zone_flow",
    "campaign_lift",
]


def test_every_figure_is_defined_once_and_in_order() -> None:
    assert list(kpi_dictionary()) == IDS


def test_figures_in_people_have_a_device_twin() -> None:
    assert [row.id for row in kpi_dictionary().values() if row.people] == COUNTED
    for id_ in COUNTED:
        assert kpi_dictionary()[id_].unit in ("people", "visits")


@pytest.mark.parametrize("row", kpi_dictionary().values(), ids=lambda row: row.id)
def test_a_definition_is_complete(row: KpiDefinition) -> None:
    assert row.version >= 1
    assert row.grain
    assert row.unit
    assert row.null_rule
    assert row.formula
    assert re.search(r"[\u4e00-\u9fff]", row.name_zh)
    assert row.name_en.isascii()
    assert "\n" not in row.formula


@pytest.mark.parametrize("row", kpi_dictionary().values(), ids=lambda row: row.id)
def test_a_formula_names_only_what_exists(row: KpiDefinition) -> None:
    for name in re.findall(r"thresholds\.(\w+)", row.formula):
        assert name in Thresholds.__slots__
    for name in re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", re.sub(r"thresholds\.\w+", "", row.formula)):
        assert name in (*IDS, *PrivacyMode, "measurable_share", "opening_hours")
