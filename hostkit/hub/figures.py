"""The hub's own figures: live and closed hours, from visits and from when probes listened. Sends and stores nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from hostkit.core.count import undefined
from hostkit.core.kpi import Kpi, compute
from hostkit.core.listening import Listening
from hostkit.hub.chain import Heard
from hostkit.model import Coverage, Site, Visit

LIVE_LAG_S = 120.0  # by then a present phone was heard again with P = 0.82; sooner, silence would read as leaving
KEPT_S = 2 * 86_400  # today, and hours that late visits may still change
HOUR_S = 3600
LISTENS_S = 300.0  # no batch for longer: no probe listens now


class Figures:
    """Closed visits of the last two days and what is computed from them."""

    def __init__(self, site: Site, visits: Sequence[Visit] = ()) -> None:
        self._site = site
        self._zone = ZoneInfo(site.time_zone)
        self.visits = list(visits)
        self.listening = Listening(site.probes)
        self.completeness: float | None = None
        self._dirty: set[int] = set()  # starts of hours with visits since they were last computed

    def add(self, visits: Sequence[Visit]) -> None:
        """Take closed visits; their hours must be computed again."""
        self.visits += visits
        self._dirty |= {int(_middle(visit) // HOUR_S) * HOUR_S for visit in visits}

    def heard(self, heard: Heard) -> None:
        """Take note of when a probe listened; an hour somebody listened to is an hour to publish."""
        self.listening.add(heard.probe, heard.from_us, heard.to_us, heard.listened)
        self._dirty.add(heard.from_us // (HOUR_S * 1_000_000) * HOUR_S)

    def due_hours(self, stepped_s: float) -> Iterator[int]:
        """Give starts of the hours to publish: over for so long that their visits have ended, and changed since."""
        over_s = stepped_s - self._site.thresholds.visit_timeout_s - HOUR_S
        for start_s in sorted(start_s for start_s in self._dirty if start_s <= over_s):
            self._dirty.discard(start_s)
            yield start_s

    def hour(self, start_s: int) -> tuple[Kpi, ...]:
        """Compute a closed hour."""
        end_s = start_s + HOUR_S
        coverage = self.listening.coverage(start_s, end_s, self.completeness)
        near = [v for v in self.visits if v.start_s.lo < end_s and v.end_s.hi >= start_s]
        return compute(near, self._site, start_s=start_s, end_s=end_s, coverage=coverage)

    def live(self, at_s: float, still_open: Sequence[Visit]) -> tuple[Kpi, ...]:
        """Compute the shop as it was at `at_s`, of which the hub has heard `LIVE_LAG_S` more."""
        day_s = self._day_began_s(at_s)
        visits = [v for v in (*self.visits, *still_open) if v.end_s.hi >= min(day_s, at_s - HOUR_S)]
        hour = self.listening.coverage(at_s - HOUR_S, at_s, self.completeness)
        today = self.listening.coverage(day_s, at_s, self.completeness)
        now = self.listening.coverage(at_s - LISTENS_S, at_s + LIVE_LAG_S, self.completeness)
        present = [v for v in visits if v.end_s.hi >= at_s - HOUR_S and v.start_s.lo <= at_s]
        of_day = compute(visits, self._site, start_s=day_s, end_s=at_s, coverage=today)
        arrived = compute(visits, self._site, start_s=at_s - HOUR_S, end_s=at_s, coverage=hour)
        open_hour = compute(present, self._site, start_s=0, end_s=at_s, coverage=hour)
        return (
            _named(of_day, "occupancy", "occupancy", now, "no probe listens now"),
            _named(open_hour, "footfall", "present_last_hour", hour, "no probe listened in the last hour"),
            _named(arrived, "footfall", "arrivals_last_hour", hour, "no probe listened in the last hour"),
            _named(of_day, "footfall", "footfall_today", today, "no probe listened today"),
            _named(of_day, "dwell_mean", "dwell_mean_today", today, "no probe listened today"),
        )

    def forget_before(self, time_s: float) -> None:
        """Drop visits that ended before and when probes listened then."""
        self.visits = [visit for visit in self.visits if visit.end_s.hi >= time_s]
        self.listening.forget_before(time_s)

    def _day_began_s(self, at_s: float) -> float:
        local = datetime.fromtimestamp(at_s, self._zone)
        return datetime(local.year, local.month, local.day, tzinfo=self._zone).timestamp()


def _named(kpis: Sequence[Kpi], source: str, id_: str, coverage: Coverage, reason: str) -> Kpi:
    """Give `source` as figure `id_`, undefined where no probe listened."""
    kpi = next(kpi for kpi in kpis if kpi.id == source)
    if coverage.probes_up:
        return replace(kpi, id=id_, coverage=coverage)
    value = undefined(reason, method=kpi.value.method)
    devices = undefined(reason, method=kpi.devices.method) if kpi.devices else None
    return replace(kpi, id=id_, value=value, devices=devices, coverage=coverage)


def _middle(visit: Visit) -> float:
    return (visit.start_s.lo + visit.start_s.hi) / 2
