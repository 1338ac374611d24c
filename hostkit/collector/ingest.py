"""One message into the store, inside the caller's transaction. Never raises for bad input: that goes to quarantine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

import msgspec

from hostkit.collector.clock import AHEAD_S
from hostkit.collector.store import Store
from hostkit.config import dump_site, parse_site
from hostkit.contract.codec import (
    EVENT,
    GAP,
    HEALTH,
    INFO,
    KPI,
    LIVE,
    SITE,
    VISITS,
    Kind,
    decode,
    decode_state,
    whole,
)
from hostkit.contract.messages import Health, Id, Message, Seq, SiteInForce, Source, VisitRow
from hostkit.contract.topics import Address, parse_topic
from hostkit.core.rollup import Origin, Place, hours_touched
from hostkit.core.stored import Envelope, LostRows, NodeRecord, VisitRecord
from hostkit.errors import ConfigError, PeerError
from hostkit.model import Provenance, Site

NODE = "collector"  # our own name in topics
FOREIGN = "foreign"
MAX_RUNS = 8
DOUBLED = ""  # among the runs of a hub: told already
SUBSCRIPTIONS = tuple(
    (f"footfall/v1/+/+/+/{stream}", qos)
    for stream, qos in (
        ("visits", 1), ("gap", 1), ("kpi/hour", 1), ("kpi/day", 1), ("event", 1), ("site", 1), ("live", 1),
        ("state", 1), ("info", 1), ("health", 0),
    )
)  # fmt: skip
T = TypeVar("T")
_site = msgspec.json.Decoder(SiteInForce)


class Head(msgspec.Struct, frozen=True):
    """As much of an envelope as an acknowledgement needs."""

    source: Source
    boot: Id
    seq: Seq
    provenance: Provenance


class _Spoken(msgspec.Struct, frozen=True):
    """Which run of a node spoke, and when."""

    source: str
    boot: str
    time: datetime


_spoken = msgspec.json.Decoder(_Spoken)
_head = msgspec.json.Decoder(Head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a message: whose outbox may now forget it, when it was sent, why it is in quarantine if it is.

    `remark`: what it shows to be wrong with its sender, told once.
    """

    sender: Address | None = None
    time_us: int = 0
    refused: str | None = None
    remark: str | None = None


