"""Recorded walks through the product: error before and after, on squares the fit did not see, and on another walk.

istanbul-tracks: a beacon among sniffers, calibrated on one track, checked on another of other places. warsaw-flat: a
robot's drive in a furnished flat, one of five folds held out for the check. Naive: guessing the centre.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hostkit.field.ground import Ground, ground_of
from hostkit.field.readings import Floats
from hostkit.field.survey import read_survey
from hostkit.field.trial import Trial
from hostkit.field.walk import Survey, positions, walk_trial
from hostkit.hub.adjust import trial_site
from hostkit.model import Floor, Probe, Site
from tests.accuracy import istanbul, warsaw
from tests.accuracy.tables import write

pytestmark = pytest.mark.realdata
HEADER = "time_s,anchor,rssi_dbm,x_m,y_m"
LOWERED_M = istanbul.BEACON_HEIGHT_M - 1.1  # the product takes phones to be at 1.1 m


def lab(folder: Path, chosen: Sequence[int]) -> Site:
    _, _, places = istanbul.sniffers(folder)
    x1, y1 = istanbul.AREA_M[2:]
    probes = tuple(
        Probe(id=f"s{k}", floor="lab", position_m=(min(max(x, 0.0), x1), min(max(y, 0.0), y1), z - LOWERED_M))
        for k, (x, y, z) in ((k, places[k].tolist()) for k in chosen)
    )
    return Site(tenant="t", site="lab", time_zone="UTC", floors=(istanbul.FLOOR,), probes=probes)


def track(folder: Path, out: Path, name: str) -> Path:
    by_address, _, _ = istanbul.sniffers(folder)
    lines = [line.split(",") for line in (folder / "trk" / f"{name}_all_sensors.mbd").read_text().splitlines()]
    return write(out / f"{name}.csv", HEADER, [(r[0], f"s{by_address[r[1]]}", r[3], r[4], r[5]) for r in lines])


def error_m(site: Site, ground: Ground, survey: Survey) -> float:
    found: Floats = positions(site, ground, survey.rssi_dbm, survey.frames)
    return float(np.hypot(*(found - survey.place_m).T).mean())


@pytest.mark.parametrize(("chosen", "after", "gain"), [(range(12), 2.7, 1.5), ((0, 3, 6, 9), 3.2, 1.05)])
def test_a_beacon_among_sniffers(
    realdata: Path, tmp_path: Path, chosen: Sequence[int], after: float, gain: float
) -> None:
    folder = realdata / "position" / "istanbul-tracks"
    site = lab(folder, chosen)
    ground = ground_of(site)
    survey, _ = read_survey(track(folder, tmp_path, "rectangular_without_rotation"), ground)
    trial = walk_trial(site, ground, survey, phone=True)
    held = trial.held
    assert held is not None
    assert held.naive is not None
    print(f"{len(chosen)} sniffers: {held.before:.2f} → {held.after:.2f} m held out, centre {held.naive:.2f}")
    assert trial.improves
    assert held.after < after
    assert held.before > gain * held.after
    elsewhere, _ = read_survey(track(folder, tmp_path, "straight_01"), ground)
    was, now = (error_m(one, ground, elsewhere) for one in (site, trial_site(site, trial.changes)))
    print(f"   another walk: {was:.2f} → {now:.2f} m")
    assert now < was


def test_a_robot_in_a_furnished_flat(realdata: Path, tmp_path: Path) -> None:
    tables = warsaw.tables(realdata / "position" / "warsaw-flat", tmp_path, 0)
    anchors = [line.split(",") for line in tables.anchors.read_text().splitlines()[1:]]
    places = np.array([[float(value) for value in row[1:]] for row in anchors])
    (x0, y0), (x1, y1) = places[:, :2].min(axis=0) - 1.0, places[:, :2].max(axis=0) + 1.0
    floor = Floor(id="flat", bounds_m=(x0, y0, x1, y1), interior_m=((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    probes = tuple(
        Probe(id=row[0], floor="flat", position_m=tuple(place))
        for row, place in zip(anchors, places.tolist(), strict=True)
    )
    site = Site(tenant="t", site="flat", time_zone="UTC", floors=(floor,), probes=probes)
    assert tables.calibration is not None
    ground = ground_of(site)
    survey, _ = read_survey(tables.calibration, ground)
    trial: Trial = walk_trial(site, ground, survey, phone=True)
    held = trial.held
    assert held is not None
    assert held.naive is not None
    print(f"flat: {held.before:.2f} → {held.after:.2f} m held out, centre {held.naive:.2f}")
    assert trial.passed
    assert trial.improves
    assert held.after < 1.6
    assert held.after < 0.6 * held.naive
