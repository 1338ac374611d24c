"""Other people's ways to count, by name, so that ours can be compared. They state no error, so none is given."""

from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hostkit.core.wire import Flag
from hostkit.model import Estimate

LOUD_DBM = -70
SLOT_US = 300_000_000  # the CDRC interval
DWELL_SLOTS = 6  # heard in an earlier interval of the last half hour: a long dweller
MAX_KEYS = 1 << 20  # of one bin or one half hour; more are not told apart
NO_INTERVAL = "this method states no error"


class Method(StrEnum):
    """How the devices of a bin are counted."""

    TRACKS = "tracks"  # the product's own: core.count
    ADDRESSES = "addresses"  # every address is a device
    LOUD_ADDRESSES = "loud-addresses"  # every address heard louder than -70 dBm is one
    CHAPMAN = "chapman"  # capture and recapture between two halves of the probes: core.count.chapman
    CDRC = "cdrc"  # the recipe of the Consumer Data Research Centre: see `Cdrc`


class Recipe(Protocol):
    """Counts from sightings alone, fixed devices left out; bins are asked for in order of time."""

    def add(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,), N > 0."""

    def count(self, start_us: int, end_us: int) -> Estimate:
        """Count [start_us, end_us); what lies before may be forgotten."""


def recipe(method: Method, bin_us: int) -> Recipe | None:
    """Make the recipe of a method for bins of `bin_us` aligned to the epoch; None for those that count tracks."""
    match method:
        case Method.TRACKS | Method.CHAPMAN:
            return None
        case Method.ADDRESSES:
            return Addresses(method, bin_us)
        case Method.LOUD_ADDRESSES:
            return Addresses(method, bin_us, LOUD_DBM)
        case Method.CDRC:
            return Cdrc()


class Addresses:
    """Distinct addresses of a bin, those heard louder than `above_dbm`."""

    def __init__(self, method: Method, bin_us: int, above_dbm: int = -128) -> None:
        self._method = method
        self._bin_us = bin_us
        self._above_dbm = above_dbm
        self._keys: dict[int, NDArray[np.uint64]] = {}

    def add(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,)."""
        loud = sightings[sightings["rssi_dbm"] > self._above_dbm]
        numbers = loud["time_us"] // self._bin_us
        for number in np.unique(numbers).tolist():
            known = self._keys.get(number, np.empty(0, np.uint64))
            self._keys[number] = np.union1d(known, loud["device_key"][numbers == number])[:MAX_KEYS]

    def count(self, start_us: int, end_us: int) -> Estimate:
        """Count the bin that holds `start_us`."""
        number = start_us // self._bin_us
        for older in [one for one in self._keys if one < number]:
            del self._keys[older]
        return _exact(len(self._keys.pop(number, ())), self._method)


class Cdrc:
    """The CDRC recipe of the SmartStreetSensor footfall data, steps b to e (data.cdrc.ac.uk; Soundararaj et al. 2019).

    Per five minutes: distinct global addresses not heard in an earlier interval of the last half hour; requests from
    randomised addresses count in the same ratio as those did to the requests from global ones. A bin is the sum.
    """

    def __init__(self) -> None:
        self._slots: dict[int, tuple[list[NDArray[np.uint64]], list[int]]] = {}  # keys, global and random requests

    def add(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,)."""
        for slot in np.unique(_slot(sightings)).tolist():
            rows = sightings[_slot(sightings) == slot]
            randomised = (rows["flags"] & Flag.RANDOMISED) != 0
            keys, requests = self._slots.setdefault(slot, ([], [0, 0]))
            if sum(map(len, keys)) < MAX_KEYS:
                keys.append(np.unique(rows["device_key"][~randomised]))
            requests[0] += int((~randomised).sum())
            requests[1] += int(randomised.sum())

    def count(self, start_us: int, end_us: int) -> Estimate:
        """Count [start_us, end_us); bins are of whole intervals but where the key rotated."""
        total = 0.0
        for slot in range(start_us // SLOT_US, end_us // SLOT_US):
            if slot in self._slots:
                filtered, requests = len(self._new(slot)), self._slots[slot][1]
                total += filtered + (requests[1] * filtered / requests[0] if requests[0] else 0.0)
        for slot in [slot for slot in self._slots if slot < end_us // SLOT_US - DWELL_SLOTS]:
            del self._slots[slot]
        return _exact(total, Method.CDRC)

    def _new(self, slot: int) -> NDArray[np.uint64]:
        before = [key for one in range(slot - DWELL_SLOTS, slot) for key in self._slots.get(one, ([], []))[0]]
        return np.setdiff1d(np.concatenate(self._slots[slot][0]), np.concatenate([np.empty(0, np.uint64), *before]))


def _slot(sightings: NDArray[np.void]) -> NDArray[np.int64]:
    return np.asarray(sightings["time_us"] // SLOT_US, np.int64)


def _exact(value: float, method: Method) -> Estimate:
    return Estimate(value=float(value), low=None, high=None, method=method, reason=NO_INTERVAL)
