"""The BLE series: handovers are no devices, floods are bounded, and both radios are held against each other."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core import bleseries
from hostkit.core.bleseries import SHOWN_BINS, BleCounter, disagree
from hostkit.core.pipeline import Pipeline
from hostkit.core.wire import SIGHTING, Flag
from hostkit.model import Estimate, Probe, Site

BIN_US = 600_000_000
HOUR_S = 3600.0
WIFI = Site(tenant="t", site="s", time_zone="UTC", probes=(Probe(id="a", channels=(6,)),))
BLE_ONLY = Site(tenant="t", site="s", time_zone="UTC", probes=(Probe(id="a", channels=()),))


def advertisers(seed: int, people: int = 60) -> tuple[NDArray[np.void], list[tuple[float, float]]]:
    """An hour: devices of three shapes come, stay 20 min on average, change address every 15 min, are heard at 60 %."""
    random = np.random.default_rng(seed)
    parts, spans = [], []
    for number in range(people):
        came_s = random.uniform(-1200, HOUR_S)
        left_s = min(came_s + random.exponential(1200) + 60, HOUR_S)
        times_s = np.arange(max(came_s, 0.0), left_s, 2.0)
        times_s = times_s[random.random(len(times_s)) < 0.6]
        if not len(times_s):
            continue
        spans.append((float(times_s[0]), float(times_s[-1])))
        rows = np.zeros(len(times_s), SIGHTING)
        rows["time_us"] = times_s * 1e6
        turn = ((times_s + random.uniform(0, 900)) // 900).astype(np.uint64)
        rows["device_key"] = np.uint64(1000 * number) + turn
        rows["fingerprint"], rows["flags"] = 500 + number % 3, Flag.BLE | Flag.RANDOMISED
        rows["rssi_dbm"] = np.int8(-60)
        parts.append(rows)
    rows = np.concatenate(parts)
    return rows[np.argsort(rows["time_us"], kind="stable")], spans


def there(spans: list[tuple[float, float]], start_s: float) -> int:
    return sum(begin < start_s + 600 and end >= start_s for begin, end in spans)


def bounds(it: Estimate) -> tuple[float, float]:
    assert it.low is not None
    assert it.high is not None
    return it.low, it.high


def test_devices_are_counted_and_their_addresses_are_not() -> None:
    held, errors, addresses = [], [], []
    for seed in range(12):
        rows, spans = advertisers(seed)
        counter = BleCounter(BIN_US)
        for chunk in np.array_split(rows, 40):
            counter.add(chunk)
        for number in range(6):
            found = counter.count(number * BIN_US)
            true = there(spans, number * 600.0)
            assert found is not None
            assert found.value is not None
            low, high = bounds(found)
            held.append(low <= true <= high)
            errors.append(np.log(found.value / true))
            seen = rows["device_key"][rows["time_us"] // BIN_US == number]
            addresses.append(np.log(len(np.unique(seen)) / true))
    assert abs(np.mean(errors)) < 0.06
    assert np.mean(addresses) > 0.3, "what counting addresses says"
    assert 0.84 <= np.mean(held) <= 1


def test_silence_is_no_count_and_what_was_counted_is_forgotten() -> None:
    rows, _ = advertisers(1)
    counter = BleCounter(BIN_US)
    counter.add(rows)
    assert counter.count(0) is not None
    assert counter.count(0) is None
    assert counter.count(100 * BIN_US) is None


def test_a_flood_of_addresses_is_bounded_and_widens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bleseries, "MAX_ADDRESSES", 100)
    rows = np.zeros(5000, SIGHTING)
    rows["device_key"] = np.arange(5000)
    rows["time_us"] = np.arange(5000) * 100_000
    rows["fingerprint"] = np.arange(5000)
    counter = BleCounter(BIN_US)
    for chunk in np.array_split(rows, 10):
        counter.add(chunk)
    found = counter.count(0)
    assert found is not None
    assert found.value == 100
    assert bounds(found)[1] > 4000


def estimate(value: float, factor: float = 1.3) -> Estimate:
    return Estimate(value=value, low=value / factor, high=value * factor, method="m")


def test_radios_disagree_beyond_what_is_usual_between_them() -> None:
    usual = [(estimate(10 + i), estimate(2.0 * (10 + i))) for i in range(SHOWN_BINS + 2)]
    assert disagree([]) is None
    assert disagree([(estimate(1), estimate(1))]) is None, "too few to tell"
    assert disagree([*usual, (estimate(12), estimate(24))]) is False
    assert disagree([*usual, (estimate(12), estimate(12 * 2 * 2.5))]) is True
    assert disagree([*usual, (estimate(24), estimate(9))]) is True, "twice as many phones, half the tags"
    assert disagree([(estimate(12), estimate(30))]) is False, "by nature; the site has not shown how they relate"
    assert disagree([(estimate(3), estimate(90))]) is True


def with_wifi(rows: NDArray[np.void]) -> NDArray[np.void]:
    wifi = np.zeros(600, SIGHTING)
    wifi["time_us"] = np.arange(600) * 6_000_000
    wifi["device_key"] = np.arange(600) % 10 + 7_000_000
    wifi["fingerprint"] = np.arange(600) % 10
    wifi["rssi_dbm"], wifi["channel"] = -50, 6
    both = np.concatenate([rows, wifi])
    return both[np.argsort(both["time_us"], kind="stable")]


def test_in_the_pipeline_ble_is_a_series_of_its_own_and_adds_nothing_to_wifi() -> None:
    ble, spans = advertisers(4)
    found = []
    for rows in (with_wifi(ble), with_wifi(ble[:0])):
        pipeline = Pipeline(WIFI)
        pipeline.feed(rows)
        found.append((pipeline.finish(), pipeline.totals()))
    (both, totals), (wifi, without) = found
    values = [[bin_.devices.value for bin_ in events.bins] for events in (both, wifi)]
    assert values[0] == pytest.approx(values[1], rel=0.01), "but for the last seconds, in which BLE alone was heard"
    assert [visit.dwell_s for visit in both.visits] == [visit.dwell_s for visit in wifi.visits]
    assert totals.devices.value == pytest.approx(without.devices.value, rel=0.01)
    assert {bin_.ble for bin_ in wifi.bins} == {None}
    for bin_ in both.bins:
        assert bin_.ble is not None
        assert bin_.ble.value == pytest.approx(there(spans, bin_.start_s), rel=0.3)


def test_where_no_probe_hears_wifi_ble_is_the_count_and_says_so() -> None:
    ble, spans = advertisers(5)
    pipeline = Pipeline(BLE_ONLY)
    pipeline.feed(ble)
    events = pipeline.finish()
    assert events.visits
    for bin_ in events.bins:
        assert bin_.devices.method == bleseries.METHOD
        assert bin_.devices.value == pytest.approx(there(spans, bin_.start_s), rel=0.3)
