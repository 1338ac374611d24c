"""Places of devices over time: a hidden Markov model on a Locator's grid. Who is who is given."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hostkit.core._locate import Track
from hostkit.core.locate import PART_ROWS, Fixes, Locator, Rows, misshapen, padded, power_nodes
from hostkit.errors import UsageError

STEP_SHARE = 0.2  # TRACK_STEP of locate_track.h
# Power nodes stand this many link sigmas apart; between them a device's power is Gaussian with the variance of a
# uniform distribution, so that a coarse step costs sharpness and never calibration.
TRACK_NODE_STEP = 0.75
STORED_BYTES = 64 << 20  # forward states kept for smoothing; a longer visit is walked in blocks and costs half more
MAX_DEVICES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How devices move and how their links err.

    A device stands still with probability exp(-gap / pause_s); else it is displaced like a walker of `speed_m_s` (rms,
    one axis) that changes direction every `turn_s`: never through a cell nobody can be in, and 8 m at most. After
    roam_s it may be anywhere, after power_hold_s its transmit power (hand, pocket, bag) is drawn anew. A link's error
    repeats in the next burst: the share `repeat` of a burst right after another is no news, for `repeat_s`.
    The defaults give the RMSE and coverage of tests/accuracy/test_locate.py for bursts 2 to 60 s apart.
    """

    speed_m_s: float = 1.0
    turn_s: float = 5.0
    pause_s: float = 2.0
    roam_s: float = 60.0
    power_hold_s: float = 600.0
    repeat: float = 0.5
    repeat_s: float = 5.0


