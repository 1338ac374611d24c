"""The hub's own figures: live and closed hours, from visits and from when probes listened. Sends and stores nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from hostkit.core.bins import CountBin
from hostkit.core.bleseries import METHOD as BLE_METHOD
from hostkit.core.bleseries import disagree
from hostkit.core.count import undefined
from hostkit.core.inside import METHOD as INSIDE_METHOD
from hostkit.core.inside import Inside, people_inside
from hostkit.core.kpi import Kpi, compute
from hostkit.core.listening import Listening
from hostkit.core.rollup import Bucket, day_at
from hostkit.hub.chain import COUNT_S, Heard
from hostkit.model import Coverage, Estimate, Site, Visit

LIVE_LAG_S = 120.0  # by then a present phone was heard again with P = 0.82; sooner, silence would read as leaving
KEPT_BINS = 36  # six hours of them: what is longer ago says nothing of who is inside now
INSIDE_OLD_S = 1500.0  # a bin that began longer ago is not now
KEPT_S = 2 * 86_400  # today, and hours that late visits may still change
HOUR_S = 3600
LISTENS_S = 300.0  # no batch for longer: no probe listens now


class Figures:
    """Closed visits of the last two days and what is computed from them."""

    def __init__(self, site: Site, visits: Sequence[Visit] = (), *, bin_s: int = COUNT_S) -> None:
        self._site, self._bin_s = site, bin_s
        self._zone = ZoneInfo(site.time_zone)
        self.visits = list(visits)
        self.listening = Listening(site.probes)
        self.completeness: float | None = None
        self.whole_from_s = float("-inf")  # a restart lost the visits before it
        self._bins: list[CountBin] = []
        self._dirty: set[int] = set()  # starts of hours with visits since they were last computed
        self._dirty_days: set[Bucket] = set()

    def reconfigure(self, site: Site) -> None:
        """Compute by another configuration from now on; what is closed stays as it was published."""
        self._site = site
        self.listening.reconfigure(site.probes)

    def add(self, visits: Sequence[Visit]) -> None:
        """Take closed visits; their hours must be computed again."""
        self.visits += visits
        self._dirty |= {int(_middle(visit) // HOUR_S) * HOUR_S for visit in visits}
        self._dirty_days |= {day_at(_middle(visit), self._site.time_zone) for visit in visits}

    def heard(self, heard: Heard) -> None:
        """Take note of when a probe listened; an hour somebody listened to is an hour to publish."""
        self.listening.add(heard.probe, heard.from_us, heard.to_us, heard.listened)
        self._dirty.add(heard.from_us // (HOUR_S * 1_000_000) * HOUR_S)
        self._dirty_days.add(day_at(heard.from_us / 1e6, self._site.time_zone))

    def count(self, bins: Sequence[CountBin]) -> None:
        """Take counted bins, in order of time."""
        self._bins += bins

    def inside(self, until_s: float) -> tuple[tuple[float, Estimate], ...]:
        """People inside on average in each bin that is over by `until_s`, with when it began; silence counts too."""
        rows = self._inside_rows(until_s)
        found = people_inside(rows, self._site.occupancy, bin_s=self._bin_s)
        return tuple((start_s, one) for (start_s, _), one in zip(rows, found, strict=True))

    @property
    def radios_disagree(self) -> bool | None:
        """Tell whether Wi-Fi and BLE count differently, beyond both intervals; None where one of them says nothing."""
        return disagree(
            [(bin_.devices, bin_.ble) for bin_ in self._bins if bin_.ble is not None and bin_.ble is not bin_.devices]
        )

    def due_hours(self, stepped_s: float) -> Iterator[int]:
        """Give starts of the hours to publish: over for so long that their visits have ended, and changed since."""
        over_s = stepped_s - self._site.thresholds.visit_timeout_s - HOUR_S
        for start_s in sorted(start_s for start_s in self._dirty if start_s <= over_s):
            self._dirty.discard(start_s)
            yield start_s

    def due_days(self, stepped_s: float) -> Iterator[Bucket]:
        """Give the local days to publish, as `due_hours` does."""
        over_s = stepped_s - self._site.thresholds.visit_timeout_s
        for day in sorted(day for day in self._dirty_days if day.end_s <= over_s):
            self._dirty_days.discard(day)
            yield day

    def closed(self, start_s: int, end_s: int) -> tuple[Kpi, ...]:
        """Compute a closed hour or day."""
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
            self._people_inside(at_s, now),
            self._ble_devices(at_s, now),
            _named(open_hour, "footfall", "present_last_hour", hour, "no probe listened in the last hour"),
            _named(arrived, "footfall", "arrivals_last_hour", hour, "no probe listened in the last hour"),
            _named(of_day, "footfall", "footfall_today", today, "no probe listened today"),
            _named(of_day, "dwell_mean", "dwell_mean_today", today, "no probe listened today"),
        )

    def forget_before(self, time_s: float) -> None:
        """Drop visits that ended before and when probes listened then."""
        self.visits = [visit for visit in self.visits if visit.end_s.hi >= time_s]
        self._bins = [bin_ for bin_ in self._bins if bin_.end_s >= time_s]
        self.listening.forget_before(time_s)

    def between(self, start_s: float, end_s: float, still_open: Sequence[Visit]) -> tuple[Kpi, ...]:
        """Compute any span of the last days, with the visits that are still open as they stand."""
        coverage = self.listening.coverage(start_s, end_s, self.completeness)
        visits = [v for v in (*self.visits, *still_open) if v.start_s.lo < end_s and v.end_s.hi >= start_s]
        return compute(visits, self._site, start_s=start_s, end_s=end_s, coverage=coverage)

    def _inside_rows(self, until_s: float) -> list[tuple[float, Inside]]:
        rows = {bin_.start_s: bin_.inside for bin_ in self._bins}
        bin_s = self._bin_s
        silent = set(range(int(min(rows)), int(until_s) - bin_s + 1, bin_s)) - rows.keys() if rows else set()
        for start_s in silent:
            coverage = self.listening.coverage(start_s, start_s + bin_s, None)
            if coverage.probes_up:
                rows[float(start_s)] = Inside(devices=0.0, variance=0.0, listened_s=float(bin_s))
        return sorted(rows.items())

    def _people_inside(self, at_s: float, coverage: Coverage) -> Kpi:
        """Those of the last bin, as core.inside counts them from it and the ones before."""
        rows = [row for row in self._inside_rows(at_s) if row[0] < at_s][-KEPT_BINS:]
        if not rows or rows[-1][0] < at_s - INSIDE_OLD_S or not coverage.probes_up:
            none = undefined("no ten minutes were listened to yet", method=INSIDE_METHOD)
            return Kpi(id="people_inside", value=none, devices=none, coverage=coverage)
        people, devices = (
            people_inside(rows, site, bin_s=self._bin_s)[-1]
            for site in (self._site.occupancy, replace(self._site.occupancy, people_per_device=1.0, log_sd=0.0))
        )
        return Kpi(id="people_inside", value=people, devices=devices, coverage=coverage)

    def _ble_devices(self, at_s: float, coverage: Coverage) -> Kpi:
        last = self._bins[-1] if self._bins and self._bins[-1].start_s >= at_s - INSIDE_OLD_S else None
        value = last.ble if last and last.ble else undefined("nothing heard over BLE", method=BLE_METHOD)
        return Kpi(id="ble_devices", value=value, coverage=coverage)

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
