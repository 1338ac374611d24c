"""Which phone models a site has met: a register of element fingerprints, so that new systems are noticed.

Association never outlives the key, and this is none: a fingerprint names a model and its system, not a phone, is kept
only once `LEAST_DEVICES` devices showed it within one hour, and is kept with the days it was met and nothing else.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from hostkit.core.dot11 import FINGERPRINT_VERSION

LEAST_DEVICES = 5
MAX_CLASSES = 4096  # 30 bytes each; beyond, the one not met for longest goes
KEEP_DAYS = 400
MAX_PAIRS = 1 << 20  # of fingerprint and address within one hour: 12 MB
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


class _Stored(msgspec.Struct, frozen=True):
    element_table: int
    classes: list[tuple[int, int, int]]  # fingerprint, first day and last day since 1970


class ClassRegister:
    """Fingerprints met at a site with the first and the last day. `changed` until it was written by `dump`."""

    def __init__(self) -> None:
        self._days: dict[int, tuple[int, int]] = {}
        self.changed = False

    def __len__(self) -> int:
        return len(self._days)

    def learn(self, fingerprints: Iterable[int], day: int) -> None:
        """Take fingerprints as met on `day`; the caller has seen to it that enough devices showed each."""
        for fingerprint in fingerprints:
            first, last = self._days.pop(fingerprint, (day, -1))
            self._days[fingerprint] = (min(first, day), max(last, day))
            self.changed = self.changed or last < day
        kept = sorted(
            (item for item in self._days.items() if item[1][1] > day - KEEP_DAYS), key=lambda item: item[1][1]
        )
        self._days = dict(kept[-MAX_CLASSES:])

    def knows(self, day: int) -> set[int] | None:
        """Give the fingerprints met before `day`; None before there was such a day."""
        return {name for name, (first, _) in self._days.items() if first < day} or None

    def merge(self, other: "ClassRegister") -> None:
        """Take what another register knows, as after a restore."""
        for name, (first, last) in other._days.items():
            mine = self._days.get(name, (first, last))
            self._days[name] = (min(first, mine[0]), max(last, mine[1]))
        self.learn((), max((last for _, last in self._days.values()), default=0))
        self.changed = True

    def dump(self) -> str:
        """Write everything as JSON."""
        self.changed = False
        rows = [(name, first, last) for name, (first, last) in self._days.items()]
        return msgspec.json.encode(_Stored(FINGERPRINT_VERSION, rows)).decode()

    @classmethod
    def load(cls, text: str | None) -> "ClassRegister":
        """Read what `dump` wrote. Nothing, damage and fingerprints of another element table make an empty register."""
        register = cls()
        try:
            stored = msgspec.json.decode(text or "", type=_Stored)
        except msgspec.DecodeError:
            return register
        if stored.element_table == FINGERPRINT_VERSION:
            for name, first, last in stored.classes[-MAX_CLASSES:]:
                register._days[name] = (first, last)
        return register


class ClassWatch:
    """Devices by fingerprint, hour by hour, within one life of the key."""

    def __init__(self) -> None:
        self._pairs: list[NDArray[np.void]] = []
        self._count = 0
        self._hour: int | None = None
        self.unknown_share: float | None = None  # of the devices of the last hour that is over; None: not known

    def add(self, sightings: NDArray[np.void]) -> None:
        """Take SIGHTING rows (N,)."""
        room = MAX_PAIRS - self._count
        pairs = np.unique(sightings[["device_key", "fingerprint"]])[: max(room, 0)]
        self._pairs.append(pairs)
        self._count += len(pairs)

    def advance(
        self, now_us: int, register: ClassRegister, devices_of: Callable[[NDArray[np.uint64]], NDArray[np.int64]]
    ) -> None:
        """At the end of an hour learn its classes and tell the share of devices whose class was not known before today.

        `devices_of` gives the device of each address (N,), -1 for none that was heard again.
        """
        hour = now_us // HOUR_US
        if self._hour is None or hour == self._hour:
            self._hour = hour
            return
        day = (self._hour * HOUR_US) // DAY_US
        self._hour = hour
        shown = self._shown(devices_of)
        self.unknown_share = _unknown_share(shown, register.knows(day))
        register.learn((name for name, devices in shown.items() if len(devices) >= LEAST_DEVICES), day)

    def _shown(self, devices_of: Callable[[NDArray[np.uint64]], NDArray[np.int64]]) -> dict[int, set[int]]:
        """Devices by fingerprint since the last call."""
        pairs = (
            np.concatenate(self._pairs) if self._pairs else np.empty(0, [("device_key", "u8"), ("fingerprint", "u4")])
        )
        self._pairs, self._count = [], 0
        device = devices_of(np.ascontiguousarray(pairs["device_key"]))
        shown: dict[int, set[int]] = {}
        for name, number in zip(pairs["fingerprint"][device >= 0].tolist(), device[device >= 0].tolist(), strict=True):
            shown.setdefault(name, set()).add(number)
        return shown


def _unknown_share(shown: dict[int, set[int]], known: set[int] | None) -> float | None:
    """Share of devices none of whose fingerprints is known; None where too few devices or days say anything."""
    devices = set().union(*shown.values()) if shown else set()
    if known is None or len(devices) < LEAST_DEVICES:
        return None
    recognised = set().union(*(numbers for name, numbers in shown.items() if name in known))
    return len(devices - recognised) / len(devices)