class Tracker:
    """Fixes of devices given what was heard of them before (`update`) or during a whole visit (`smooth`).

    `update` holds the state of at most `max_devices` (the one longest silent goes first): rows x columns x power nodes
    float32 each. `backwards` counts rows older than the row before of their device; they count as simultaneous.
    """

    def __init__(self, locator: Locator, motion: Motion | None = None, *, max_devices: int = 1024) -> None:
        numbers = np.array(astuple(motion or Motion()), np.float64)
        if not (np.isfinite(numbers).all() and (numbers[:5] > 0).all() and 0 <= numbers[5] < 1 and numbers[6] > 0):
            raise UsageError("not a motion", where="motion", next_step="use positive numbers, and repeat below 1")
        if not 1 <= max_devices <= MAX_DEVICES:
            raise UsageError(f"{max_devices} devices", where="max_devices", next_step=f"pass 1 to {MAX_DEVICES}")
        numbers[0] **= 2
        step_db = TRACK_NODE_STEP * locator.sigma_db
        node_db, node_weight = power_nodes(locator.power_sigma_db, step_db)
        prior = np.exp(locator.log_prior)
        prior /= prior.sum()
        self.locator = locator
        self._kernel = Track(
            locator.kernel,
            padded(prior, 0.0),
            padded(steps(prior), 0.0),
            node_db,
            node_weight,
            float(node_db[-1] - node_db[0]) / max(len(node_db) - 1, 1) / np.sqrt(12.0),
            numbers.astype(np.float32),
        )
        self._size = len(node_db) * padded(prior, 0.0).size
        self._max = max_devices
        self._slots: dict[int, int] = {}
        self._spare: list[int] = []
        self._state = np.empty((0, self._size), np.float32)
        self._last_s = np.empty(0)
        self.backwards = 0

    def __len__(self) -> int:
        return len(self._slots)

    def update(
        self,
        device: ArrayLike,
        time_s: ArrayLike,
        rssi_dbm: ArrayLike,
        heard_p: ArrayLike | None = None,
        frames: ArrayLike | None = None,
    ) -> Fixes:
        """Fixes of bursts given their device's earlier ones, whatever the calls they came in.

        device (M,) integers; time_s (M,) finite, any zero; rows in order of time; the rest as in `Locator.fixes`.
        """
        rows, times = self._rows(time_s, rssi_dbm, heard_p, frames)
        devices = np.asarray(device)
        if devices.shape != times.shape or devices.dtype.kind not in "iu":
            raise misshapen("device", devices.shape, f"{times.shape} of integers")
        moments, layers, n_probes = self._columns(len(rows))
        start = 0
        while start < len(rows):
            end, slots = self._place(devices, start)
            part = slice(start, end)
            results = (moments[part], layers[part], n_probes[part])
            self.backwards += self._kernel.forward(self._state, self._last_s, slots, times[part], *rows[part], *results)
            start = end
        return self.locator.columns(moments, layers, n_probes)

    def smooth(
        self,
        visit: ArrayLike,
        time_s: ArrayLike,
        rssi_dbm: ArrayLike,
        heard_p: ArrayLike | None = None,
        frames: ArrayLike | None = None,
    ) -> Fixes:
        """Fixes of bursts given the whole of their visit, before and after; the state of `update` is not touched.

        visit (M,) integers: rows of one visit stand together and in order of time; the rest as in `update`.
        """
        rows, times = self._rows(time_s, rssi_dbm, heard_p, frames)
        visits = np.asarray(visit)
        if visits.shape != times.shape or visits.dtype.kind not in "iu":
            raise misshapen("visit", visits.shape, f"{times.shape} of integers")
        if ((np.diff(times) < 0) & (visits[1:] == visits[:-1])).any():
            raise UsageError("time goes backwards in a visit", where="time_s", next_step="sort by visit, then time")
        starts = np.concatenate(([0], np.flatnonzero(visits[1:] != visits[:-1]) + 1, [len(visits)])).astype(np.int64)
        longest = int(np.diff(starts).max(initial=1))
        length = min(longest, max(STORED_BYTES // (4 * self._size), int(np.ceil(np.sqrt(longest)))))
        stored = np.empty((length, self._size), np.float32)
        kept = np.empty((-(-longest // length), self._size), np.float32)
        moments, layers, n_probes = self._columns(len(rows))
        for part, inside in _parts(starts):
            results = (moments[part], layers[part], n_probes[part])
            self._kernel.smooth(inside, times[part], *rows[part], stored, kept, *results)
        return self.locator.columns(moments, layers, n_probes)

    def forget(self, device: int) -> None:
        """Drop the state of a device, if there is one."""
        slot = self._slots.pop(device, None)
        if slot is not None:
            self._spare.append(slot)

    def _rows(
        self, time_s: ArrayLike, rssi_dbm: ArrayLike, heard_p: ArrayLike | None, frames: ArrayLike | None
    ) -> tuple[Rows, NDArray[np.float64]]:
        rows = Rows(self.locator.n_probes, rssi_dbm, heard_p, frames)
        times = np.ascontiguousarray(time_s, np.float64)
        if times.shape != (len(rows),):
            raise misshapen("time_s", times.shape, f"({len(rows)},)")
        if not np.isfinite(times).all():
            raise UsageError("a time is not finite", where="time_s", next_step="leave such rows out")
        return rows, times

    def _columns(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.uint8]]:
        layers = np.empty((count, 1 + self.locator.n_zones), np.float32)
        return np.empty((count, 5)), layers, np.empty(count, np.uint8)

    def _place(self, devices: NDArray[np.int64], start: int) -> tuple[int, NDArray[np.int32]]:
        """Slots of the rows from `start` on, as far as there are slots: (end of those rows, slots)."""
        part = devices[start : start + PART_ROWS]
        distinct, first, which = np.unique(part, return_index=True, return_inverse=True)
        if len(distinct) > self._max:
            part = part[: np.sort(first)[self._max]]
            distinct, which = np.unique(part, return_inverse=True)
        keys = distinct.tolist()
        for key in keys:
            if key in self._slots:
                self._slots[key] = self._slots.pop(key)
        for key in keys:
            if key not in self._slots:
                self._slots[key] = self._free()
        return start + len(part), np.array([self._slots[key] for key in keys], np.int32)[which]

    def _free(self) -> int:
        """A slot for a new device: a spare one, or that of the device longest silent."""
        if len(self._slots) >= self._max:
            slot = self._slots.pop(next(iter(self._slots)))
        else:
            if not self._spare:
                self._grow()
            slot = self._spare.pop()
        self._last_s[slot] = np.nan
        return slot

    def _grow(self) -> None:
        have = len(self._last_s)
        more = min(max(have, 16), self._max - have)
        self._state = np.concatenate((self._state, np.empty((more, self._size), np.float32)))
        self._last_s = np.concatenate((self._last_s, np.full(more, np.nan)))
        self._spare = list(range(have + more - 1, have - 1, -1))


def _parts(starts: NDArray[np.int64]) -> "Iterator[tuple[slice[int, int, None], NDArray[np.int64]]]":
    """Whole visits of together about PART_ROWS rows: the rows, and where the visits start among them."""
    first = 0
    while first < len(starts) - 1:
        end = max(int(np.searchsorted(starts, starts[first] + PART_ROWS, side="right")) - 1, first + 1)
        yield slice(int(starts[first]), int(starts[end])), starts[first : end + 1] - starts[first]
        first = end


def steps(prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share (4, rows, columns) of each cell that one step moves east, west, north, south (higher row).

    Metropolis steps, so that `prior` is what wandering for ever leads to; 0 into cells without prior.
    """
    moves = np.zeros((4, *prior.shape))
    with np.errstate(divide="ignore", invalid="ignore"):
        east, north = (np.minimum(1.0, prior[:, 1:] / prior[:, :-1]), np.minimum(1.0, prior[1:] / prior[:-1]))
        west, south = (np.minimum(1.0, prior[:, :-1] / prior[:, 1:]), np.minimum(1.0, prior[:-1] / prior[1:]))
    moves[0, :, :-1], moves[1, :, 1:], moves[2, :-1], moves[3, 1:] = east, west, north, south
    return STEP_SHARE * np.nan_to_num(np.where(prior > 0.0, moves, 0.0))
