"""Live figures of who is inside: as a replay of the same frames says, and as the site's calibration says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.config import dump_site, load_site
from hostkit.core.dot11 import CaptureReader
from hostkit.core.kpi import Kpi
from hostkit.core.wire import Flag, sightings_from
from hostkit.hub.calibrate import DoorCount, take_door, undo
from hostkit.hub.calibrate import Heard as DoorDevices
from hostkit.hub.chain import STEP_US, Chain, Heard, Step
from hostkit.hub.figures import LIVE_LAG_S, Figures
from hostkit.hub.listened import listened_plan
from hostkit.hub.replay import ReplaySettings, replay
from hostkit.model import Estimate, Occupancy, Probe, Site
from tests.builders import KEY
from tests.crowd import START_US, crowd, overhear, save

SITE = Site(tenant="t", site="s", time_zone="UTC", probes=(Probe(id="probe"),))
BATCH_US = 10_000_000


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sent = crowd(3, phones=40, minutes=60)
    return save(tmp_path_factory.mktemp("live") / "probe.pcap", overhear(sent, gain_db=25))


def sightings(capture: Path) -> NDArray[np.void]:
    reader = CaptureReader(capture.read_bytes(), KEY)
    rows = sightings_from(reader.read(1 << 20), 0, 0)
    return rows[np.argsort(rows["time_us"], kind="stable")]


def lived(site: Site, rows: NDArray[np.void], until_us: int, ble: bool = False) -> Figures:
    """Hear batch by batch as a hub does."""
    chain, figures = Chain(site), Figures(site)
    wifi = rows["channel"][rows["channel"] > 0]
    channels = tuple((one, int((wifi == one).sum())) for one in np.unique(wifi).tolist())
    for from_us in range(int(rows["time_us"][0]) // STEP_US * STEP_US, until_us, BATCH_US):
        to_us = from_us + BATCH_US
        part = rows[(rows["time_us"] >= from_us) & (rows["time_us"] < to_us)]
        by_channel = listened_plan(channels, 10_000.0)
        heard = Heard(0, from_us, to_us, 10_000, part.tobytes(), (*by_channel, *(((0, 5_000.0),) if ble else ())))
        figures.heard(heard)
        chain.take(heard)
        if to_us % STEP_US == 0:
            chain.step(Step(until_us=to_us))
            figures.count(chain.take_counted())
    return figures


def live(figures: Figures, at_us: int) -> dict[str, Kpi]:
    return {kpi.id: kpi for kpi in figures.live(at_us / 1e6 - LIVE_LAG_S, ())}


def test_live_and_replay_agree_on_who_is_inside(capture: Path) -> None:
    result = replay(ReplaySettings(captures=((capture, None),), site=SITE, key=KEY))
    rows = sightings(capture)
    figures = lived(SITE, rows, int(rows["time_us"][-1]) + 120_000_000)
    now = dict(figures.inside(float(rows["time_us"][-1]) / 1e6))
    then = {one.start_s: estimate for one, estimate in zip(result.bins, result.inside, strict=True)}
    whole = sorted(now.keys() & then.keys())[:-1]
    assert len(whole) >= 4
    for start_s in whole:
        ours, theirs = now[start_s], then[start_s]
        assert ours.value == pytest.approx(theirs.value, rel=0.1)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.1)
        assert (ours.value or 0) > 3


def test_live_says_who_was_inside_in_the_last_bin_with_devices_beside(capture: Path) -> None:
    rows = sightings(capture)
    until_us = START_US + 45 * 60_000_000
    site = replace(SITE, occupancy=Occupancy(people_per_device=2.0, log_sd=0.3, noise_log_sd=0.3, reference_counts=3))
    kpi = live(lived(site, rows, until_us), until_us)["people_inside"]
    plain = live(lived(SITE, rows, until_us), until_us)["people_inside"]
    assert kpi.devices is not None
    assert kpi.value.value == pytest.approx(2 * (kpi.devices.value or 0), rel=0.01)
    assert kpi.value.value == pytest.approx(2 * (plain.value.value or 0), rel=0.01), "kappa is in force"
    width = (kpi.value.high or 0) / (kpi.value.low or 1)
    assert width > (kpi.devices.high or 0) / (kpi.devices.low or 1), "kappa's own spread widens"
    assert "3 reference counts" in kpi.value.method


def test_nothing_counted_yet_and_long_silence_are_null_and_zero(capture: Path) -> None:
    rows = sightings(capture)
    first = live(lived(SITE, rows, START_US + 300_000_000), START_US + 300_000_000)["people_inside"]
    assert first.value.value is None
    assert first.value.reason == "no ten minutes were listened to yet"
    quiet_us = int(rows["time_us"][-1]) + 2 * 3_600_000_000
    late = live(lived(SITE, rows, quiet_us), quiet_us)["people_inside"]
    assert late.value.value == pytest.approx(0, abs=0.5)


def test_ble_is_told_beside_and_a_disagreement_is_flagged(capture: Path) -> None:
    wifi = sightings(capture)
    until_us = START_US + 45 * 60_000_000

    def with_ble(devices: int) -> Figures:
        times_us = np.arange(START_US, until_us, 3_000_000)
        ble = np.zeros(len(times_us) * devices, wifi.dtype)
        ble["time_us"] = np.repeat(times_us, devices)
        ble["device_key"] = np.tile(np.arange(devices), len(times_us)) + 9_000_000
        ble["fingerprint"], ble["flags"], ble["rssi_dbm"] = 77, Flag.BLE, -60
        both = np.concatenate([wifi, ble])
        return lived(SITE, both[np.argsort(both["time_us"], kind="stable")], until_us, ble=True)

    few, many = with_ble(12), with_ble(700)
    assert live(few, until_us)["ble_devices"].value.value == 12
    assert few.radios_disagree is False
    assert many.radios_disagree is True
    assert live(many, until_us)["people_inside"].value == live(few, until_us)["people_inside"].value
    alone = lived(SITE, wifi, until_us)
    assert live(alone, until_us)["ble_devices"].value.reason == "nothing heard over BLE"
    assert alone.radios_disagree is None


def test_a_flood_is_named_live_and_widens_what_is_said_of_it(capture: Path) -> None:
    rows = sightings(capture)
    until_us, flooded_us = START_US + 45 * 60_000_000, START_US + 22 * 60_000_000
    random = np.random.default_rng(1)
    fresh = np.zeros(60_000, rows.dtype)
    fresh["time_us"] = np.sort(random.integers(flooded_us, flooded_us + 60_000_000, len(fresh)))
    fresh["device_key"], fresh["fingerprint"] = random.integers(1, 1 << 62, len(fresh)), 5
    fresh["rssi_dbm"], fresh["channel"], fresh["flags"] = -50, 6, Flag.RANDOMISED
    both = np.concatenate([rows, fresh])
    both = both[np.argsort(both["time_us"], kind="stable")]
    calm, flooded = (dict(lived(SITE, one, until_us).inside(until_us / 1e6)) for one in (rows, both))
    start_s = max(one for one in calm if one <= flooded_us / 1e6)
    low, high = flooded[start_s].low or 0.0, flooded[start_s].high or 0.0
    assert low < (calm[start_s].low or 0.0), "what was heard in it is not believed"
    assert high < 2 * (calm[start_s].high or 0.0), "nor are the addresses taken for people"


def test_a_count_at_the_door_changes_what_a_hub_publishes(tmp_path: Path, capture: Path) -> None:
    """As a person does it: count, and the figures of the next hours are others; undo, and they are as before."""
    path = tmp_path / "site.toml"
    path.write_text(dump_site(SITE))
    rows = sightings(capture)
    hour_s = int(rows["time_us"][0] / 1e6) // 3600 * 3600

    def footfall() -> Estimate:
        site = load_site(path)
        chain, figures = Chain(site), Figures(site)
        heard = Heard(0, int(rows["time_us"][0]), int(rows["time_us"][-1]) + 1, 3_600_000, rows.tobytes())
        figures.heard(heard)
        chain.take(heard)
        figures.add(chain.finish())
        return next(kpi.value for kpi in figures.between(hour_s, hour_s + 3600.0, ()) if kpi.id == "footfall")

    before = footfall()
    counted = DoorCount(start_s=hour_s, end_s=hour_s + 3600.0, entered=120.0, passed=None)
    taken = take_door(path, load_site(path), counted, DoorDevices(devices=before.value or 1.0, source="hub"), hour_s)
    after = footfall()
    factor = load_site(path).people_per_device.median
    assert factor > 1.2
    assert after.value == pytest.approx(factor * (before.value or 0))
    assert (after.high or 0) / (after.low or 1) != pytest.approx((before.high or 0) / (before.low or 1), rel=1e-3)
    undo(path, taken.record, hour_s)
    assert footfall() == replace(before, method=footfall().method)
