"""The collector's store in one SQLite file (WAL). Plain SQL; figures are computed elsewhere.

One writer and any number of readers, each with a store of its own. Everything happens inside `writing` or `reading`.
What is committed survives a power cut. StorageError tells of a full disk, a broken file, a database that is newer.
"""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from hostkit.contract.messages import KpiBucket, Live, SiteInForce, VisitRow
from hostkit.core.rollup import MAX_VISIT_S, Grain, Origin, Place
from hostkit.core.sales import Sale, SaleKind
from hostkit.core.stored import DirtyHour, Envelope, Gap, Held, LostRows, NodeRecord, Progress, VisitRecord
from hostkit.errors import StorageError
from hostkit.model import Provenance

FILE = "collector.sqlite"
MIGRATIONS = ("sqlite-0001.sql", "sqlite-0002.sql", "sqlite-0003.sql")
BUSY_TIMEOUT_S = 5.0
QUARANTINE_ROWS = 1000  # the oldest give way; the counter keeps counting
QUARANTINE_BYTES = 4096  # kept of each payload
_STRANGE = """
SELECT 'place' FROM place WHERE provenance NOT IN (PROVENANCES)
UNION SELECT 'outbox' FROM outbox WHERE provenance NOT IN (PROVENANCES) OR typeof(upto) != 'integer'
UNION SELECT 'dirty' FROM dirty WHERE typeof(hour_s) != 'integer'
"""
T = TypeVar("T")
_read_visit = msgspec.json.Decoder(VisitRow).decode
_read_bucket = msgspec.json.Decoder(KpiBucket).decode
_read_snapshot: MappingProxyType[str, Callable[[str], SiteInForce | Live]] = MappingProxyType(
    {"site": msgspec.json.Decoder(SiteInForce).decode, "live": msgspec.json.Decoder(Live).decode}
)


