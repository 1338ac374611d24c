"""Named alternative methods: addresses, loud addresses and the CDRC recipe, on sightings whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.count import CHAPMAN
from hostkit.core.methods import MAX_KEYS, Addresses, Cdrc, Method, recipe
from hostkit.core.pipeline import Pipeline
from hostkit.core.wire import SIGHTING, Flag
from tests.shop import shop

MINUTE_US = 60_000_000
BIN_US = 10 * MINUTE_US


def rows(*heard: tuple[float, int, int, bool]) -> NDArray[np.void]:
    """(minute, key, level, randomised) each."""
    out = np.zeros(len(heard), SIGHTING)
    for row, (minute, key, level, randomised) in zip(out, heard, strict=True):
        row["time_us"], row["device_key"], row["rssi_dbm"] = round(minute * MINUTE_US), key, level
        row["flags"] = Flag.RANDOMISED if randomised else 0
    return out


def value(method: Method, heard: NDArray[np.void], start_min: int = 0) -> float:
    it = recipe(method, BIN_US)
    assert it is not None
    it.add(heard)
    found = it.count(start_min * MINUTE_US, start_min * MINUTE_US + BIN_US)
    assert (found.low, found.high, found.method) == (None, None, method)
    assert found.reason
    assert found.value is not None
    return found.value


def test_addresses_are_counted_once_a_bin_and_loud_ones_by_level() -> None:
    heard = rows((1, 1, -60, True), (2, 1, -80, True), (9.9, 2, -70, True), (3, 3, -69, False), (10, 4, -50, True))
    assert value(Method.ADDRESSES, heard) == 3
    assert value(Method.LOUD_ADDRESSES, heard) == 2
    assert value(Method.ADDRESSES, heard, 10) == 1
    assert value(Method.ADDRESSES, heard, 20) == 0


def test_cdrc_adds_requests_of_random_addresses_in_the_ratio_of_the_global_ones() -> None:
    # one interval: two global phones made four requests, random addresses ten: 2 + 10 x 2 / 4
    heard = rows(*((m, 1 + m % 2, -60, False) for m in (0, 1, 2, 3)), *((4, 100 + i, -60, True) for i in range(10)))
    assert value(Method.CDRC, heard) == pytest.approx(7.0)


def test_cdrc_takes_a_long_dweller_once_in_half_an_hour() -> None:
    heard = rows((1, 1, -60, False), (6, 1, -60, False), (6, 2, -60, False), (11, 1, -60, False), (46, 1, -60, False))
    it = Cdrc()
    it.add(heard)
    counts = [it.count(m * MINUTE_US, m * MINUTE_US + BIN_US).value for m in (0, 10, 20, 30, 40)]
    assert counts == [2.0, 0.0, 0.0, 0.0, 1.0]


def test_cdrc_without_global_addresses_counts_nobody() -> None:
    assert value(Method.CDRC, rows((1, 1, -60, True))) == 0.0


def test_a_flood_of_addresses_is_bounded() -> None:
    it = Addresses(Method.ADDRESSES, BIN_US)
    flood = np.zeros(MAX_KEYS // 2 + 1, SIGHTING)
    for part in range(3):
        flood["device_key"] = np.arange(len(flood), dtype=np.uint64) + np.uint64(part * len(flood))
        it.add(flood)
    assert it.count(0, BIN_US).value == MAX_KEYS


@pytest.mark.parametrize("method", [Method.ADDRESSES, Method.CDRC])
def test_the_pipeline_counts_by_the_method_named(method: Method) -> None:
    heard = rows((1, 1, -60, False), (2, 2, -60, False), (6, 3, -60, True))
    heard["time_us"] += 1_700_000_400_000_000
    pipeline = Pipeline(shop(), method=method)
    pipeline.feed(heard)
    (bin_,) = pipeline.finish().bins
    assert bin_.devices.method == method
    assert bin_.devices.value == (3.0 if method is Method.ADDRESSES else 2.0)


def test_chapman_is_a_method_of_its_own_and_null_where_probes_share_nobody() -> None:
    heard = rows(*[(minute, 1 + minute % 3, -60, False) for minute in range(9)])
    heard["time_us"] += 1_700_000_400_000_000
    heard["fingerprint"] = heard["device_key"]
    found = []
    for probes in (1, 2):
        both = np.concatenate([heard, heard])
        both["probe"][len(heard) :] = probes - 1
        pipeline = Pipeline(shop(), method=Method.CHAPMAN)
        pipeline.feed(both)
        found.append(pipeline.finish().bins[0].devices)
    assert found[0].value is None
    assert found[0].reason == "no two probes heard the same device"
    assert found[1].value == 3.0
    assert found[1].method == CHAPMAN
