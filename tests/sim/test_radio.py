"""Propagation and hearing against closed forms: path loss, walls, shadowing shares, hopping, clocks."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.model import PathLoss, Probe, Wall
from hostkit.sim.phones import EMISSION
from hostkit.sim.plan import Plan, build_plan, default_site
from hostkit.sim.radio import FIELD_SHARE, SCAN_SHARE, Ear, ears, receptions

SILENT = PathLoss(sigma_db=0.0, power_sigma_db=0.0)


def plan_with(loss: PathLoss, *walls: Wall) -> Plan:
    site = default_site(1)
    return build_plan(replace(site, path_loss=loss, floors=(replace(site.floors[0], walls=walls),)))


def ear(*channels: int, dwell_ms: int = 250, height_m: float = 1.1, floor_dbm: float = -94.0) -> Ear:
    probe = Probe(
        id="ear", position_m=(12.0, 13.0, height_m), channels=channels, dwell_ms=dwell_ms, floor_dbm=floor_dbm
    )
    return Ear(probe=probe, hidden_offset_db=0.0, clock_offset_s=0.0, clock_drift=0.0, hop_phase_s=0.0)


def emissions(x_m: float | NDArray[np.float64], y_m: float, scans: int = 400, frames: int = 5) -> NDArray[np.void]:
    rows = np.zeros(scans * frames, dtype=EMISSION)
    rows["time_s"] = np.arange(len(rows)) * 0.1
    rows["burst"] = np.repeat(np.arange(scans), frames)
    rows["channel"] = 6
    rows["x_m"], rows["y_m"] = np.repeat(x_m, frames) if isinstance(x_m, np.ndarray) else x_m, y_m
    rows["facing_rad"] = np.nan
    return rows


def levels(plan: Plan, listener: Ear, sent: NDArray[np.void], tx_db: float = 0.0) -> NDArray[np.int8]:
    return receptions(plan, (listener,), sent, np.array([tx_db]), 1)["rssi_dbm"]


@pytest.mark.parametrize(("distance_m", "expected_dbm"), [(1.0, -45), (10.0, -72), (0.1, -37), (5.0, -64)])
def test_without_noise_the_model_is_exact(distance_m: float, expected_dbm: int) -> None:
    heard = levels(plan_with(SILENT), ear(6), emissions(12.0, 13.0 + distance_m))
    assert set(heard.tolist()) == {expected_dbm}  # closer than 0.5 m it stays as at 0.5 m


def test_height_counts_as_distance() -> None:
    assert set(levels(plan_with(SILENT), ear(6, height_m=11.1), emissions(12.0, 13.0)).tolist()) == {-72}


def test_walls_transmit_power_and_offset_add_up() -> None:
    walls = (Wall(from_m=(11.0, 15.0), to_m=(13.0, 15.0), loss_db=6.0), Wall(from_m=(11.0, 16.0), to_m=(13.0, 16.0)))
    plan = plan_with(SILENT, *walls, Wall(from_m=(20.0, 15.0), to_m=(21.0, 15.0), loss_db=40.0))
    listener = replace(ear(6), hidden_offset_db=3.0)
    assert set(levels(plan, listener, emissions(12.0, 23.0), tx_db=-2.0).tolist()) == {-72 - 12 + 3 - 2}


def test_shadowing_is_shared_within_a_scan_and_split_as_declared() -> None:
    plan, listener = plan_with(PathLoss(sigma_db=6.0)), ear(6)
    here = levels(plan, listener, emissions(12.0, 15.0)).astype(float)
    # 3 % of frames are lost, so scans are told apart by their emissions.
    sent = emissions(12.0, 15.0)
    heard = receptions(plan, (listener,), sent, np.zeros(1), 1)
    scan = sent["burst"][heard["emission"]]
    means = np.bincount(scan, heard["rssi_dbm"]) / np.bincount(scan)
    assert means.std() == pytest.approx(SCAN_SHARE * 6.0, rel=0.12)
    assert (here - means[scan]).std() == pytest.approx(0.2 * 6.0, rel=0.15)


def test_field_differs_from_place_to_place_and_holds_still() -> None:
    plan, listener = plan_with(PathLoss(sigma_db=6.0, exponent=1e-9)), ear(6)
    spread = []
    for seed in range(30):
        sent = emissions(np.linspace(1.0, 25.0, 400), 2.0)
        heard = receptions(plan, (listener,), sent, np.zeros(1), seed)
        scan = sent["burst"][heard["emission"]]
        spread.append((np.bincount(scan, heard["rssi_dbm"]) / np.bincount(scan)).var())
    expected = (FIELD_SHARE**2 + SCAN_SHARE**2 + 0.2**2 / 5) * 36.0
    assert np.mean(spread) == pytest.approx(expected, rel=0.15)


def test_body_shadows_the_side_away_from_the_probe() -> None:
    loss = PathLoss(sigma_db=6.0)
    sent = emissions(12.0, 17.0, scans=2000)
    towards, away = sent.copy(), sent.copy()
    towards["facing_rad"], away["facing_rad"] = -np.pi / 2, np.pi / 2
    front, back = (levels(plan_with(loss), ear(6), rows).mean() for rows in (towards, away))
    assert front - back == pytest.approx(8.0, abs=0.5)


def test_half_the_frames_are_heard_at_the_floor_and_none_far_below() -> None:
    plan, sent = plan_with(SILENT), emissions(12.0, 23.0)
    shares = [len(levels(plan, ear(6, floor_dbm=floor), sent)) / len(sent) for floor in (-72.0, -82.0, -58.0)]
    assert shares == pytest.approx([0.97 / 2, 0.97, 0.0], abs=0.03)


def test_only_the_tuned_channel_is_heard_unless_neighbours_bleed() -> None:
    plan, sent = plan_with(SILENT), emissions(12.0, 14.0)
    assert len(levels(plan, ear(5), sent)) == 0
    bleeding = replace(ear(5), bleed_db=(0.0, 20.0))
    heard = receptions(plan, (bleeding,), sent, np.zeros(1), 1)
    assert set(heard["rssi_dbm"].tolist()) == {-65}
    assert set(heard["channel"].tolist()) == {5}
    assert len(levels(plan, replace(ear(4), bleed_db=(0.0, 20.0)), sent)) == 0


def test_hopping_listens_in_turn_and_accounts_for_every_millisecond() -> None:
    listener = ear(1, 6, 11, dwell_ms=100)
    times_s = np.arange(0.0, 30.0, 0.001) + 0.0005
    tuned = listener.tuned(times_s)
    for from_s, to_s in ((0.0, 30.0), (0.0, 0.25), (7.03, 7.11), (3.0, 3.002)):
        window = (times_s >= from_s) & (times_s < to_s)
        counted = {channel: int((tuned[window] == channel).sum()) for channel in (1, 6, 11)}
        assert listener.listened_ms(from_s, to_s) == pytest.approx(counted, abs=1)
    assert listener.tuned(np.array([0.002, 0.05, 0.15, 0.25, 0.35])).tolist() == [0, 1, 6, 11, 1]


def test_probes_that_hop_share_a_channel_a_third_of_the_time_whatever_their_phases() -> None:
    hopping = [replace(probe, channels=(1, 6, 11), dwell_ms=1000) for probe in default_site(4).probes]
    drawn = ears(tuple(hopping), clock_error_s=0.0, offset_sigma_db=0.0, seed=1)
    tuned = np.array([each.tuned(np.arange(0.0, 3600.0, 0.05)) for each in drawn])
    shared = [np.mean(tuned[a] == tuned[b]) for a in range(4) for b in range(a)]
    assert shared == pytest.approx(np.full(6, 1 / 3), abs=0.06)


def test_parked_probe_listens_all_the_time() -> None:
    assert ear(6).listened_ms(2.0, 5.5) == {6: 3500}


def test_clocks_are_wrong_within_what_was_asked() -> None:
    drawn = ears(default_site(8).probes, clock_error_s=0.2, offset_sigma_db=2.0, seed=3)
    offsets = [each.clock_offset_s for each in drawn]
    assert max(map(abs, offsets)) <= 0.2
    assert len(set(offsets)) == 8
    assert drawn[0].clock_s(np.array([1000.0]))[0] == 1000.0 * (1 + drawn[0].clock_drift) + offsets[0]
    exact = ears(default_site(8).probes, clock_error_s=0.0, offset_sigma_db=2.0, seed=3)
    assert {(each.clock_offset_s, each.clock_drift) for each in exact} == {(0.0, 0.0)}
