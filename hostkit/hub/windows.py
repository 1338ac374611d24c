"""The figures of an anonymous site: what is left of each window of a few minutes, which are totals. Knows no visit.

Nobody is told apart for longer than a window (core.calendar.WINDOW_S), so what needs a stay, an arrival or a person of
the day is undefined; how many are there is not. Totals of neighbouring windows are of the same people: the interval of
their mean is the mean of their intervals, as if all erred alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from hostkit.core.bins import CountBin
from hostkit.core.calendar import WINDOW_S
from hostkit.core.count import METHOD, people, undefined
from hostkit.core.inside import SEEN
from hostkit.core.kpi import Kpi, compute
from hostkit.hub.figures import LISTENS_S, LIVE_LAG_S, Figures
from hostkit.model import Coverage, Estimate, Site, Visit

REASON = "privacy.mode anonymous_5min: nobody is told apart for more than five minutes"
UNHEARD = "no probe listened"
_TOLD_LIVE = ("present_last_hour", "arrivals_last_hour", "footfall_today", "dwell_mean_today")
_SPLIT = frozenset({"arrivals_by_hour", "zone_share"})


class WindowFigures(Figures):
    """Keeps one CountBin a window, without the element classes it was counted from."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, bin_s=WINDOW_S)

    def add(self, visits: Sequence[Visit]) -> None:
        """Refuse: a chain of windows gives no visits."""
        assert not visits, "visits in anonymous_5min"

    def count(self, bins: Sequence[CountBin]) -> None:
        """Take counted windows, in order of time, and forget which phone models they saw."""
        nothing = np.empty(0, SEEN)
        super().count([replace(bin_, inside=replace(bin_.inside, seen=nothing, life=0)) for bin_ in bins])

    def closed(self, start_s: int, end_s: int) -> tuple[Kpi, ...]:
        """Compute a closed hour or day."""
        return self.between(start_s, end_s, ())

    def between(self, start_s: float, end_s: float, still_open: Sequence[Visit]) -> tuple[Kpi, ...]:
        """Compute any span of the last days."""
        coverage = self.listening.coverage(start_s, end_s, self.completeness)
        here = self._people_inside(end_s, self.listening.coverage(end_s - LISTENS_S, end_s, self.completeness))
        rest = (kpi for kpi in compute((), self._site, start_s=start_s, end_s=end_s, coverage=coverage))
        return (
            *(_unknown(kpi) for kpi in rest if kpi.id != "occupancy" and kpi.id not in _SPLIT),
            replace(here, id="occupancy"),
            self._present(start_s, end_s, coverage),
        )

    def live(self, at_s: float, still_open: Sequence[Visit]) -> tuple[Kpi, ...]:
        """Compute the shop as it was at `at_s`."""
        now = self.listening.coverage(at_s - LISTENS_S, at_s + LIVE_LAG_S, self.completeness)
        here = self._people_inside(at_s, now)
        nobody = Estimate(value=None, low=None, high=None, method=METHOD)
        told = (Kpi(id=id_, value=nobody, devices=nobody if id_ != "dwell_mean_today" else None, coverage=now)
                for id_ in _TOLD_LIVE)  # fmt: skip
        return (
            replace(here, id="occupancy"),
            here,
            self._present(at_s - 2 * WINDOW_S, at_s, now),
            self._ble_devices(at_s, now),
            *map(_unknown, told),
        )

    def _present(self, start_s: float, end_s: float, coverage: Coverage) -> Kpi:
        """Devices in a window, on average over those that began in the span."""
        known = [bin_.devices for bin_ in self._bins if start_s <= bin_.start_s < end_s]
        devices = _mean(known) if known and coverage.probes_up else undefined(UNHEARD, method=METHOD)
        value = people(devices, self._site.people_per_device)
        return Kpi(id="present_5min", value=value, devices=devices, coverage=coverage)


def _unknown(kpi: Kpi) -> Kpi:
    value = undefined(REASON, method=kpi.value.method)
    return replace(kpi, value=value, devices=kpi.devices and undefined(REASON, method=kpi.devices.method))


def _mean(estimates: Iterable[Estimate]) -> Estimate:
    known = [(one.value, one.low, one.high) for one in estimates if one.value is not None]
    if not known:
        return undefined(UNHEARD, method=METHOD)
    value, low, high = np.array(known, float).mean(axis=0).tolist()
    return Estimate(value=value, low=low, high=high, method=f"{METHOD}, mean of windows")
