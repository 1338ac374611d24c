"""Buckets as they leave the store: small cells hidden, completeness as it is known by now."""

from msgspec.structs import replace

from hostkit.collector.rollups import settle_s, source_prefix
from hostkit.collector.store import Store
from hostkit.contract.kpivalues import suppress
from hostkit.contract.messages import KpiBucket, KpiValue
from hostkit.core.rollup import Place
from hostkit.core.stored import Gap
from hostkit.model import Provenance, Site

MAX_GAPS = 1000


class Shown:
    """Shows the buckets of one place within one view of the store."""

    def __init__(self, store: Store, place: Place, site: Site) -> None:
        self._store, self._place, self._site = store, place, site
        self._prefix = source_prefix(place)
        self._held = store.held(self._prefix)
        whole = self._held.stored == self._held.known
        self._gaps = () if whole else tuple(store.gaps(self._prefix, MAX_GAPS))

    def bucket(self, bucket: KpiBucket) -> KpiBucket:
        """Hide small cells of a live place's hours, where zone crosses hour; replay and demo are local, nothing hidden.

        Completeness is that of the hub's hearing times that of its messages.
        """
        arrived = self.arrived(bucket.start_s, bucket.end_s)
        kpis = tuple(_completed(value, arrived) for value in bucket.kpis)
        if self._place.provenance is Provenance.LIVE and bucket.grain == "hour":
            kpis = suppress(kpis, self._site.privacy.k)
        return replace(bucket, kpis=kpis)

    def arrived(self, start_s: int, end_s: int) -> float | None:
        """Give the share of a bucket's messages that is here; None before any hub spoke."""
        if not self._gaps:
            return self._held.completeness
        end_s += settle_s(self._site)
        lost = sum(_lost(gap, start_s, end_s) for gap in self._gaps)
        here = self._store.arrived(self._prefix, start_s, end_s)
        return here / (here + lost) if here + lost else None


def _lost(gap: Gap, start_s: int, end_s: int) -> float:
    """Share a gap's messages out: evenly over its time if the hub told it, else to when the next one came."""
    messages = gap.last - gap.first + 1
    if gap.since_s is None or gap.since_s >= gap.time_s:
        return messages if start_s <= gap.time_s < end_s else 0
    return messages * max(0, min(end_s, gap.time_s) - max(start_s, gap.since_s)) / (gap.time_s - gap.since_s)


def _completed(value: KpiValue, arrived: float | None) -> KpiValue:
    heard = value.coverage.completeness
    both = arrived if heard is None or arrived is None else heard * arrived
    return replace(value, coverage=replace(value.coverage, completeness=both))