class Ingest:
    """Takes messages. `now_s` is the clock for what carries no time of its own, `latest_s` bounds what does.

    What is dated later would pass for the newest for ever, and age all the rest.
    """

    def __init__(self, store: Store, now_s: Callable[[], int], latest_s: Callable[[], int]) -> None:
        self._store = store
        self._now_s = now_s
        self._latest_s = latest_s
        self._runs: dict[str, list[tuple[str, int]]] = {}  # of each hub: names and first times, as they were met
        self._streams: dict[str, Callable[[str, Address, bytes], int]] = {
            "visits": self._visits,
            "gap": self._gap,
            "kpi/hour": self._bucket,
            "kpi/day": self._bucket,
            "event": self._event,
            "site": self._site,
            "live": self._live,
            "state": self._state,
            "info": self._info,
            "health": self._health,
        }

    def take(self, topic: str, payload: bytes) -> Taken:
        """Store one message; only the store's own StorageError comes out of it."""
        address: Address | None = None
        try:
            address = parse_topic(topic)
            take = self._streams.get(address.stream)
            if take is None or address.node == NODE:
                return Taken()
            time_us = take(topic, address, payload)
            return Taken(sender=address, time_us=time_us, remark=self._doubled(address, payload))
        except PeerError as error:
            self._store.quarantine(
                topic, address.stream if address else FOREIGN, str(error)[:500], payload, self._now_s()
            )
            return Taken(sender=address if self._skip(address, payload) else None, refused=str(error))

    def _visits(self, topic: str, address: Address, payload: bytes) -> int:
        message, place, envelope = self._read(VISITS, topic, address, payload)
        self._dated(max((sum(row.end_s) // 2 for row in message.data.rows), default=0), topic)
        if self._store.add_message(envelope, address.stream, counted=True):
            touched = self._store.put_visits(place, map(_record, message.data.rows))
            self.mark_dirty(place, touched)
        return envelope.time_us

    def _gap(self, topic: str, address: Address, payload: bytes) -> int:
        message, _, envelope = self._read(GAP, topic, address, payload)
        gap = message.data
        if gap.last != envelope.seq:
            raise PeerError("its seq is not its last", where=topic, next_step="look at its sender's version")
        lost = LostRows(
            first=gap.first, last=gap.last, reason=gap.reason, rows=gap.rows, since_s=gap.since_s, until_s=gap.until_s
        )
        self._store.put_lost(envelope, lost)
        return envelope.time_us

    def _bucket(self, topic: str, address: Address, payload: bytes) -> int:
        message, place, envelope = self._read(KPI, topic, address, payload)
        if f"kpi/{message.data.grain}" != address.stream:
            raise PeerError(f"holds a {message.data.grain}", where=topic, next_step="look at its sender's version")
        self._dated(message.data.start_s, topic)
        if (
            self._store.add_message(envelope, address.stream)
            and self._store.put_bucket(place, Origin.HUB, message.data)
            and message.data.grain == "hour"
        ):
            self.mark_dirty(place, [(message.data.start_s, message.data.start_s)])
        return envelope.time_us

    def _event(self, topic: str, address: Address, payload: bytes) -> int:
        message, place, envelope = self._read(EVENT, topic, address, payload)
        if self._store.add_message(envelope, address.stream):
            body = msgspec.json.encode(message.data)
            self._store.put_event(place, message.data.event_id, message.data.phase, envelope.time_s, body)
        return envelope.time_us

    def _site(self, topic: str, address: Address, payload: bytes) -> int:
        message, place, envelope = self._read(SITE, topic, address, payload)
        site = message.data.site
        if (site.tenant, site.site) != (place.tenant, place.site):
            raise PeerError("describes another site", where=topic, next_step="look at its sender's site.toml")
        _check(site, topic)
        self._store.add_message(envelope, address.stream)
        before = self._store.snapshot(place, "site")
        if self._store.put_snapshot(place, "site", envelope, msgspec.json.encode(message.data)) and (
            before is None or _site.decode(before).config_hash != message.data.config_hash
        ):
            self.mark_dirty(place, self._store.spans(place))
        return envelope.time_us

    def _live(self, topic: str, address: Address, payload: bytes) -> int:
        message, place, envelope = self._read(LIVE, topic, address, payload)
        self._store.put_snapshot(place, "live", envelope, msgspec.json.encode(message.data))
        return envelope.time_us

    def _state(self, topic: str, address: Address, payload: bytes) -> int:
        self._node(address, "state", self._now_s(), decode_state(payload, topic))
        return 0

    def _info(self, topic: str, address: Address, payload: bytes) -> int:
        message, _, envelope = self._read(INFO, topic, address, payload)
        self._node(address, "info", envelope.time_s, msgspec.json.encode(message.data).decode())
        return envelope.time_us

    def _health(self, topic: str, address: Address, payload: bytes) -> int:
        message, _, envelope = self._read(HEALTH, topic, address, payload)
        self._node(address, "health", envelope.time_s, msgspec.json.encode(message.data).decode())
        self._give_up(envelope, message.data)
        return envelope.time_us

    def _read(self, kind: Kind[T], topic: str, address: Address, payload: bytes) -> tuple[Message[T], Place, Envelope]:
        message = decode(kind, payload, topic)
        place = Place(tenant=address.tenant, site=address.site, provenance=message.provenance)
        time_us = round(message.time.timestamp() * 1e6)
        self._dated(time_us // 1_000_000, topic)
        envelope = Envelope(
            source=message.source, boot=message.boot, seq=message.seq, time_us=time_us, provenance=message.provenance
        )
        return message, place, envelope

    def _dated(self, time_s: int, topic: str) -> None:
        """Refuse what tells of a time that has not come."""
        if (ahead_s := time_s - self._latest_s()) > 0:
            what = f"is dated {(ahead_s + AHEAD_S) / 86_400:,.1f} days ahead of the collector's clock"
            raise PeerError(what, where=topic, next_step="set the clocks of its sender and of the collector")

    def _doubled(self, address: Address, payload: bytes) -> str | None:
        """Tell of two hubs that speak in turn under one name: a run that is over never speaks again."""
        if address.stream not in {"info", "health"}:
            return None
        message = _spoken.decode(payload)
        time_us = round(message.time.timestamp() * 1e6)
        runs = self._runs.setdefault(message.source, [])
        names = [name for name, _ in runs]
        if message.boot not in names:
            runs.append((message.boot, time_us))
            del runs[:-MAX_RUNS]
        elif message.boot != names[-1] and time_us > runs[-1][1] and DOUBLED not in names:
            runs.insert(0, (DOUBLED, time_us))
            return f"{message.source}: two hubs use this identity; stop one of them, or give it a site of its own"
        return None

    def _give_up(self, envelope: Envelope, health: Health) -> None:
        if health.outbox_gone is not None:
            self._store.give_up(envelope, health.outbox_gone.boot, health.outbox_gone.upto)

    def _node(self, address: Address, kind: Literal["state", "info", "health"], time_s: int, body: str) -> None:
        record = NodeRecord(node=address.node, kind=kind, time_s=time_s, body=body)
        self._store.put_node(address.tenant, address.site, record)

    def mark_dirty(self, place: Place, spans: Iterable[tuple[int, int]]) -> None:
        """Mark every hour that visits of these spans can show in. Without a site nothing can be computed yet."""
        site = self._store.snapshot(place, "site")
        if site is not None:
            zone = _site.decode(site).site.time_zone
            self._store.mark_dirty(
                # A visit that begins as an hour ends is present at that end, so the hour before is touched too.
                place,
                {hour.start_s for start_s, end_s in spans for hour in hours_touched(start_s - 1, end_s, zone)},
            )

    def _skip(self, address: Address | None, payload: bytes) -> bool:
        """Count a poisoned message of an outbox as come, or its hub would send it for ever; tells whether it could.

        One that was damaged on its way comes again.
        """
        if address is None or address.stream not in {"visits", "kpi/hour", "kpi/day", "event"} or not whole(payload):
            return False
        try:
            head = _head.decode(payload)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return False
        if head.source != address.source:
            return False
        time_us = self._now_s() * 1_000_000
        envelope = Envelope(
            source=head.source, boot=head.boot, seq=head.seq, time_us=time_us, provenance=head.provenance
        )
        self._store.add_message(envelope, address.stream, counted=address.stream == "visits", good=False)
        return True


def _record(row: VisitRow) -> VisitRecord:
    return VisitRecord(
        visit_id=row.visit_id,
        rev=row.rev,
        start_s=sum(row.start_s) // 2,
        end_s=sum(row.end_s) // 2,
        body=msgspec.json.encode(row),
    )


def _check(site: Site, topic: str) -> None:
    """Hold a site to what a site.toml must keep: the message's types bound none of its numbers."""
    try:
        parse_site(dump_site(site), topic)
    except (ConfigError, ValueError, LookupError, TypeError, OverflowError) as error:
        what = error.what if isinstance(error, ConfigError) else str(error)
        raise PeerError(what[:200], where=topic, next_step="look at its sender's site.toml") from error
