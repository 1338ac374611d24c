"""When probes listened, on which channels: coverage, and the share of scans they can have heard. Knows no sighting."""

from collections import defaultdict
from collections.abc import Sequence

from hostkit.core.heard import LEAST_SHARE, REACH, heard_by_any, scan_share
from hostkit.model import Coverage, Probe

MINUTE_US = 60_000_000
BLE = 0  # in place of a Wi-Fi channel: the BLE radio, channels 37 to 39 in turn

ByChannel = tuple[tuple[int, float], ...]  # channel, milliseconds


class Listening:
    """Listened milliseconds by minute, probe and channel; of these probes, in order."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._probes = tuple(probes)
        self._minutes: dict[int, dict[tuple[int, int], float]] = {}

    def reconfigure(self, probes: Sequence[Probe]) -> None:
        """Take the same probes as they are set from now on."""
        self._probes = tuple(probes)

    def add(self, probe: int, from_us: int, to_us: int, listened: ByChannel) -> None:
        """Spread what the probe of this index listened evenly over the span."""
        span_us = max(to_us - from_us, 1)
        for minute in range(from_us // MINUTE_US, (to_us - 1) // MINUTE_US + 1):
            inside_us = min(to_us, (minute + 1) * MINUTE_US) - max(from_us, minute * MINUTE_US)
            cells = self._minutes.setdefault(minute, {})
            for channel, ms in listened:
                cells[probe, channel] = cells.get((probe, channel), 0.0) + ms * inside_us / span_us

    def coverage(self, start_s: float, end_s: float, completeness: float | None) -> Coverage:
        """Sum up Wi-Fi in the minutes of [start_s, end_s)."""
        first, last = int(start_s // 60), max(int(-(-end_s // 60)), int(start_s // 60) + 1)
        by_probe = {probe: sum(ms for channel, ms in of.items() if channel != BLE) for probe, of in
                    self._between(first, last).items()}  # fmt: skip
        whole_ms = (last - first) * 60_000 * len(self._probes)
        return Coverage(
            listened_share=min(sum(by_probe.values()) / whole_ms, 1.0) if whole_ms else None,
            probes_up=sum(1 for ms in by_probe.values() if ms > 0),
            probes_expected=len(self._probes),
            completeness=completeness,
        )

    def heard_share(self, start_us: int, end_us: int, reach: float = REACH) -> float | None:
        """Share of Wi-Fi scans sent in [start_us, end_us) that any probe can have heard; None if none was told of.

        `reach`: P(a probe hears one on a channel it listens to), 1 for those sent beside it.
        """
        if not self._minutes:
            return None
        whole_ms = max(end_us - start_us, 1) / 1000
        between = self._between(start_us // MINUTE_US, -(-end_us // MINUTE_US))
        shares = [
            scan_share({channel: min(ms / whole_ms, 1.0) for channel, ms in of.items() if channel != BLE}, dwell_s)
            for probe, of in between.items()
            if (dwell_s := self._dwell_s(probe)) > 0
        ]
        return max(heard_by_any(shares, reach), LEAST_SHARE)

    def ble_share(self, start_us: int, end_us: int) -> float:
        """Share of [start_us, end_us) in which BLE was listened to by the probe that did most."""
        between = self._between(start_us // MINUTE_US, -(-end_us // MINUTE_US))
        most_ms = max((of.get(BLE, 0.0) for of in between.values()), default=0.0)
        return min(most_ms / (max(end_us - start_us, 1) / 1000), 1.0)

    def planned_share(self) -> float:
        """As `heard_share` where every probe keeps to its plan all the time; 1 for a site without probes."""
        plans = [
            scan_share(dict.fromkeys(probe.channels, 1 / len(probe.channels)), probe.dwell_ms / 1000)
            for probe in self._probes
            if probe.channels
        ]
        return heard_by_any(plans) if plans else 1.0

    def forget_before(self, time_s: float) -> None:
        """Drop older minutes."""
        for minute in [minute for minute in self._minutes if minute < time_s // 60]:
            del self._minutes[minute]

    def _dwell_s(self, probe: int) -> float:
        return self._probes[probe].dwell_ms / 1000 if probe < len(self._probes) else 1.0

    def _between(self, first: int, last: int) -> dict[int, dict[int, float]]:
        found: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for minute in range(first, last):
            for (probe, channel), ms in self._minutes.get(minute, {}).items():
                found[probe][channel] += ms
        return found
