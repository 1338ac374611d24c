"""What the hub tells of itself and the shop: introduction, live figures, hours, health. Knows no batch and no key."""

import platform
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec

from hostkit import __version__
from hostkit.contract.codec import HEALTH, INFO, KPI, LIVE, SITE
from hostkit.contract.homeassistant import discovery, discovery_topic
from hostkit.contract.kpivalues import kpi_values, suppress
from hostkit.contract.messages import MOST_SECONDS, Ack, Flood, Health, Info, KpiBucket, KpiValue, Live, SiteInForce
from hostkit.core.flood import Flood as FloodTotals
from hostkit.core.flood import nearest_probe
from hostkit.core.kpi import Kpi
from hostkit.core.rollup import Grain, day_of
from hostkit.core.wire import READABLE_VERSIONS
from hostkit.errors import UsageError
from hostkit.hub.anchors import Anchors
from hostkit.hub.clocks import probe_clocks
from hostkit.hub.figures import HOUR_S, KEPT_S, LIVE_LAG_S
from hostkit.hub.intake import Intake
from hostkit.hub.keeper import Keeper
from hostkit.hub.pace import Timers
from hostkit.hub.uplink import Uplink
from hostkit.hub.voice import NODE, Voice
from hostkit.identity.client import days_left
from hostkit.io.mqtt import Client
from hostkit.io.outbox import Bucket, Outbox
from hostkit.model import Provenance, Radio, Site

LIVE_S, LIVE_REST_S = 10.0, 0.5
HEALTH_S, HEALTH_REST_S = 30.0, 1.0
FLOOD_OVER_S = 120.0


