"""Records a store of the collector takes and gives. No engine's types."""

from dataclasses import dataclass

from hostkit.core.rollup import Place
from hostkit.model import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What names a message once and for ever, when it was sent, and where its data comes from."""

    source: str
    boot: str
    seq: int
    time_us: int
    provenance: Provenance

    @property
    def time_s(self) -> int:
        """Give the time of sending in whole seconds."""
        return self.time_us // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitRecord:
    """A visit to keep: the middles of its start and end, and its row as JSON."""

    visit_id: str
    rev: int
    start_s: int
    end_s: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an outbox has come: everything up to `upto` is stored or given up."""

    source: str
    boot: str
    upto: int
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRows:
    """What an outbox said it had to drop: messages `first` to `last` with `rows` visits, made since_s to until_s."""

    first: int
    last: int
    reason: str
    rows: int
    since_s: int
    until_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Messages `first` to `last` of an outbox that are missing; `time_s` is when the one after them was sent.

    If the outbox said why: the reason, how many visits were in them at most, and from when they are.
    """

    source: str
    boot: str
    first: int
    last: int
    time_s: int
    reason: str | None = None
    rows: int | None = None
    since_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Messages of a site's outboxes: how many are here, how many exist as far as is known, how often one came again."""

    stored: int
    known: int
    again: int = 0

    @property
    def completeness(self) -> float | None:
        """Give the share that is here; None before anything was heard."""
        return self.stored / self.known if self.known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """The latest word of a node: `kind` is state, info or health; `body` the word or JSON."""

    node: str
    kind: str
    time_s: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DirtyHour:
    """An hour whose figures no longer follow from its visits."""

    place: Place
    hour_s: int
