"""Clocks held against each other and against the system: who is wrong is named, too little to tell is not guessed."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.wire import SIGHTING
from hostkit.hub import clockcheck, pace
from hostkit.hub.clockcheck import WINDOW_US, ClockCheck, hub_clock
from hostkit.io.osclock import OsClock, read_clock

BEGAN_US = 1_741_080_000_000_000


def heard(frames: int, *, seed: int = 1) -> NDArray[np.void]:
    """Frames of twenty phones within a window."""
    random = np.random.default_rng(seed)
    rows = np.zeros(frames, SIGHTING)
    rows["time_us"] = BEGAN_US + np.sort(random.integers(0, WINDOW_US // 2, frames))
    rows["device_key"] = random.integers(1, 21, frames)
    rows["sequence"] = np.arange(frames) % 4096
    return rows


def of(
    rows: NDArray[np.void], probe: int, *, late_s: float = 0.0, share: float = 0.7, ppm: float = 0.0
) -> NDArray[np.void]:
    """What one probe heard of them, by a clock that shows `late_s` more and gains `ppm`."""
    random = np.random.default_rng(probe + 10)
    mine = rows[random.random(len(rows)) < 0.7].copy()
    mine["time_us"] += (late_s * 1e6 + random.normal(0, 500, len(mine))).astype(np.int64)
    return mine


def checked(*, late_s: tuple[float, ...], frames: int = 400) -> ClockCheck:
    check, rows = ClockCheck(), heard(frames)
    for probe, late in enumerate(late_s):
        check.add(probe, of(rows, probe, late_s=late))
    over = rows[-1:].copy()
    over["time_us"] += 2 * WINDOW_US
    check.add(0, over)
    return check


def test_the_one_of_three_whose_clock_is_wrong_is_found() -> None:
    found = checked(late_s=(0.0, 0.0, 2.0)).found
    assert [found[probe].differs for probe in range(3)] == [False, False, True]
    assert found[2].offset_s == pytest.approx(2.0, abs=0.01)
    assert found[0].offset_s == pytest.approx(0.0, abs=0.01)
    assert found[2].residual_s is not None
    assert found[2].residual_s < 0.01


def test_of_two_that_differ_both_are_doubted() -> None:
    found = checked(late_s=(0.0, -1.0)).found
    assert found[0].differs
    assert found[1].differs


def test_too_few_frames_in_common_tell_nothing() -> None:
    found = checked(late_s=(0.0, 5.0), frames=20).found
    assert not found[1].differs
    assert found[1].offset_s is None


def test_a_window_is_told_when_it_is_over_and_not_before() -> None:
    check, rows = ClockCheck(), heard(400)
    check.add(0, rows)
    check.add(1, of(rows, 1, late_s=3.0))
    assert check.found == {}


@pytest.mark.parametrize("synced", [True, False])
def test_the_hubs_clock_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch, synced: bool) -> None:
    said = OsClock(synced=synced, offset_us=-12.5, error_us=800.0, drift_ppm=3.25)
    monkeypatch.setattr(clockcheck, "read_clock", lambda: said)
    clock = hub_clock(batch=False)
    assert (clock.synced, clock.offset_us, clock.error_us, clock.drift_ppm) == (synced, -12.5, 800.0, 3.25)
    assert hub_clock(batch=True).synced is None


def test_where_the_system_says_nothing_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clockcheck, "read_clock", lambda: None)
    assert hub_clock(batch=False).synced is None


def test_this_system_is_asked() -> None:
    found = read_clock()
    assert found is None or (found.error_us >= 0 and abs(found.drift_ppm) <= 500)  # the kernel's own bound


@pytest.mark.parametrize(("by_s", "told"), [(86_400, True), (-86_400, True), (31, True), (2, False), (-2, False)])
def test_a_clock_that_was_set_is_noticed_once(monkeypatch: pytest.MonkeyPatch, by_s: int, told: bool) -> None:
    wall, running = 1_741_080_000 * 10**9, 5 * 10**9
    clock = SimpleNamespace(time_ns=lambda: wall, monotonic_ns=lambda: running)
    monkeypatch.setattr(pace, "time", clock)
    now, batch = pace.Now(batch=False), pace.Now(batch=True)
    wall, running = wall + 60 * 10**9, running + 60 * 10**9
    assert now.step_us() == 0
    wall += by_s * 10**9
    assert now.step_us() == (by_s * 1_000_000 if told else 0)
    assert now.step_us() == 0
    assert batch.step_us() == 0
