"""The register of phone models: what enough devices showed, since when; the share that nobody knows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.classes import KEEP_DAYS, LEAST_DEVICES, MAX_CLASSES, MAX_PAIRS, ClassRegister, ClassWatch
from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.wire import SIGHTING

HOUR_US, DAY = 3_600_000_000, 20_000


def heard(devices: dict[int, int], *, addresses: int = 3) -> NDArray[np.void]:
    """Sightings of devices: number → fingerprint, each under several addresses."""
    rows = [
        (0, number * 1000 + n, name, 0, 0, 0, -60, 0, 6, 1)
        for number, name in devices.items()
        for n in range(addresses)
    ]
    return np.array(rows, SIGHTING)


def devices_of(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The test's numbering: device 900 and above were heard once only."""
    numbers = (keys // np.uint64(1000)).astype(np.int64)
    return np.where(numbers < 900, numbers, -1)


def hour(register: ClassRegister, day: int, devices: dict[int, int]) -> float | None:
    return hour_of(register, day, heard(devices))


def hour_of(register: ClassRegister, day: int, rows: NDArray[np.void]) -> float | None:
    watch = ClassWatch()
    watch.advance(day * 24 * HOUR_US + 1, register, devices_of)
    watch.add(rows)
    watch.advance(day * 24 * HOUR_US + HOUR_US, register, devices_of)
    return watch.unknown_share


def test_a_new_system_is_noticed_until_the_next_day() -> None:
    register, old = ClassRegister(), dict.fromkeys(range(20), 7)
    assert hour(register, DAY, old) is None, "on the first day nothing is known to compare with"
    assert hour(register, DAY + 1, old) == 0
    both = old | {100 + n: 8 for n in range(10)}
    assert hour(register, DAY + 2, both) == pytest.approx(10 / 30)
    assert hour(register, DAY + 2, both) == pytest.approx(10 / 30), "all day"
    assert hour(register, DAY + 3, both) == 0


def test_a_class_of_few_devices_is_never_kept() -> None:
    register = ClassRegister()
    for day in range(5):
        hour(register, DAY + day, dict.fromkeys(range(LEAST_DEVICES - 1), 7) | {900 + n: 7 for n in range(9)})
    assert len(register) == 0
    hour(register, DAY, dict.fromkeys(range(LEAST_DEVICES), 7))
    assert len(register) == 1


def test_a_device_with_a_known_variant_is_known_and_few_devices_say_nothing() -> None:
    register = ClassRegister()
    register.learn([7], DAY)
    assert hour(register, DAY + 1, dict.fromkeys(range(LEAST_DEVICES - 1), 8)) is None
    both = np.concatenate([heard(dict.fromkeys(range(8), 8)), heard(dict.fromkeys(range(2), 7))])
    assert hour_of(register, DAY + 1, both) == pytest.approx(6 / 8)


def test_it_is_written_and_read_again() -> None:
    register = ClassRegister()
    register.learn([7, 8, 2**32 - 1], DAY)
    register.learn([8], DAY + 3)
    assert register.changed
    text = register.dump()
    assert not register.changed
    again = ClassRegister.load(text)
    assert again.dump() == text
    assert again.knows(DAY) is None
    assert again.knows(DAY + 1) == {7, 8, 2**32 - 1}
    again.learn([8], DAY + 3)
    assert not again.changed


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"element_table": 1}', '{"element_table": 0, "classes": [[1, 2, 3]]}']
)
def test_what_cannot_be_read_is_an_empty_register(text: str | None) -> None:
    assert FINGERPRINT_VERSION != 0
    assert len(ClassRegister.load(text)) == 0


def test_registers_merge_to_first_and_last_day() -> None:
    one, other = ClassRegister(), ClassRegister()
    one.learn([7], DAY + 5)
    other.learn([7, 8], DAY)
    one.merge(other)
    assert one.knows(DAY + 1) == {7, 8}
    assert one.changed


def test_it_is_bounded_and_forgets_what_is_gone() -> None:
    register = ClassRegister()
    for day in range(6):
        register.learn(range(day * 1000, day * 1000 + 1000), DAY + day)
    assert len(register) == MAX_CLASSES
    known = register.knows(DAY + 9)
    assert known is not None
    assert 5999 in known
    assert 0 not in known
    register.learn([1], DAY + 5 + KEEP_DAYS)
    assert len(register) == 1


def test_an_hour_of_hostile_elements_is_bounded() -> None:
    watch = ClassWatch()
    watch.advance(0, ClassRegister(), devices_of)
    rows = np.zeros(MAX_PAIRS // 2, SIGHTING)
    for part in range(3):
        rows["device_key"] = np.arange(len(rows)) + part * len(rows)
        watch.add(rows)
    assert sum(len(pairs) for pairs in watch._pairs) == MAX_PAIRS
