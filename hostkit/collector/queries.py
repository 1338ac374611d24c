"""Answers of the API from the store. Computes no figure: what pages show is what the rollups hold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from hostkit.collector import answers as a
from hostkit.collector.rollups import live_snapshot, origin_of, settle_s, site_in_force, source_prefix
from hostkit.collector.shown import Shown
from hostkit.collector.store import Store
from hostkit.contract import kpi_dictionary
from hostkit.contract.messages import CoverageRow, Health, KpiBucket, KpiValue
from hostkit.contract.topics import HUB
from hostkit.core.rollup import Bucket, Grain, Place, day_of, hours_of
from hostkit.core.stored import Gap
from hostkit.errors import UsageError
from hostkit.model import Probe, Zone

MAX_DAYS = {Grain.HOUR: 31, Grain.DAY: 400}
EARLIEST, LATEST = date(1970, 1, 2), date(2099, 12, 30)  # what the contract can express
NO_DATA = "nothing heard"
DEVICES = "_devices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Local days `first` to `last`, both included."""

    first: date
    last: date


class Queries:
    """Questions about one place at one moment, within one consistent view of the store."""

    def __init__(self, store: Store, place: Place, now_s: int) -> None:
        in_force = site_in_force(store, place)
        if in_force is None:
            raise UsageError(
                "no such place", where=f"{place.tenant}/{place.site}/{place.provenance}", next_step="see /api/v1/places"
            )
        self._store, self._place, self._now_s = store, place, now_s
        self._site = in_force.site
        self._shown = Shown(store, place, self._site)
        self._zone = ZoneInfo(self._site.time_zone)

    @property
    def today(self) -> date:
        """Give the site's local day."""
        return datetime.fromtimestamp(self._now_s, self._zone).date()

    def place(self) -> a.PlaceAnswer:
        """Describe the place."""
        site = self._site
        return a.PlaceAnswer(
            tenant=site.tenant,
            site=site.site,
            provenance=self._place.provenance,
            name=site.name or site.site,
            time_zone=site.time_zone,
            now_s=self._now_s,
            today=self.today.isoformat(),
            privacy_mode=site.privacy.mode,
            floors=tuple(a.FloorDrawn(id=f.id, bounds_m=f.bounds_m, interior_m=f.interior_m) for f in site.floors),
            zones=tuple(map(_zone_drawn, site.zones)),
            probes=tuple(map(_probe_drawn, site.probes)),
        )

    def live(self) -> a.LiveAnswer:
        """Give what the hub last told."""
        live = live_snapshot(self._store, self._place)
        if live is None:
            return a.LiveAnswer(
                provenance=self._place.provenance, at_s=None, at_local=None, age_s=None, coverage=None, figures=()
            )
        return a.LiveAnswer(
            provenance=self._place.provenance,
            at_s=live.at_s,
            at_local=self._local(live.at_s, "%Y-%m-%d %H:%M:%S"),
            age_s=max(0, self._now_s - live.at_s),
            coverage=_covered(live.kpis[0].coverage) if live.kpis else None,
            figures=tuple(map(_figure, live.kpis)),
        )

    def kpis(self, grain: Grain, days: Days) -> a.KpisAnswer:
        """Give every figure of the hours or days in a range."""
        found = tuple(map(self._bucket, self._buckets(grain, days)))
        return a.KpisAnswer(provenance=self._place.provenance, grain=grain, buckets=found)

    def series(self, kpi: str, grain: Grain, days: Days) -> a.SeriesAnswer:
        """Give one figure for each hour or day of a range, in order."""
        definition = kpi_dictionary().get(kpi.removesuffix(DEVICES))
        if definition is None:
            raise UsageError(f"{kpi!a} is no KPI", where="kpi", next_step="see footfall contract show kpi-dictionary")
        found = {bucket.start_s: bucket for bucket in self._buckets(grain, days)}
        points = tuple(self._point(slot, found.get(slot.start_s), kpi) for slot in self._slots(grain, days))
        return a.SeriesAnswer(
            provenance=self._place.provenance,
            kpi=kpi,
            name_en=definition.name_en,
            name_zh=definition.name_zh,
            unit=definition.unit,
            grain=grain,
            points=points,
        )

    def zones(self, day: date) -> a.ZonesAnswer:
        """Give the figures by zone of one day."""
        found = self._buckets(Grain.DAY, Days(first=day, last=day))
        values = [value for bucket in found for value in bucket.kpis if value.split and value.split.zone]
        return a.ZonesAnswer(
            provenance=self._place.provenance,
            day=day.isoformat(),
            zones=tuple(map(_zone_drawn, self._site.zones)),
            figures=tuple(map(_figure, values)),
        )

    def quality(self, day: date) -> a.QualityAnswer:
        """Tell how far the figures of a day can be trusted."""
        bucket = day_of(day, self._site.time_zone)
        held = self._store.held(source_prefix(self._place))
        found = self._buckets(Grain.DAY, Days(first=day, last=day))
        gaps = self._store.gaps(source_prefix(self._place))
        return a.QualityAnswer(
            provenance=self._place.provenance,
            day=day.isoformat(),
            coverage=self._covered_on(day, found),
            completeness=self._shown.arrived(bucket.start_s, bucket.end_s),
            messages_stored=held.stored,
            messages_known=held.known,
            messages_again=held.again,
            error_share=_error_share(found[0].kpis) if found else None,
            quarantined=sum(self._store.quarantined().values()),
            nodes=tuple(self._nodes()),
            gaps=tuple(map(_gap, gaps)),
            calibration_drift=self._drift(),
        )

    def days(self, first: date | None, last: date | None, grain: Grain) -> Days:
        """Check a range; without one it is today. Raises UsageError."""
        days = Days(first=self.day(first or last), last=self.day(last or first))
        if not 0 <= (days.last - days.first).days < MAX_DAYS[grain]:
            raise UsageError(
                "the range is backwards or too long", where="from, to", next_step=f"ask for 1 to {MAX_DAYS[grain]} days"
            )
        return days

    def day(self, day: date | None) -> date:
        """Give today if there is no `day`; raises UsageError for one beyond all data."""
        if day is not None and not EARLIEST <= day <= LATEST:
            raise UsageError("is beyond all data", where=day.isoformat(), next_step="ask for another day")
        return day or self.today

    def _covered_on(self, day: date, found: list[KpiBucket]) -> a.Covered | None:
        """Give how the hub listens now if the day is today, else how it listened then."""
        live = self.live().coverage if day == self.today else None
        return live or (_covered(found[0].kpis[0].coverage) if found and found[0].kpis else None)

    def _drift(self) -> tuple[a.DriftAnswer, ...] | None:
        """Give what the hub's last health says of the calibration."""
        said = self._store.nodes(self._place.tenant, self._place.site)
        body = next((one.body for one in said if (one.node, one.kind) == (HUB, "health")), None)
        check = msgspec.json.decode(body, type=Health).calibration if body else None
        if check is None:
            return None
        return tuple(
            a.DriftAnswer(probe=one.probe, hears_db=one.hears_db, is_heard_db=one.is_heard_db)
            for one in check.calibration_drift
        )

    def _nodes(self) -> Iterator[a.NodeAnswer]:
        """Give the last state of every probe of the site and of whoever else said one."""
        said = {n.node: n for n in self._store.nodes(self._place.tenant, self._place.site) if n.kind == "state"}
        for node in sorted({*said, *(probe.id for probe in self._site.probes)}):
            known = said.get(node)
            yield a.NodeAnswer(
                node=node, state=known.body if known else "unknown", since_s=known.time_s if known else 0
            )

    def _buckets(self, grain: Grain, days: Days) -> list[KpiBucket]:
        start_s, end_s = self._edges(days)
        found = self._store.buckets(self._place, origin_of(self._site), grain, start_s, end_s)
        return [self._shown.bucket(bucket) for bucket in found]

    def _slots(self, grain: Grain, days: Days) -> Iterator[Bucket]:
        for number in range((days.last - days.first).days + 1):
            day = day_of(days.first + timedelta(days=number), self._site.time_zone)
            yield from hours_of(day) if grain is Grain.HOUR else (day,)

    def _edges(self, days: Days) -> tuple[int, int]:
        zone = self._site.time_zone
        return day_of(days.first, zone).start_s, day_of(days.last, zone).end_s

    def _bucket(self, bucket: KpiBucket) -> a.BucketAnswer:
        return a.BucketAnswer(
            start_s=bucket.start_s,
            end_s=bucket.end_s,
            local=self._label(bucket.start_s, Grain(bucket.grain)),
            rev=bucket.rev,
            closed=self._closed(bucket.end_s),
            coverage=_covered(bucket.kpis[0].coverage) if bucket.kpis else None,
            figures=tuple(map(_figure, bucket.kpis)),
        )

    def _point(self, slot: Bucket, bucket: KpiBucket | None, kpi: str) -> a.Point:
        value = next((v for v in bucket.kpis if v.id == kpi and v.split is None), None) if bucket else None
        return a.Point(
            start_s=slot.start_s,
            end_s=slot.end_s,
            local=self._label(slot.start_s, slot.grain),
            closed=self._closed(slot.end_s),
            value=value.value if value else None,
            low=value.low if value else None,
            high=value.high if value else None,
            reason=value.reason if value else NO_DATA,
        )

    def _closed(self, end_s: int) -> bool:
        return end_s + settle_s(self._site) <= self._now_s

    def _label(self, start_s: int, grain: Grain) -> str:
        return self._local(start_s, "%H:%M" if grain is Grain.HOUR else "%Y-%m-%d")

    def _local(self, time_s: int, form: str) -> str:
        return datetime.fromtimestamp(time_s, self._zone).strftime(form)


