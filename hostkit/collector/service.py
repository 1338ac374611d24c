"""The collector's loop: messages into the store, acknowledgements out, dirty hours to figures, closed buckets told.

Order of a message: committed, then PUBACK, then `ack` to its hub. What is not committed is not confirmed, so a broker
or hub sends it again; the store knows it by (source, boot, seq). One thread; the HTTP API reads a store of its own.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

from hostkit.collector.clock import Clock
from hostkit.collector.ingest import NODE, Ingest, Taken
from hostkit.collector.rollups import BATCH_HOURS, origin_of, rebuild, settle_s, site_in_force
from hostkit.collector.shown import Shown
from hostkit.collector.store import Store
from hostkit.contract.codec import ACK, KPI, Kind, T, compose, encode
from hostkit.contract.messages import Ack, KpiBucket
from hostkit.contract.topics import Address, topic
from hostkit.core.retention import DAYS_KEPT_S, HOURS_KEPT_S, VISITS_KEPT_S
from hostkit.core.rollup import Origin, Place
from hostkit.errors import StorageError
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Publication, Up, take

TURN_S = 0.2  # longest wait for a message
MAX_TURN = 500  # messages of one transaction
REBUILD_EVERY_S = 1.0  # between rebuilds, so that a flood of visits does not compute the same hour again and again
FORGET_EVERY_S = 3600.0
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 30.0
REMARK_EVERY_S = 10.0  # lines about refused messages
MAX_UNCONFIRMED = 100  # buckets on their way to the broker

Say = Callable[[str], None]


@dataclass(slots=True)
class Counts:
    """Since the start."""

    taken: int = 0
    refused: int = 0
    rebuilt: int = 0
    published: int = 0


@dataclass(slots=True)
class _Sent:
    place: Place
    bucket: KpiBucket
    publication: Publication = field(repr=False)


class Collector:
    """Owns the loop. `say` prints a line of what happened, `remark` one of what is wrong."""

    def __init__(self, store: Store, client: Client, inbox: Inbox, clock: Clock, *, say: Say, remark: Say) -> None:
        self.counts = Counts()
        self._store, self._client, self._inbox, self._clock = store, client, inbox, clock
        self._say, self._remark = say, remark
        self._ingest = Ingest(store, clock.now_s, clock.latest_s)
        self._boot = f"c{secrets.token_hex(6)}"
        self._seq = 0
        self._pending: list[Arrived] = []
        self._sent: list[_Sent] = []
        self._remarks = _Remarks(remark)
        self._retry_s, self._retry_at = FIRST_RETRY_S, 0.0
        self._rebuild_at = self._forget_at = 0.0

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; then the last messages are committed and what they changed is computed."""
        while not stop.is_set():
            self.turn()
        with suppress(StorageError):  # said already; nothing unconfirmed is lost
            self._commit()
            while rebuild(self._store):
                pass

    def turn(self) -> None:
        """Do one round: take what is there, commit, confirm, compute. A store that fails is tried again later."""
        self._take_all()
        if time.monotonic() < self._retry_at:
            return
        try:
            self._commit()
            self._follow_up()
        except StorageError as error:
            if self._retry_s == FIRST_RETRY_S:
                self._remark(str(error))
            self._retry_at = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
            return
        if self._retry_s > FIRST_RETRY_S:
            self._say("storage works again")
            self._retry_s = FIRST_RETRY_S

    def _take_all(self) -> None:
        """Move items from the inbox to `_pending`, which is bounded: the rest waits at the broker."""
        timeout_s = TURN_S
        while len(self._pending) < MAX_TURN and (item := take(self._inbox, timeout_s)) is not None:
            timeout_s = 0.0
            if isinstance(item, Arrived):
                self._pending.append(item)
            elif isinstance(item, Up):
                self._say(f"broker {self._client.url}: connected")
                self._acknowledge_all()
            elif isinstance(item, Down):
                self._remark(f"broker {self._client.url}: {item.reason}; it is tried again")
        if len(self._pending) >= MAX_TURN and self._retry_at > time.monotonic():
            time.sleep(TURN_S)

    def _commit(self) -> None:
        if not self._pending:
            return
        with self._store.writing():
            taken = [self._ingest.take(one.topic, one.payload) for one in self._pending]
        for one, result in zip(self._pending, taken, strict=True):
            self._client.ack(one)
            self._clock.seen(result.time_us)
            self._note(result)
        self._pending.clear()
        for sender in {result.sender for result in taken if result.sender}:
            self._acknowledge(sender)

    def _note(self, result: Taken) -> None:
        self.counts.taken += 1
        if result.remark is not None:
            self._remark(result.remark)
        if result.refused is not None:
            self.counts.refused += 1
            self._remarks.add(result.refused)

    def _follow_up(self) -> None:
        now = time.monotonic()
        self._remarks.flush(now)
        self._confirm()
        if now >= self._rebuild_at:
            done = rebuild(self._store)
            self.counts.rebuilt += done
            if done < BATCH_HOURS:
                self._publish_closed()
                self._rebuild_at = time.monotonic() + REBUILD_EVERY_S
        if now >= self._forget_at:
            self._forget()
            self._forget_at = now + FORGET_EVERY_S

    def _forget(self) -> None:
        now_s = self._clock.now_s()
        with self._store.writing():
            self._store.forget(
                visits_before_s=now_s - VISITS_KEPT_S,
                hours_before_s=now_s - HOURS_KEPT_S,
                days_before_s=now_s - DAYS_KEPT_S,
            )

    # ---- what we say ----

    def _acknowledge_all(self) -> None:
        with suppress(StorageError), self._store.reading():
            senders = {progress.source for progress in self._store.progress()}
        for source in senders:
            tenant, site, node = source.strip("/").split("/")
            self._acknowledge(Address(tenant=tenant, site=site, node=node))

    def _acknowledge(self, sender: Address) -> None:
        """Tell a node how far its outboxes are stored; lost ones are said again after the next message."""
        with self._store.reading():
            progress = self._store.progress(sender.source)
        for one in progress:
            data = Ack(boot=one.boot, upto=one.upto)
            to = topic(sender.tenant, sender.site, sender.node, "ack")
            place = Place(tenant=sender.tenant, site=sender.site, provenance=one.provenance)
            self._publish(ACK, data, to, place, qos=0)

    def _publish_closed(self) -> None:
        if not self._client.connected:
            return
        with self._store.reading():
            found = list(self._closed())
        on_the_way = {(one.place, one.bucket.grain, one.bucket.start_s, one.bucket.rev) for one in self._sent}
        for place, bucket in found:
            if (place, bucket.grain, bucket.start_s, bucket.rev) in on_the_way or len(self._sent) >= MAX_UNCONFIRMED:
                continue
            to = topic(place.tenant, place.site, NODE, f"kpi/{bucket.grain}")
            sent = self._publish(KPI, bucket, to, place, qos=1, retain=True)
            if sent is None:
                return
            self._sent.append(_Sent(place, bucket, sent))

    def _closed(self) -> Iterator[tuple[Place, KpiBucket]]:
        for place in self._store.places():
            in_force = site_in_force(self._store, place)
            if in_force is None or origin_of(in_force.site) is Origin.HUB:
                continue
            shown = Shown(self._store, place, in_force.site)
            for bucket in self._store.unpublished(place, self._clock.now_s() - settle_s(in_force.site)):
                yield place, shown.bucket(bucket)

    def _confirm(self) -> None:
        done = [one for one in self._sent if one.publication.done]
        if done:
            with self._store.writing():
                for one in done:
                    self._store.mark_published(one.place, one.bucket)
            self._sent = [one for one in self._sent if not one.publication.done]
            self.counts.published += len(done)

    def _publish(
        self, kind: Kind[T], data: T, to: str, place: Place, *, qos: int, retain: bool = False
    ) -> Publication | None:
        self._seq += 1
        message = compose(
            kind,
            data,
            publisher=Address(tenant=place.tenant, site=place.site, node=NODE),
            at=datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC),
            boot=self._boot,
            seq=self._seq,
            provenance=place.provenance,
        )
        return self._client.publish(to, encode(kind, message), qos=qos, retain=retain)


class _Remarks:
    """Lines about refused messages: the first at once, then at most one in REMARK_EVERY_S that counts the others."""

    def __init__(self, remark: Say) -> None:
        self._remark = remark
        self._next_at = 0.0
        self._held: list[str] = []
        self._more = 0

    def add(self, line: str) -> None:
        if self._held:
            self._more += 1
        else:
            self._held.append(line)

    def flush(self, now: float) -> None:
        if self._held and now >= self._next_at:
            others = f" (and {self._more} more)" if self._more else ""
            self._remark(f"quarantined: {self._held[0]}{others}")
            self._held.clear()
            self._more = 0
            self._next_at = now + REMARK_EVERY_S