class Speaker:
    """Speaks through `links`: the site broker's and, where there is another, the uplink's. `began_s` is monotonic."""

    def __init__(
        self,
        *,
        voice: Voice,
        outbox: Outbox,
        intake: Intake,
        keeper: Keeper,
        uplink: Uplink,
        anchors: Anchors,
        links: tuple[Client, ...],
        data: Path,
        began_s: float,
        certificates: tuple[Path, ...] = (),
        former: tuple[str, ...] = (),
        calibration_id: Callable[[], str | None],
    ) -> None:
        self._voice, self._outbox, self._intake = voice, outbox, intake
        self._keeper, self._uplink, self._anchors, self._links = keeper, uplink, anchors, links
        self._data, self._began_s, self._certificates = data, began_s, certificates
        self._former, self._calibration_id = former, calibration_id
        self._timers = Timers()
        self._said_info: tuple[object, ...] = ()

    def afresh(self) -> None:
        """Say everything again: a broker is new, or who listens has just started."""
        self._said_info = ()
        self._timers.clear()

    def speak(
        self, now_s: float, at_s: float, key_id: int | None, drops: dict[str, int], counters: dict[str, int]
    ) -> None:
        """Say what is due; `drops` and `counters` are the service's own."""
        self._introduce(at_s, key_id)
        if self._timers.due("live", now_s, at_s, every_s=LIVE_S, rest_s=LIVE_REST_S):
            self._say_live()
        if self._timers.due("health", now_s, at_s, every_s=HEALTH_S, rest_s=HEALTH_REST_S):
            payload = self._voice.payload(HEALTH, self._health(now_s, at_s, drops, counters), at_s)
            for client in self._links:
                client.publish(self._voice.topic("health"), payload, qos=0)

    def close_hours(self, stepped_s: float, at_s: float) -> bool:
        """Put hours and days that are over and changed into the outbox, as the next `rev`; tell whether any were."""
        stored = False
        figures = self._keeper.figures
        figures.completeness = self._completeness()
        for start_s in list(figures.due_hours(stepped_s)):
            stored |= self._close(Grain.HOUR, start_s, start_s + HOUR_S, at_s)
        for day in list(figures.due_days(stepped_s)):
            stored |= self._close(Grain.DAY, day.start_s, day.end_s, at_s)
        return stored

    def recompute(self, day: str, at_s: float) -> int:
        """Compute a local day and its hours again, as far as they are published; give how many have a new `rev`.

        Raises UsageError for what is no day, or one whose visits the hub no longer has.
        """
        figures, zone = self._keeper.figures, self._voice.site.time_zone
        try:
            span = day_of(date.fromisoformat(day), zone)
        except (ValueError, OverflowError) as error:
            raise UsageError("is no day", where=f"day {day}", next_step="give one like 2026-03-14") from error
        if span.start_s < at_s - KEPT_S:
            step = "give yesterday or today: they are kept for two days"
            raise UsageError("its visits are no longer here", where=f"day {day}", next_step=step)
        starts = [at for at in range(span.start_s // HOUR_S * HOUR_S, span.end_s, HOUR_S) if at >= span.start_s]
        figures.completeness = self._completeness()
        done = [self._close(Grain.HOUR, start_s, start_s + HOUR_S, at_s, again=True) for start_s in starts]
        return sum(done) + self._close(Grain.DAY, span.start_s, span.end_s, at_s, again=True)

    def _close(self, grain: Grain, start_s: int, end_s: int, at_s: float, *, again: bool = False) -> bool:
        """Put a closed span into the outbox if it is new or has changed; `again`: if it is there, as it is now.

        What is there stays where a restart lost visits and it was listened to for longer before.
        """
        kept = self._outbox.bucket(start_s, grain)
        if again and kept is None:
            return False
        figures = self._keeper.figures
        kpis = self._values(figures.closed(start_s, end_s))
        told = _told(kept.payload) if kept else ()
        if not again and told == kpis:
            return False
        if start_s < figures.whole_from_s and _listened(told) > _listened(kpis):
            return False
        rev = kept.rev + 1 if kept else 1
        data = KpiBucket(grain=grain.value, start_s=start_s, end_s=end_s, rev=rev, kpis=kpis)
        payload = self._voice.payload(KPI, data, at_s)
        self._outbox.set_bucket(Bucket(start_s=start_s, rev=rev, payload=payload, grain=grain))
        return True

    def _completeness(self) -> float | None:
        seen = self._intake.batches + self._intake.lost
        return self._intake.batches / seen if seen else None

    def _introduce(self, at_s: float, key_id: int | None) -> None:
        """Say `info`, `site` and the device for Home Assistant, retained, when they changed or a broker is new."""
        said = (
            key_id,
            self._voice.config_hash,
            self._voice.config_refused,
            *(client.connected for client in self._links),
        )
        if said == self._said_info or not any(client.connected for client in self._links):
            return
        self._said_info = said
        info = Info(
            role="hub",
            firmware=__version__,
            hardware=platform.machine() or "unknown",
            key_id=key_id,
            wire_versions=READABLE_VERSIONS,
            radios=(Radio.WIFI,),
            config_hash=self._voice.config_hash,
            config_refused=self._voice.config_refused,
        )
        site = SiteInForce(
            config_hash=self._voice.config_hash, site=self._voice.site, calibration_id=self._calibration_id()
        )
        for client in self._links:
            client.publish(self._voice.topic("info"), self._voice.payload(INFO, info, at_s), retain=True)
            client.publish(self._voice.topic("site"), self._voice.payload(SITE, site, at_s), retain=True)
        device = discovery(self._voice.site, NODE, self._voice.provenance or Provenance.LIVE, self._former)
        self._links[0].publish(discovery_topic(self._voice.site), device, retain=True)

    def _say_live(self) -> None:
        chain = self._keeper.chain
        if chain.stepped_us is None:
            return
        at_s = chain.stepped_us / 1e6
        kpis = self._keeper.figures.live(at_s - LIVE_LAG_S, chain.open_visits())
        live = Live(at_s=int(at_s - LIVE_LAG_S), kpis=self._values(kpis))
        payload = self._voice.payload(LIVE, live, at_s)
        for client in self._links:
            client.publish(self._voice.topic("live"), payload, retain=True)

    def _health(self, now_s: float, at_s: float, own_drops: dict[str, int], own: dict[str, int]) -> Health:
        intake, counts, outbox = self._intake, self._keeper.counts, self._outbox
        oldest_s, clock = outbox.oldest_at_s, intake.asked_clock()
        counters = {
            "batches": intake.batches,
            "batches_duplicate": intake.duplicates,
            "other_element_tables": intake.other_tables,
            "frames": counts["frames"],
            "frames_late": counts["frames_late"],
            "visits": counts["visits"],
            "beacons": self._anchors.beacons,
            "frames_unsynced": intake.unsynced,
            "resumed_entries": self._keeper.resumed,
            "visits_restart": self._keeper.abandoned,
            "visits_unreadable": self._keeper.strange,
            "outbox_resent": self._uplink.resent,
            "outbox_backlog": self._uplink.backlog,
            **own,
            **{
                f"{name}_{key}": n
                for name, c in zip(("site", "uplink"), self._links, strict=False)
                for key, n in c.counts.items()
            },
        }
        drops = {
            "batches_lost": intake.lost,
            "frames_too_late": counts["frames_too_late"],
            "outbox_rows": outbox.lost,
            "outbox_visits": outbox.lost_visits,
            **{reason.value: n for reason, n in intake.drops.items()},
            **own_drops,
        }
        return Health(
            uptime_s=min(now_s - self._began_s, MOST_SECONDS),
            counters=counters,
            drops=drops,
            clock=clock,
            probe_clocks=tuple(probe_clocks(self._voice.site, intake)),
            outbox_depth=outbox.depth,
            outbox_oldest_s=_age_s(oldest_s, at_s),
            outbox_gone=Ack(boot=outbox.boot, upto=outbox.gone),
            flood=flood_message(self._keeper.flood, self._voice.site, at_s),
            unknown_class_share=self._keeper.chain.unknown_class_share,
            calibration=self._anchors.check,
            radios_disagree=self._keeper.figures.radios_disagree,
            disk_free_bytes=shutil.disk_usage(self._data).free,
            certificate_days=days_left(self._certificates, at_s),
        )

    def _values(self, kpis: tuple[Kpi, ...]) -> tuple[KpiValue, ...]:
        """Make figures that may leave: what is live hides crossed cells below k; a demo or replay is local."""
        provenance = self._voice.provenance or Provenance.LIVE
        values = kpi_values(kpis, privacy_mode=self._voice.site.privacy.mode, provenance=provenance)
        return suppress(values, self._voice.site.privacy.k) if provenance is Provenance.LIVE else values


def _told(payload: bytes) -> tuple[KpiValue, ...]:
    """Give the figures of a bucket; none if it is no message of ours: then it is made anew, as the next `rev`."""
    try:
        return KPI.decoder.decode(payload).data.kpis
    except (msgspec.DecodeError, ValueError):
        return ()


def _age_s(made_s: int | None, at_s: float) -> float | None:
    """Give how old a row is, as far as health can say: one made before the clock was set is from 1970."""
    return None if made_s is None else min(max(0.0, at_s - made_s), MOST_SECONDS)


def _listened(kpis: tuple[KpiValue, ...]) -> float:
    return max((kpi.coverage.listened_share or 0.0 for kpi in kpis), default=0.0)


def flood_message(flood: FloodTotals, site: Site, at_s: float) -> Flood | None:
    """What health says of a flood at `at_s`; None while there was none."""
    if flood.last_us is None:
        return None
    return Flood(
        active=flood.last_us / 1e6 > at_s - FLOOD_OVER_S,
        set_aside=flood.addresses,
        minutes=flood.minutes,
        probe=nearest_probe(flood, site),
    )