class SqliteStore:
    """See `hostkit.collector.store.Store` for what each method promises. `folder` is made if need be."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._writes = False
        with self._blamed():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._path.chmod(0o600)
            self._run = self._db.execute
            # FULL: the hub forgets what we acknowledged, so a commit must be on the disk.
            self._db.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA trusted_schema=OFF;"
            )
            self._migrate()
            (self.identity,) = self._run("SELECT id FROM identity").fetchone()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it is on disk afterwards, or nothing."""
        with self._blamed(), self._transaction("BEGIN IMMEDIATE"):
            self._writes = True
            try:
                yield
            finally:
                self._writes = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent view."""
        with self._blamed(), self._transaction("BEGIN"):
            yield

    # ---- messages ----

    def add_message(self, message: Envelope, stream: str, *, counted: bool = False, good: bool = True) -> bool:
        """Note that a message came; False: it was here. `counted`: its `boot` is an outbox: holes and repeats count."""
        key = (message.source, message.boot)
        added = self._run(
            "INSERT OR IGNORE INTO message VALUES (?,?,?,?,?,?)", (*key, message.seq, stream, message.time_s, good)
        ).rowcount
        if not added:
            if counted:
                again = "INSERT INTO again VALUES (?,?,1) ON CONFLICT DO UPDATE SET messages = messages + 1"
                self._run(again, key)
            return False
        self._run(
            "INSERT INTO outbox VALUES (?,?,0,0,?,?,?,?) ON CONFLICT DO UPDATE SET top = max(top, excluded.top),"
            " stored = stored + (excluded.top > base) * excluded.stored, counted = max(counted, excluded.counted)",
            (*key, message.seq, good, counted, message.provenance),
        )
        self._advance(*key)
        return True

    def give_up(self, message: Envelope, boot: str, upto: int) -> None:
        """Wait no longer for what is missing up to `upto`; what no one here ever got does not count as missing."""
        key = (message.source, boot)
        (below,) = self._run(
            "SELECT count(*) FROM message WHERE source=? AND boot=? AND seq<=?", (*key, upto)
        ).fetchone()
        base = 0 if below else upto
        self._run(
            "INSERT INTO outbox VALUES (?,?,?,?,?,0,1,?) ON CONFLICT DO UPDATE SET base = max(base, excluded.base),"
            " upto = max(upto, excluded.upto), top = max(top, excluded.top), counted = 1",
            (*key, base, upto, upto, message.provenance),
        )
        self._advance(*key)

    def put_lost(self, message: Envelope, lost: LostRows) -> None:
        """Keep what an outbox says it had to drop, and wait for it no longer; what came nevertheless is here."""
        key = (message.source, message.boot)
        inside = "source=? AND boot=? AND first>=? AND last<=?"
        if self._run(
            "SELECT 1 FROM lost WHERE source=? AND boot=? AND first<=? AND last>=?", (*key, lost.first, lost.last)
        ).fetchone():
            return
        self._run(f"DELETE FROM lost WHERE {inside}", (*key, lost.first, lost.last))
        row = (lost.first, lost.last, lost.reason, lost.rows, lost.since_s, lost.until_s)
        self._run("INSERT INTO lost VALUES (?,?,?,?,?,?,?,?)", (*key, *row))
        self._run(
            "INSERT INTO outbox VALUES (?,?,0,0,?,0,1,?) ON CONFLICT DO UPDATE SET top = max(top, excluded.top),"
            " counted = 1",
            (*key, lost.last, message.provenance),
        )
        self._advance(*key)

    def progress(self, source: str | None = None) -> list[Progress]:
        """Give how far each outbox has come: of one source or of all."""
        rows = self._run(
            "SELECT source, boot, upto, provenance FROM outbox WHERE counted AND (?1 IS NULL OR source = ?1)"
            " ORDER BY 1, 2",
            (source,),
        ).fetchall()
        return [
            Progress(source=source, boot=boot, upto=upto, provenance=Provenance(text))
            for source, boot, upto, text in rows
        ]

    def gaps(self, source_prefix: str, limit: int = 100) -> list[Gap]:
        """Give what is missing from a site's outboxes, newest first."""
        rows = self._run(
            "SELECT g.source, g.boot, g.first, g.last, g.time_s, group_concat(DISTINCT reason), sum(rows), min(since_s)"
            " FROM (SELECT * FROM gap WHERE source>=? AND source<? ORDER BY time_s DESC, boot, first LIMIT ?) AS g"
            " LEFT JOIN lost AS l ON l.source=g.source AND l.boot=g.boot AND l.first<=g.last AND l.last>=g.first"
            " GROUP BY 1, 2, 3, 4, 5 ORDER BY 5 DESC, 2, 3",
            (*_scope(source_prefix), limit),
        ).fetchall()
        names = ("source", "boot", "first", "last", "time_s", "reason", "rows", "since_s")
        return [Gap(**dict(zip(names, row, strict=True))) for row in rows]

    def held(self, source_prefix: str) -> Held:
        """Count the messages of a site's outboxes."""
        stored, known = self._run(
            "SELECT sum(stored), sum(max(top - base, 0)) FROM outbox WHERE counted AND source>=? AND source<?",
            _scope(source_prefix),
        ).fetchone()
        (again,) = self._run(
            "SELECT sum(messages) FROM again WHERE source>=? AND source<?", _scope(source_prefix)
        ).fetchone()
        return Held(stored=stored or 0, known=known or 0, again=again or 0)

    def arrived(self, source_prefix: str, from_s: int, to_s: int) -> int:
        """Count those that are here and were sent in [from_s, to_s)."""
        found: tuple[int] = self._run(
            "SELECT count(*) FROM message JOIN outbox USING (source, boot)"
            " WHERE counted AND good AND time_s>=? AND time_s<? AND source>=? AND source<?",
            (from_s, to_s, *_scope(source_prefix)),
        ).fetchone()
        return found[0]

    def latest_us(self) -> int:
        """Give the latest time of sending of all that is stored, 0 at first."""
        snapshot, message = self._run(
            "SELECT (SELECT max(time_us) FROM snapshot), (SELECT max(time_s) * 1000000 FROM message)"
        ).fetchone()
        return max(snapshot or 0, message or 0)

    def quarantine(self, topic: str, stream: str, reason: str, payload: bytes, time_s: int) -> None:
        """Keep what cannot be used, each once, and count it under its stream."""
        digest = hashlib.sha256(topic.encode() + b"\0" + payload).digest()
        added = self._run(
            "INSERT OR IGNORE INTO quarantine (topic, reason, time_s, size, digest, body) VALUES (?,?,?,?,?,?)",
            (topic, reason, time_s, len(payload), digest, payload[:QUARANTINE_BYTES]),
        ).rowcount
        if added:
            self._run(
                "INSERT INTO quarantine_count VALUES (?,1) ON CONFLICT DO UPDATE SET messages = messages + 1", (stream,)
            )
            self._run("DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (QUARANTINE_ROWS,))

    def quarantined(self) -> dict[str, int]:
        """Count what went to quarantine, by stream."""
        return dict(self._run("SELECT stream, messages FROM quarantine_count ORDER BY 1").fetchall())

    # ---- what hubs say ----

    def put_visits(self, place: Place, visits: Iterable[VisitRecord]) -> list[tuple[int, int]]:
        """Keep the highest revision of each visit; give the (start_s, end_s) that came or went."""
        number = self._number(place)
        touched: list[tuple[int, int]] = []
        for visit in visits:
            old = self._run(
                "SELECT start_s, end_s, rev, body FROM visit WHERE place_id=? AND visit_id=?", (number, visit.visit_id)
            ).fetchall()
            body = visit.body.decode()
            # Two rows of one revision break the contract; the text decides, so that the order of arrival does not.
            if old and (old[0][2], old[0][3]) >= (visit.rev, body):
                continue
            self._run(
                "INSERT OR REPLACE INTO visit VALUES (?,?,?,?,?,?)",
                (number, visit.visit_id, visit.rev, visit.start_s, visit.end_s, body),
            )
            touched += [(start_s, end_s) for start_s, end_s, *_ in old]
            touched.append((visit.start_s, visit.end_s))
        return touched

    def visits(self, place: Place, start_s: int, end_s: int) -> list[VisitRow]:
        """Give the visits that lie within or reach into [start_s, end_s], in order of id."""
        number = self._known(place)
        rows = self._run(
            "SELECT visit_id, body FROM visit WHERE place_id=? AND start_s>=? AND start_s<=? AND end_s>=?"
            " ORDER BY visit_id",
            (number, start_s - MAX_VISIT_S, end_s, start_s),
        ).fetchall()
        read = (self._read(_read_visit, body, "visit", place_id=number, visit_id=id_) for id_, body in rows)
        return [visit for visit in read if visit is not None]

    def spans(self, place: Place) -> list[tuple[int, int]]:
        """Give (start_s, end_s) of every visit."""
        return self._run("SELECT start_s, end_s FROM visit WHERE place_id=?", (self._known(place),)).fetchall()

    def put_snapshot(self, place: Place, kind: str, message: Envelope, body: bytes) -> bool:
        """Keep the newest `site` or `live` of a place; False: a newer one is here."""
        row = (message.time_us, message.boot, message.seq)
        return bool(
            self._run(
                "INSERT INTO snapshot VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET time_us=excluded.time_us,"
                " boot=excluded.boot, seq=excluded.seq, body=excluded.body"
                " WHERE (excluded.time_us, excluded.boot, excluded.seq) > (time_us, boot, seq)",
                (self._number(place), kind, *row, body.decode()),
            ).rowcount
        )

    def snapshot(self, place: Place, kind: str) -> str | None:
        """Give the newest `site` or `live` as JSON."""
        number = self._known(place)
        for (body,) in self._run("SELECT body FROM snapshot WHERE place_id=? AND kind=?", (number, kind)).fetchall():
            if self._read(_read_snapshot[kind], body, "snapshot", place_id=number, kind=kind) is not None:
                return str(body)
        return None

    def put_node(self, tenant: str, site: str, record: NodeRecord) -> None:
        """Keep the latest word of a node."""
        self._run(
            "INSERT OR REPLACE INTO node VALUES (?,?,?,?,?,?)",
            (tenant, site, record.node, record.kind, record.time_s, record.body),
        )

    def nodes(self, tenant: str, site: str) -> list[NodeRecord]:
        """Give the latest words of a site's nodes."""
        rows = self._run(
            "SELECT node, kind, time_s, body FROM node WHERE tenant=? AND site=? ORDER BY 1, 2", (tenant, site)
        ).fetchall()
        return [NodeRecord(node=node, kind=kind, time_s=time_s, body=body) for node, kind, time_s, body in rows]

    def put_event(self, place: Place, event_id: str, phase: str, time_s: int, body: bytes) -> None:
        """Keep one phase of an event, the later one if it comes twice."""
        self._run(
            "INSERT INTO event VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET time_s=excluded.time_s, body=excluded.body"
            " WHERE (excluded.time_s, excluded.body) > (time_s, body)",
            (self._number(place), event_id, phase, time_s, body.decode()),
        )

    # ---- buckets ----

    def places(self) -> list[Place]:
        """Give every place something was heard of."""
        rows = self._run("SELECT tenant, site, provenance FROM place ORDER BY 1, 2, 3").fetchall()
        return [Place(tenant=tenant, site=site, provenance=Provenance(text)) for tenant, site, text in rows]

    def mark_dirty(self, place: Place, hours_s: Iterable[int]) -> None:
        """Note hours whose figures must be computed anew."""
        number = self._number(place)
        self._db.executemany("INSERT OR IGNORE INTO dirty VALUES (?,?)", {(number, hour_s) for hour_s in hours_s})

    def dirty(self, limit: int) -> list[DirtyHour]:
        """Give dirty hours, those of one place together, oldest first."""
        rows = self._run(
            "SELECT tenant, site, provenance, hour_s FROM dirty JOIN place ON id=place_id ORDER BY place_id, hour_s"
            " LIMIT ?",
            (limit,),
        ).fetchall()
        return [
            DirtyHour(place=Place(tenant=tenant, site=site, provenance=Provenance(text)), hour_s=hour_s)
            for tenant, site, text, hour_s in rows
        ]

    def clean(self, hours: Sequence[DirtyHour]) -> None:
        """Forget that these were dirty."""
        self._db.executemany(
            "DELETE FROM dirty WHERE place_id=? AND hour_s=?", [(self._number(d.place), d.hour_s) for d in hours]
        )

    def put_bucket(self, place: Place, origin: Origin, bucket: KpiBucket) -> bool:
        """Keep a bucket: of the hub's the highest revision, of ours what changed as the next one; False: as it was."""
        key = (self._number(place), origin, bucket.grain, bucket.start_s)
        body = msgspec.json.encode(msgspec.structs.replace(bucket, rev=0)).decode()
        old = self._run(
            "SELECT rev, body FROM bucket WHERE place_id=? AND origin=? AND grain=? AND start_s=?", key
        ).fetchall()
        rev = bucket.rev if origin is Origin.HUB else old[0][0] + 1 if old else 1
        known = old and (old[0][1] == body if origin is Origin.COLLECTOR else old[0] >= (rev, body))
        if known:
            return False
        self._run(
            "INSERT INTO bucket VALUES (?,?,?,?,?,?,0,?) ON CONFLICT DO UPDATE SET end_s=excluded.end_s,"
            " rev=excluded.rev, body=excluded.body",
            (*key, bucket.end_s, rev, body),
        )
        return True

    def buckets(self, place: Place, origin: Origin, grain: Grain, start_s: int, end_s: int) -> list[KpiBucket]:
        """Give the buckets that began in [start_s, end_s), oldest first."""
        asked = "origin=? AND grain=? AND start_s>=? AND start_s<? ORDER BY start_s"
        return self._buckets(place, asked, origin, grain, start_s, end_s)

    def unpublished(self, place: Place, ended_by_s: int, limit: int = 100) -> list[KpiBucket]:
        """Give our buckets of a place whose present revision nobody was told, oldest end first."""
        asked = "origin=? AND published_rev<rev AND end_s<=? ORDER BY end_s, start_s LIMIT ?"
        return self._buckets(place, asked, Origin.COLLECTOR, ended_by_s, limit)

    def mark_published(self, place: Place, bucket: KpiBucket) -> None:
        """Note that the broker has this revision."""
        self._run(
            "UPDATE bucket SET published_rev=max(published_rev, ?)"
            " WHERE place_id=? AND origin=? AND grain=? AND start_s=?",
            (bucket.rev, self._number(place), Origin.COLLECTOR, bucket.grain, bucket.start_s),
        )

    # ---- sales ----

    def put_sales(self, tenant: str, provenance: Provenance, sales: Iterable[Sale]) -> int:
        """Keep receipts, replacing those of the same name; give how many are new."""
        before = self._run("SELECT count(*) FROM sale").fetchone()[0]
        self._db.executemany(
            "INSERT OR REPLACE INTO sale VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [
                (
                    tenant, s.location_id, provenance, s.source, s.transaction_id, s.kind, s.sold_s, s.gross_minor,
                    s.net_minor, s.tax_minor, s.currency, s.items, s.tender,
                )
                for s in sales
            ],
        )  # fmt: skip
        return int(self._run("SELECT count(*) FROM sale").fetchone()[0] - before)

    def sales(self, place: Place, start_s: int, end_s: int) -> list[Sale]:
        """Give the receipts of [start_s, end_s) in order of time."""
        rows = self._run(
            "SELECT source, location_id, transaction_id, sold_s, kind, gross_minor, net_minor, tax_minor, currency,"
            " items, tender FROM sale WHERE tenant=? AND location_id=? AND provenance=? AND sold_s>=? AND sold_s<?"
            " ORDER BY sold_s, source, transaction_id, kind",
            (place.tenant, place.site, place.provenance, start_s, end_s),
        ).fetchall()
        return [_sale(row) for row in rows]

    # ---- retention ----

    def forget(self, *, visits_before_s: int, hours_before_s: int, days_before_s: int) -> None:
        """Delete what is older than it may be."""
        before = {"visits_s": visits_before_s, "hours_s": hours_before_s, "days_s": days_before_s}
        for statement in _sql("sqlite-forget.sql").split(";"):
            self._run(statement, before)

    # ---- within ----

    def _advance(self, source: str, boot: str) -> None:
        """Move `upto` over what lies there without a hole."""
        (upto,) = self._run("SELECT upto FROM outbox WHERE source=? AND boot=?", (source, boot)).fetchone()
        before, reached = -1, upto
        while reached > before:
            before, reached = reached, self._beyond(source, boot, reached)
        if reached > upto:
            self._run("UPDATE outbox SET upto=? WHERE source=? AND boot=?", (reached, source, boot))

    def _beyond(self, source: str, boot: str, reached: int) -> int:
        """Give how far messages, or else what was dropped, reach on from there."""
        for (seq,) in self._run(
            "SELECT seq FROM message WHERE source=? AND boot=? AND seq>? ORDER BY seq", (source, boot, reached)
        ):
            if seq != reached + 1:
                break
            reached = seq
        (lost,) = self._run(
            "SELECT max(last) FROM lost WHERE source=? AND boot=? AND first<=? AND last>?",
            (source, boot, reached + 1, reached),
        ).fetchone()
        return reached if lost is None else int(lost)

    def _buckets(self, place: Place, asked: str, *values: object) -> list[KpiBucket]:
        number, found = self._known(place), []
        for origin, grain, start_s, rev, body in self._run(
            f"SELECT origin, grain, start_s, rev, body FROM bucket WHERE place_id=? AND {asked}", (number, *values)
        ).fetchall():
            key = {"place_id": number, "origin": origin, "grain": grain, "start_s": start_s}
            if (bucket := self._read(_read_bucket, body, "bucket", **key)) is not None:
                found.append(msgspec.structs.replace(bucket, rev=rev))
        return found

    def _read(self, decode: Callable[[str], T], body: str, table: str, **key: object) -> T | None:
        """Decode a row; None for one that is none of ours, which goes to quarantine where we may write."""
        try:
            return decode(body)
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            if self._writes:
                payload = body if isinstance(body, bytes) else str(body).encode()
                reason = f"a row of the store that cannot be read: {str(error)[:200]}"
                self.quarantine(f"store/{table}", "store", reason, payload, int(time.time()))
                where = " AND ".join(f"{column}=?" for column in key)
                self._run(f"DELETE FROM {table} WHERE {where}", tuple(key.values()))
            return None

    def _number(self, place: Place) -> int:
        """Give the id of a place, made if need be."""
        key = (place.tenant, place.site, place.provenance)
        known = self._known(place)
        if known is None:
            known = self._run("INSERT INTO place (tenant, site, provenance) VALUES (?,?,?)", key).lastrowid
        assert known is not None
        return known

    def _known(self, place: Place) -> int | None:
        rows = self._run(
            "SELECT id FROM place WHERE tenant=? AND site=? AND provenance=?",
            (place.tenant, place.site, place.provenance),
        ).fetchall()
        return rows[0][0] if rows else None

    def _migrate(self) -> None:
        (version,) = self._run("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StorageError(
                f"was written by a newer version (schema {version}, known {len(MIGRATIONS)})",
                where=str(self._path),
                next_step="update footfall or give another --data",
            )
        for number, name in enumerate(MIGRATIONS[version:], start=version + 1):
            self._db.executescript(f"BEGIN IMMEDIATE; {_sql(name)}; PRAGMA user_version={number}; COMMIT;")
        provenances = ", ".join(f"'{one}'" for one in Provenance)
        if strange := self._run(_STRANGE.replace("PROVENANCES", provenances)).fetchall():
            raise StorageError(
                f"holds values of a strange kind in {', '.join(table for (table,) in strange)}",
                where=str(self._path),
                next_step="update footfall, or move it away and give a copy that is whole",
            )
        self._run("INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)", (_new_id(),))

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self._run(begin)
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has rolled back already
                self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError, OSError) as error:
            if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
                raise
            raise _storage_error(self._path, error) from error


def _sql(name: str) -> str:
    return files(__package__).joinpath("migrations", name).read_text("utf-8")


def _scope(source_prefix: str) -> tuple[str, str]:
    return source_prefix, source_prefix + "\x7f"


def _new_id() -> str:
    return secrets.token_hex(4)


def _sale(row: tuple[str, str, str, int, str, int, int, int, str, int, str]) -> Sale:
    source, location_id, transaction_id, sold_s, kind, gross, net, tax, currency, items, tender = row
    return Sale(
        source=source, location_id=location_id, transaction_id=transaction_id, sold_s=sold_s, kind=SaleKind(kind),
        gross_minor=gross, net_minor=net, tax_minor=tax, currency=currency, items=items, tender=tender,
    )  # fmt: skip


def _storage_error(path: Path, error: Exception) -> StorageError:
    full = "full" in str(error) or "No space" in str(error)
    step = "free some space" if full else "check the disk, the path and that the file is whole"
    return StorageError(f"cannot be used ({error})", where=str(path), next_step=step)