def places(store: Store, now_s: int) -> tuple[a.PlaceAnswer, ...]:
    """Describe every place whose hub has told its configuration."""
    return tuple(
        Queries(store, place, now_s).place() for place in store.places() if store.snapshot(place, "site") is not None
    )


def quarantine(store: Store) -> a.QuarantineAnswer:
    """Count what could not be used."""
    by_stream = store.quarantined()
    return a.QuarantineAnswer(messages=sum(by_stream.values()), by_stream=by_stream)


def _figure(value: KpiValue) -> a.Figure:
    base = value.id.removesuffix(DEVICES)
    definition = kpi_dictionary().get(base)
    devices = (" (devices)", "（设备）") if base != value.id else ("", "")
    return a.Figure(
        id=value.id,
        name_en=(definition.name_en if definition else value.id) + devices[0],
        name_zh=(definition.name_zh if definition else value.id) + devices[1],
        unit="devices" if devices[0] else definition.unit if definition else "",
        value=value.value,
        low=value.low,
        high=value.high,
        reason=value.reason,
        below=value.below,
        method=value.method,
        version=value.version,
        zone=value.split.zone if value.split else None,
        hour=value.split.hour if value.split else None,
    )


def _gap(gap: Gap) -> a.GapAnswer:
    return a.GapAnswer(
        boot=gap.boot,
        first=gap.first,
        last=gap.last,
        before_s=gap.time_s,
        reason=gap.reason,
        visits=gap.rows,
        since_s=gap.since_s,
    )


def _covered(row: CoverageRow) -> a.Covered:
    return a.Covered(
        listened_share=row.listened_share,
        probes_up=row.probes_up,
        probes_expected=row.probes_expected,
        completeness=row.completeness,
    )


def _error_share(values: Iterable[KpiValue]) -> float | None:
    footfall = next((v for v in values if v.id == "footfall" and v.split is None), None)
    if footfall is None or not footfall.value or footfall.low is None or footfall.high is None:
        return None
    return (footfall.high - footfall.low) / 2 / footfall.value


def _zone_drawn(zone: Zone) -> a.ZoneDrawn:
    return a.ZoneDrawn(id=zone.id, floor=zone.floor, kind=zone.kind, category=zone.category, polygon_m=zone.polygon_m)


def _probe_drawn(probe: Probe) -> a.ProbeDrawn:
    x_m, y_m = (probe.position_m[0], probe.position_m[1]) if probe.position_m else (None, None)
    return a.ProbeDrawn(id=probe.id, floor=probe.floor, x_m=x_m, y_m=y_m)
