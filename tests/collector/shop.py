"""A simulated shop as its hub tells of it: real visits of the real pipeline through the real contract encoder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

import numpy as np

from hostkit.contract.codec import HEALTH, KPI, LIVE, SITE, VISITS, Kind, T, compose, encode
from hostkit.contract.kpivalues import kpi_values
from hostkit.contract.messages import Ack, CalibrationCheck, Clock, Health, KpiBucket, Live, SiteInForce, Visits
from hostkit.contract.topics import Address, topic
from hostkit.contract.visitrows import rows_of_visits
from hostkit.core.kpi import Kpi, compute
from hostkit.core.pipeline import Pipeline
from hostkit.core.rollup import hour_at, hours_touched
from hostkit.core.wire import sightings_from
from hostkit.model import Coverage, Provenance, Site, Visit
from hostkit.sim.till import SALE_COLUMNS, row, sales
from hostkit.sim.world import SimSettings, Simulation, simulate, site_key

BATCH_S = 60.0
ROWS = 50
BOOT = "0b5e55ed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One MQTT message."""

    topic: str
    payload: bytes
    retained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A day of a shop: its visits with the time each became known, and its sales as CSV."""

    site: Site
    start_s: int
    end_s: int
    visits: tuple[tuple[float, Visit], ...]
    sales_csv: str


@cache
def simulated(people: int = 400, hours: float = 9.0, seed: int = 3) -> Shop:
    """Run the simulator and the pipeline; a second for a hundred people."""
    settings = SimSettings(people=people, hours=hours, seed=seed)
    simulation = simulate(replace(settings, site=replace(settings.site, name="Kaufhaus am Markt")))
    start_s = simulation.settings.start_us // 1_000_000
    return Shop(
        site=simulation.settings.site,
        start_s=start_s,
        end_s=start_s + int(hours * 3600),
        visits=tuple(_visits(simulation)),
        sales_csv=_csv(simulation),
    )


def _visits(simulation: Simulation) -> Iterator[tuple[float, Visit]]:
    settings = simulation.settings
    pipeline = Pipeline(settings.site, visit_prefix="s3-")
    key, at_s = site_key(settings.seed), 0.0
    while at_s < settings.duration_s:
        heard = simulation.between(at_s, at_s + BATCH_S)
        frames = simulation.parsed(heard, key)
        each = [sightings_from(frames[heard["probe"] == n], n, 0) for n in range(len(settings.site.probes))]
        pipeline.feed(np.concatenate(each))
        at_s += BATCH_S
        now_us = settings.start_us + int(at_s * 1e6)
        for visit in pipeline.advance(now_us).visits:
            yield now_us / 1e6, visit
    for visit in pipeline.finish().visits:
        yield settings.start_us / 1e6 + settings.duration_s + 60, visit


def _csv(simulation: Simulation) -> str:
    lines = [",".join(SALE_COLUMNS), *(",".join(map(str, row(sale))) for sale in sales(simulation))]
    return "\n".join(lines) + "\n"


class HubVoice:
    """Says what a hub would: numbered, enveloped, checked. `provenance` marks everything."""

    def __init__(
        self, site: Site, *, boot: str = BOOT, provenance: Provenance = Provenance.SIMULATED, node: str = "hub"
    ) -> None:
        self.address = Address(tenant=site.tenant, site=site.site, node=node)
        self._site, self._boot, self._provenance = site, boot, provenance
        self._seq = self._volatile = 0

    def site(self, at_s: float, config_hash: str = "aa") -> Post:
        return self.volatile(SITE, SiteInForce(config_hash=config_hash, site=self._site), "site", at_s)

    def visits(self, visits: Sequence[Visit], at_s: float) -> Post:
        grain_s = self._site.privacy.time_grain_s
        data = Visits(time_grain_s=grain_s, privacy_mode=self._site.privacy.mode, rows=rows_of_visits(visits, grain_s))
        return self.kept(VISITS, data, "visits", at_s)

    def kpis(self, kpis: Sequence[Kpi]) -> tuple[object, ...]:
        return kpi_values(kpis, privacy_mode=self._site.privacy.mode, provenance=self._provenance)

    def hour(self, start_s: int, end_s: int, visits: Sequence[Visit], coverage: Coverage, at_s: float) -> Post:
        kpis = self.kpis(compute(visits, self._site, start_s=start_s, end_s=end_s, coverage=coverage))
        bucket = KpiBucket(grain="hour", start_s=start_s, end_s=end_s, rev=1, kpis=kpis)  # type: ignore[arg-type]
        return self.volatile(KPI, bucket, "kpi/hour", at_s)

    def live(self, kpis: Sequence[Kpi], at_s: float) -> Post:
        return self.volatile(LIVE, Live(at_s=int(at_s), kpis=self.kpis(kpis)), "live", at_s)  # type: ignore[arg-type]

    def health(self, gone: Ack | None, at_s: float, calibration: CalibrationCheck | None = None) -> Post:
        data = Health(
            uptime_s=60, counters={}, drops={}, clock=Clock(synced=True), outbox_gone=gone, calibration=calibration
        )
        return self.volatile(HEALTH, data, "health", at_s)

    def kept(self, kind: Kind[T], data: T, stream: str, at_s: float) -> Post:
        """Number a message as the outbox does."""
        self._seq += 1
        return self._post(kind, data, stream, at_s, (self._boot, self._seq))

    def volatile(self, kind: Kind[T], data: T, stream: str, at_s: float) -> Post:
        """Number a message that is not kept until acked."""
        self._volatile += 1
        return self._post(kind, data, stream, at_s, (f"{self._boot}-v", self._volatile))

    def _post(self, kind: Kind[T], data: T, stream: str, at_s: float, number: tuple[str, int]) -> Post:
        message = compose(
            kind, data, publisher=self.address, at=datetime.fromtimestamp(at_s, UTC), boot=number[0],
            seq=number[1],
            provenance=self._provenance,
        )  # fmt: skip
        where = topic(self.address.tenant, self.address.site, self.address.node, stream)
        return Post(topic=where, payload=encode(kind, message), retained=stream in {"site", "live", "kpi/hour"})


COVERAGE = Coverage(listened_share=0.31, probes_up=4, probes_expected=4, completeness=0.995)


def day(shop: Shop, voice: HubVoice, until_s: float | None = None) -> Iterator[Post]:
    """All the hub of a shop has said by `until_s`, in order: site, visits as they end, hours, live at the end."""
    until_s = until_s or shop.end_s + 60
    yield voice.site(shop.start_s)
    told: list[Visit] = []
    hour = hour_at(shop.start_s, shop.site.time_zone)
    for batch in _batches([known for known in shop.visits if known[0] <= until_s]):
        at_s = batch[-1][0]
        while hour.end_s + 1300 < at_s:
            yield voice.hour(hour.start_s, hour.end_s, told, COVERAGE, at_s)
            hour = hour_at(hour.end_s, shop.site.time_zone)
        told += [visit for _, visit in batch]
        yield voice.visits([visit for _, visit in batch], at_s)
    if until_s > shop.end_s:
        for left in hours_touched(hour.start_s, shop.end_s - 1, shop.site.time_zone):
            yield voice.hour(left.start_s, left.end_s, told, COVERAGE, until_s)
    yield voice.live(live_kpis(shop, until_s), until_s)


def live_kpis(shop: Shop, at_s: float) -> list[Kpi]:
    """What a hub with hindsight would say of `at_s`: occupancy, the last hour, the day."""
    visits = [visit for _, visit in shop.visits]
    last = {k.id: k for k in _compute(shop, visits, at_s - 3600, at_s)}
    today = {k.id: k for k in _compute(shop, visits, shop.start_s, at_s)}
    return [
        last["occupancy"],
        replace(last["visitors"], id="present_last_hour"),
        replace(last["footfall"], id="arrivals_last_hour"),
        replace(today["footfall"], id="footfall_today"),
        replace(today["dwell_mean"], id="dwell_mean_today"),
    ]


def _compute(shop: Shop, visits: Sequence[Visit], start_s: float, end_s: float) -> tuple[Kpi, ...]:
    return compute(visits, shop.site, start_s=start_s, end_s=end_s, coverage=COVERAGE)


def _batches(visits: Sequence[tuple[float, Visit]]) -> Iterator[list[tuple[float, Visit]]]:
    batch: list[tuple[float, Visit]] = []
    for known_s, visit in visits:
        if batch and (known_s - batch[0][0] > BATCH_S or len(batch) == ROWS):
            yield batch
            batch = []
        batch.append((known_s, visit))
    if batch:
        yield batch
