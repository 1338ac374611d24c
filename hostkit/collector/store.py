"""What the collector needs of a store. Engines are in `hostkit.io`; one conformance suite holds for all of them."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from hostkit.contract.messages import KpiBucket, VisitRow
from hostkit.core.rollup import Grain, Origin, Place
from hostkit.core.sales import Sale
from hostkit.core.stored import DirtyHour, Envelope, Gap, Held, LostRows, NodeRecord, Progress, VisitRecord
from hostkit.model import Provenance


class Store(Protocol):
    """Everything happens inside `writing` (all or nothing, durable) or `reading` (one consistent view).

    Both raise StorageError. What is put is independent of the order of arrival; put twice, it is there once.
    """

    identity: str  # random, made with the store

    def close(self) -> None:
        """Let go of the engine."""

    def writing(self) -> AbstractContextManager[None]:
        """One transaction: all of it is durable afterwards, or nothing."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """One consistent view."""
        ...

    def add_message(self, message: Envelope, stream: str, *, counted: bool = False, good: bool = True) -> bool:
        """Note that a message came; False: it was here. `counted`: its `boot` is an outbox: holes and repeats count."""
        ...

    def give_up(self, message: Envelope, boot: str, upto: int) -> None:
        """Wait no longer for what is missing up to `upto`; `message` says so."""

    def put_lost(self, message: Envelope, lost: LostRows) -> None:
        """Keep what the outbox of `message` says it had to drop, and wait for it no longer."""

    def progress(self, source: str | None = None) -> list[Progress]:
        """Give how far each outbox has come: of one source or of all."""
        ...

    def gaps(self, source_prefix: str, limit: int = 100) -> list[Gap]:
        """Give what is missing from a site's outboxes, newest first."""
        ...

    def held(self, source_prefix: str) -> Held:
        """Count the messages of a site's outboxes."""
        ...

    def arrived(self, source_prefix: str, from_s: int, to_s: int) -> int:
        """Count those that are here and were sent in [from_s, to_s)."""
        ...

    def latest_us(self) -> int:
        """Give the latest time of sending of all that is stored, 0 at first."""
        ...

    def quarantine(self, topic: str, stream: str, reason: str, payload: bytes, time_s: int) -> None:
        """Keep what cannot be used, each once, and count it under its stream."""

    def quarantined(self) -> dict[str, int]:
        """Count what went to quarantine, by stream."""
        ...

    def put_visits(self, place: Place, visits: Iterable[VisitRecord]) -> list[tuple[int, int]]:
        """Keep the highest revision of each visit; give the (start_s, end_s) that came or went."""
        ...

    def visits(self, place: Place, start_s: int, end_s: int) -> list[VisitRow]:
        """Give the visits that lie within or reach into [start_s, end_s], in order of id."""
        ...

    def spans(self, place: Place) -> list[tuple[int, int]]:
        """Give (start_s, end_s) of every visit."""
        ...

    def put_snapshot(self, place: Place, kind: str, message: Envelope, body: bytes) -> bool:
        """Keep the newest `site` or `live` of a place; False: a newer one is here."""
        ...

    def snapshot(self, place: Place, kind: str) -> str | None:
        """Give the newest `site` or `live` as JSON."""
        ...

    def put_node(self, tenant: str, site: str, record: NodeRecord) -> None:
        """Keep the latest word of a node."""

    def nodes(self, tenant: str, site: str) -> list[NodeRecord]:
        """Give the latest words of a site's nodes."""
        ...

    def put_event(self, place: Place, event_id: str, phase: str, time_s: int, body: bytes) -> None:
        """Keep one phase of an event, the later one if it comes twice."""

    def places(self) -> list[Place]:
        """Give every place something was heard of."""
        ...

    def mark_dirty(self, place: Place, hours_s: Iterable[int]) -> None:
        """Note hours whose figures must be computed anew."""

    def dirty(self, limit: int) -> list[DirtyHour]:
        """Give dirty hours, those of one place together, oldest first."""
        ...

    def clean(self, hours: Sequence[DirtyHour]) -> None:
        """Forget that these were dirty."""

    def put_bucket(self, place: Place, origin: Origin, bucket: KpiBucket) -> bool:
        """Keep a bucket: of the hub's the highest revision, of ours what changed as the next one; False: as it was."""
        ...

    def buckets(self, place: Place, origin: Origin, grain: Grain, start_s: int, end_s: int) -> list[KpiBucket]:
        """Give the buckets that began in [start_s, end_s), oldest first."""
        ...

    def unpublished(self, place: Place, ended_by_s: int, limit: int = 100) -> list[KpiBucket]:
        """Give our buckets of a place whose present revision nobody was told, oldest end first."""
        ...

    def mark_published(self, place: Place, bucket: KpiBucket) -> None:
        """Note that the broker has this revision."""

    def put_sales(self, tenant: str, provenance: Provenance, sales: Iterable[Sale]) -> int:
        """Keep receipts, replacing those of the same name; give how many are new."""
        ...

    def sales(self, place: Place, start_s: int, end_s: int) -> list[Sale]:
        """Give the receipts of [start_s, end_s) in order of time."""
        ...

    def forget(self, *, visits_before_s: int, hours_before_s: int, days_before_s: int) -> None:
        """Delete what is older than it may be; forgotten messages leave no gap."""
