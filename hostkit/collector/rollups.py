"""Dirty hours to figures: the hour and its day computed anew from visits and sales, by the core the hub uses too."""

from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from hostkit.collector.store import Store
from hostkit.contract.kpivalues import kpi_values
from hostkit.contract.messages import CoverageRow, KpiBucket, Live, SiteInForce
from hostkit.contract.visitrows import visit_of_row
from hostkit.core.kpi import compute
from hostkit.core.rollup import Bucket, Grain, Origin, Place, day_at, hour_at
from hostkit.core.sales import Sale, compute_sales
from hostkit.model import Coverage, Site, Visit

BATCH_HOURS = 48  # of one transaction
# A visit is known when its device was silent for the visit timeout and the hub sent it, within a minute.
REPORT_DELAY_S = 120
_site = msgspec.json.Decoder(SiteInForce)
_live = msgspec.json.Decoder(Live)


def site_in_force(store: Store, place: Place) -> SiteInForce | None:
    """Give the newest configuration the hub told us."""
    body = store.snapshot(place, "site")
    return _site.decode(body) if body is not None else None


def live_snapshot(store: Store, place: Place) -> Live | None:
    """Give the newest live figures."""
    body = store.snapshot(place, "live")
    return _live.decode(body) if body is not None else None


def settle_s(site: Site) -> int:
    """Give how long after a bucket's end its visits are known."""
    return int(site.thresholds.visit_timeout_s) + REPORT_DELAY_S


def rebuild(store: Store, *, limit: int = BATCH_HOURS) -> int:
    """Compute dirty hours and their days anew in one transaction; gives how many hours."""
    with store.writing():
        dirty = store.dirty(limit)
        for place, hours in groupby(dirty, key=lambda one: one.place):
            _rebuild_place(store, place, [one.hour_s for one in hours])
        store.clean(dirty)
    return len(dirty)


def origin_of(site: Site) -> Origin:
    """Give whose buckets count: no visit leaves a site that is anonymous, so there the hub's are the source."""
    return Origin.HUB if site.privacy.anonymous else Origin.COLLECTOR


def _rebuild_place(store: Store, place: Place, hours_s: Sequence[int]) -> None:
    in_force = site_in_force(store, place)
    if in_force is None or origin_of(in_force.site) is Origin.HUB:
        return
    site = in_force.site
    hours = [hour_at(hour_s, site.time_zone) for hour_s in hours_s]
    for bucket in hours:
        _put(store, place, site, bucket, _told(store, place, bucket))
    for day in sorted({day_at(hour.start_s, site.time_zone) for hour in hours}):
        _put(store, place, site, day, _told(store, place, day))


def _told(store: Store, place: Place, bucket: Bucket) -> list[CoverageRow]:
    """Give what the hub said of the hours within a bucket: how it listened."""
    told = store.buckets(place, Origin.HUB, Grain.HOUR, bucket.start_s, bucket.end_s)
    return [one.kpis[0].coverage for one in told if one.kpis]


def _put(store: Store, place: Place, site: Site, bucket: Bucket, told: list[CoverageRow]) -> None:
    """Compute one bucket. Where no probe is known to have listened there is no figure, rather than a zero."""
    visits = [visit_of_row(row) for row in store.visits(place, bucket.start_s, bucket.end_s)]
    sales = _sales(store, place, site, bucket)
    heard = any(_began(visit) < bucket.end_s for visit in visits) or any(row.probes_up for row in told)
    if not (heard or told or sales or store.buckets(place, Origin.COLLECTOR, bucket.grain, *_just(bucket))):
        return
    coverage = _coverage(told, site, heard=heard)
    kpis = compute(visits, site, start_s=bucket.start_s, end_s=bucket.end_s, coverage=coverage)
    kpis += compute_sales(sales, kpis, coverage)
    values = kpi_values(kpis, privacy_mode=site.privacy.mode, provenance=place.provenance)
    made = KpiBucket(grain=bucket.grain.value, start_s=bucket.start_s, end_s=bucket.end_s, rev=0, kpis=values)
    store.put_bucket(place, Origin.COLLECTOR, made)


def _began(visit: Visit) -> float:
    return (visit.start_s.lo + visit.start_s.hi) / 2


def _just(bucket: Bucket) -> tuple[int, int]:
    return bucket.start_s, bucket.start_s + 1


def _sales(store: Store, place: Place, site: Site, bucket: Bucket) -> list[Sale] | None:
    """Give the receipts of a bucket; None if none were delivered for its whole day."""
    day = day_at(bucket.start_s, site.time_zone)
    delivered = store.sales(place, day.start_s, day.end_s)
    return [sale for sale in delivered if bucket.start_s <= sale.sold_s < bucket.end_s] if delivered else None


def _coverage(told: Sequence[CoverageRow], site: Site, *, heard: bool) -> Coverage:
    """Join hours: mean listened share, fewest probes; while the hub has told nothing, one probe heard what was heard.

    Whether all messages arrived is told when the bucket is shown.
    """
    return Coverage(
        listened_share=_mean(row.listened_share for row in told),
        probes_up=min((row.probes_up for row in told if row.probes_up or not heard), default=int(heard)),
        probes_expected=len(site.probes),
        completeness=_mean(row.completeness for row in told),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def source_prefix(place: Place) -> str:
    """Give what the sources of a site begin with."""
    return f"/{place.tenant}/{place.site}/"
