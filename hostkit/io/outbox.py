"""The hub's SQLite file: what must outlive a SIGKILL. Never sees a site key, a device key or a clear sighting.

Nothing is durable before `commit`: rows for the collector, checkpoint, journal and what was taken from each probe
become so together, and only then may anybody be told. WAL, synchronous=FULL: a commit is on the disk when it returns.
The file is locked for one hub. `boot` names it for ever; `seq` is AUTOINCREMENT and never comes twice.
A refusing disk raises StorageError and leaves the file as at the last commit; the caller must not go on.
"""

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from hostkit.contract.messages import LostReason
from hostkit.core.rollup import Grain
from hostkit.errors import StorageError

VERSION = 2
APPLICATION_ID = 0x46464F42  # "FFOB"
MAX_BYTES = 256 << 20  # a month of 25,000 visits a day
KEPT_BOOTS = 4  # per probe: a broker may deliver what an earlier boot sent
_TABLES = {Grain.HOUR: "bucket", Grain.DAY: "day"}
_BROKEN = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # SQLITE_ERROR: a table is missing
ROOM = "free some space and check that no other hub uses this folder, then start again; nothing acked is lost"
MOVE_AWAY = "move it away and start again; keep it, for what waits for the collector is in it"
UPDATE = "update footfall; the file stays as it is"
ELSEWHERE = "give the hub a --data folder of its own"
# Of a row that is no message of visits, as only tests write, nothing is counted.
_COUNT_VISITS = """
SELECT min(seq), max(seq), min(at_s), max(at_s), sum(
    CASE WHEN json_valid(CAST(payload AS TEXT))
    THEN coalesce(json_array_length(CAST(payload AS TEXT), '$.data.rows'), 0) ELSE 0 END
) FROM outbox WHERE seq <= ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Rows `first` to `last` that were dropped at a cap with `rows` visits in them, made from since_s to until_s."""

    first: int
    last: int
    rows: int
    since_s: int
    until_s: int
    reason: LostReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A row that waits for the collector; in the place of dropped ones, under the last one's `seq`, their record."""

    seq: int
    payload: bytes = b""
    lost: Lost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life of a site key: its journal begins with it, and `visits` of it are committed.

    `site` is the configuration it began with, as site.toml. `whole` is False once the journal had to be given up.
    """

    id: str
    key_id: int
    site: str
    visits: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A closed hour or day as it is published."""

    start_s: int
    rev: int
    payload: bytes
    grain: Grain = Grain.HOUR


class Outbox:
    """The open file. `max_bytes` bounds the payloads that wait for the collector; `expire` bounds their age."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._given_up = False
        with self._storing("cannot be opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level="IMMEDIATE", timeout=1.0)
            path.chmod(0o600)
            self._open()
        self.boot = self._meta("boot")
        self.gone = int(self._meta("gone"))
        self.lost = int(self._meta("lost"))
        self.lost_visits = int(self._meta("lost_visits"))
        self.depth, self.last, self.bytes = self._depth()

    @property
    def where(self) -> str:
        """Give what its errors name."""
        return str(self._path)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Let StorageError name the file where reading it fails within."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._refusal(f"cannot be read ({error})", MOVE_AWAY) from error

    def commit(self) -> None:
        """Make everything since the last commit durable, all or nothing."""
        with self._storing("cannot be written"):
            self._db.commit()
            if self._given_up:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._given_up = False

    def close(self) -> None:
        """Give up what was not committed and unlock the file."""
        self._db.rollback()
        self._db.close()

    # -- rows for the collector --

    def put(self, at_s: int, make: Callable[[int], bytes]) -> int:
        """Append the payload that `make` gives for its `seq`; beyond the cap the oldest rows go, and leave a record."""
        with self._storing("cannot be written"):
            seq = self._db.execute("INSERT INTO outbox(at_s, payload) VALUES (?, x'')", (at_s,)).lastrowid or 0
            payload = make(seq)
            self._db.execute("UPDATE outbox SET payload = ? WHERE seq = ?", (payload, seq))
            self.depth += 1
            self.last = seq
            self.bytes += len(payload)
            if self.bytes > self._max_bytes:
                self._drop(self._surplus(), LostReason.SIZE)
        return seq

    def expire(self, before_s: int) -> int:
        """Drop the oldest rows that were made before this time, leaving a record; give how many."""
        (first,) = self._db.execute("SELECT min(seq) FROM outbox WHERE at_s >= ?", (before_s,)).fetchone()
        with self._storing("cannot be written"):
            return self._drop(self.last if first is None else int(first) - 1, LostReason.AGE)

    def waiting(self, after: int, limit: int) -> tuple[Waiting, ...]:
        """Give up to `limit` rows that come after seq `after`, oldest first."""
        rows = self._db.execute("SELECT seq, payload FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        lost = self._db.execute("SELECT * FROM lost WHERE last > ? ORDER BY last LIMIT ?", (after, limit))
        found = [Waiting(seq=int(seq), payload=bytes(payload)) for seq, payload in rows]
        found += [Waiting(seq=one.last, lost=one) for one in map(_lost, lost)]
        return tuple(sorted(found, key=lambda one: one.seq)[:limit])

    def acknowledge(self, upto: int) -> None:
        """Forget all rows up to and including `upto`: the collector has them."""
        if upto <= self.gone:
            return
        with self._storing("cannot be written"):
            self.gone = min(upto, self.last)
            self.bytes -= self._size(self.gone)[1]
            for sql in ("DELETE FROM outbox WHERE seq <= ?", "DELETE FROM lost WHERE last <= ?"):
                self.depth -= self._db.execute(sql, (self.gone,)).rowcount
            self._set_meta(gone=self.gone)

    @property
    def oldest_at_s(self) -> int | None:
        """Time of the oldest row that waits."""
        times = "SELECT min(at_s) AS at_s FROM outbox UNION ALL SELECT min(since_s) FROM lost"
        (oldest_s,) = self._db.execute(f"SELECT min(at_s) FROM ({times})").fetchone()
        return None if oldest_s is None else int(oldest_s)

    # -- what was taken from probes --

    def taken(self) -> dict[tuple[str, int], int]:
        """Give the last batch taken, by probe and boot."""
        rows = self._db.execute("SELECT probe, boot, upto FROM taken")
        return {(str(probe), int(boot)): int(upto) for probe, boot, upto in rows}

    def set_taken(self, probe: str, boot: int, upto: int) -> None:
        """Note that everything of this boot up to `upto` is in the journal; forgets boots long gone."""
        with self._storing("cannot be written"):
            self._db.execute("INSERT OR REPLACE INTO taken VALUES (?, ?, ?)", (probe, boot, upto))
            self._db.execute(
                "DELETE FROM taken WHERE probe = ? AND boot NOT IN "
                "(SELECT boot FROM taken WHERE probe = ? ORDER BY boot = ? DESC, boot DESC LIMIT ?)",
                (probe, probe, boot, KEPT_BOOTS),
            )

    # -- the life of the key --

    def life(self) -> Life | None:
        """Give the life that was running when the file was last written."""
        row = self._db.execute("SELECT id, key_id, visits, site, whole FROM life").fetchone()
        return Life(id=row[0], key_id=row[1], visits=row[2], site=row[3], whole=bool(row[4])) if row else None

    def begin_life(self, life: Life) -> None:
        """Replace the running life; its journal and checkpoint go."""
        with self._storing("cannot be written"):
            self._db.execute("DELETE FROM journal")
            self._db.execute("DELETE FROM checkpoint")
            values = (life.id, life.key_id, life.visits, life.site, life.whole)
            self._db.execute("INSERT OR REPLACE INTO life VALUES (1, ?, ?, ?, ?, ?)", values)

    def give_up_journal(self) -> None:
        """Drop the journal, which became too long: after a restart the life cannot be continued."""
        with self._storing("cannot be written"):
            self._db.execute("DELETE FROM journal")
            self._db.execute("UPDATE life SET whole = 0")

    def give_up_visits(self) -> None:
        """Drop all that is of single visits, but what waits for the collector; the next commit clears the WAL too."""
        self.give_up_journal()
        with self._storing("cannot be written"):
            self._db.execute("DELETE FROM checkpoint")
            self._db.execute("DELETE FROM visit")
        self._given_up = True

    def journal(self, sealed: bytes) -> None:
        """Append one sealed entry."""
        with self._storing("cannot be written"):
            self._db.execute("INSERT INTO journal(sealed) VALUES (?)", (sealed,))

    def journal_entries(self) -> Iterator[bytes]:
        """Give all sealed entries in order."""
        for (sealed,) in self._db.execute("SELECT sealed FROM journal ORDER BY n"):
            yield bytes(sealed)

    def set_checkpoint(self, bursts: bytes) -> None:
        """Replace the bursts of open visits; they carry track numbers, no keys."""
        with self._storing("cannot be written"):
            self._db.execute("INSERT OR REPLACE INTO checkpoint VALUES (1, ?)", (bursts,))

    def checkpoint(self) -> bytes:
        """Give the bursts of the visits that were open; empty if none were."""
        row = self._db.execute("SELECT bursts FROM checkpoint").fetchone()
        return bytes(row[0]) if row else b""

    # -- closed visits and hours, for the hub's own figures --

    def add_visits(self, visits: Sequence[tuple[float, bytes]], of_life: int) -> None:
        """Keep encoded visits (end time in s, data); the running life then has `of_life` committed ones."""
        with self._storing("cannot be written"):
            self._db.executemany("INSERT INTO visit(end_s, data) VALUES (?, ?)", visits)
            self._db.execute("UPDATE life SET visits = ?", (of_life,))

    def visits(self) -> tuple[bytes, ...]:
        """Give the encoded visits that are kept, in the order they were added."""
        return tuple(bytes(data) for (data,) in self._db.execute("SELECT data FROM visit ORDER BY n"))

    def forget_before(self, visits_s: float, buckets_s: float) -> None:
        """Drop visits that ended and hours that began before these times."""
        with self._storing("cannot be written"):
            self._db.execute("DELETE FROM visit WHERE end_s < ?", (visits_s,))
            for table in _TABLES.values():
                self._db.execute(f"DELETE FROM {table} WHERE start_s < ?", (buckets_s,))

    def set_bucket(self, bucket: Bucket) -> None:
        """Keep the newest `rev` of an hour or day, as not yet sent."""
        with self._storing("cannot be written"):
            values = (bucket.start_s, bucket.rev, bucket.payload)
            self._db.execute(f"INSERT OR REPLACE INTO {_TABLES[bucket.grain]} VALUES (?, ?, ?, 0)", values)

    def bucket(self, start_s: int, grain: Grain = Grain.HOUR) -> Bucket | None:
        """Give the hour or day that is kept."""
        return next(iter(self._buckets(grain, "start_s = ?", start_s)), None)

    def buckets_to_send(self, limit: int) -> tuple[Bucket, ...]:
        """Give the oldest hours and days that were not sent."""
        found = [self._buckets(grain, "sent = 0 ORDER BY start_s LIMIT ?", limit) for grain in Grain]
        return tuple(bucket for buckets in found for bucket in buckets)[:limit]

    def buckets_sent(self, buckets: tuple[Bucket, ...]) -> None:
        """Note that the broker confirmed these."""
        with self._storing("cannot be written"):
            for bucket in buckets:
                sql = f"UPDATE {_TABLES[bucket.grain]} SET sent = 1 WHERE start_s = ? AND rev = ?"
                self._db.execute(sql, (bucket.start_s, bucket.rev))

    def last_hours_again(self, span_s: int) -> None:
        """Mark the newest hours and days, which began within `span_s` of the last one, as not sent."""
        with self._storing("cannot be written"):
            for table in _TABLES.values():
                newest = f"SELECT max(start_s) FROM {table}"
                self._db.execute(f"UPDATE {table} SET sent = 0 WHERE start_s > ({newest}) - ?", (span_s,))

    def send_again(self, from_s: int, to_s: int) -> int:
        """Mark the hours and days that begin in [from_s, to_s) as not sent; give how many."""
        sql = "UPDATE {} SET sent = 0 WHERE start_s >= ? AND start_s < ?"
        with self._storing("cannot be written"):
            return sum(self._db.execute(sql.format(table), (from_s, to_s)).rowcount for table in _TABLES.values())

    # -- single words --

    def word(self, name: str) -> str | None:
        """Give a named word, None if it was never set."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set_word(self, name: str, value: str) -> None:
        """Keep a named word."""
        with self._storing("cannot be written"):
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _meta(self, name: str) -> str:
        word = self.word(name)
        if word is None:
            raise self._refusal(f"is damaged (it has no {name})", MOVE_AWAY)
        return word

    def _buckets(self, grain: Grain, condition: str, *values: int) -> tuple[Bucket, ...]:
        rows = self._db.execute(f"SELECT start_s, rev, payload FROM {_TABLES[grain]} WHERE {condition}", values)
        return tuple(
            Bucket(start_s=start, rev=rev, payload=bytes(payload), grain=grain) for start, rev, payload in rows
        )

    def _open(self) -> None:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if application == APPLICATION_ID and version > VERSION:
            raise self._refusal(f"is of a newer release (version {version}, this one reads {VERSION})", UPDATE)
        if application == APPLICATION_ID and version >= 1:
            # locks out a second hub now, not at the first write
            upgrade = _sql("outbox-to-2") if version == 1 else ""
            self._db.executescript(f"BEGIN EXCLUSIVE; {upgrade} PRAGMA user_version = {VERSION}; COMMIT;")
            self._check()
            return
        if version or application or self._db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
            raise self._refusal("is another program's database", ELSEWHERE)
        self._db.executescript(f"BEGIN EXCLUSIVE; {_sql('outbox-schema')} {_sql('outbox-to-2')}")
        boot = secrets.token_hex(8)  # of the database, not of a run of the hub
        self._set_meta(boot=boot, gone=0, lost=0)
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._db.commit()

    def _check(self) -> None:
        """Refuse a file that is not whole: it is left as it is, with all that waits in it."""
        (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise self._refusal(f"is damaged ({' '.join(str(found).split())[:120]})", MOVE_AWAY)
        reasons = ", ".join(f"'{reason}'" for reason in LostReason)
        if strange := self._db.execute(_sql("outbox-strange").replace("REASONS", reasons)).fetchall():
            tables = ", ".join(str(table) for (table,) in strange)
            raise self._refusal(f"is damaged (values of a strange kind in {tables})", MOVE_AWAY)

    def _depth(self) -> tuple[int, int, int]:
        count, bytes_, last = self._size(1 << 62)
        (lost,) = self._db.execute("SELECT count(*) FROM lost").fetchone()
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return count + int(lost), max(last, int(row[0]) if row else 0), bytes_

    def _surplus(self) -> int:
        """Give up to which seq rows must go so that the rest fits; the newest stays."""
        left, upto = self.bytes, 0
        rows = self._db.execute("SELECT seq, length(payload) FROM outbox WHERE seq < ? ORDER BY seq", (self.last,))
        while left > self._max_bytes and (row := rows.fetchone()):
            upto, left = int(row[0]), left - int(row[1])
        return upto

    def _drop(self, upto: int, reason: LostReason) -> int:
        count, bytes_, _ = self._size(upto)
        if not count:
            return 0
        first, last, since_s, until_s, visits = self._db.execute(_COUNT_VISITS, (upto,)).fetchone()
        record = Lost(first=first, last=last, rows=visits, since_s=since_s, until_s=until_s, reason=reason)
        self._db.execute("DELETE FROM outbox WHERE seq <= ?", (upto,))
        self.depth += self._record(record) - count
        self.bytes -= bytes_
        self.lost += count
        self.lost_visits += visits
        self._set_meta(lost=self.lost, lost_visits=self.lost_visits)
        return count

    def _record(self, new: Lost) -> int:
        """Keep a record, joined to the one it follows on; give how many records more there are."""
        newest = self._db.execute("SELECT * FROM lost ORDER BY last DESC LIMIT 1").fetchone()
        old = _lost(newest) if newest else None
        if old and old.reason is new.reason and old.last + 1 == new.first:
            self._db.execute("DELETE FROM lost WHERE last = ?", (old.last,))
            new = replace(new, first=old.first, rows=old.rows + new.rows, since_s=old.since_s)
        values = (new.last, new.first, new.rows, new.since_s, new.until_s, new.reason)
        self._db.execute("INSERT INTO lost VALUES (?, ?, ?, ?, ?, ?)", values)
        return int(not old or new.first != old.first)

    def _size(self, upto: int) -> tuple[int, int, int]:
        """Count rows up to `upto`, their bytes, and give the last."""
        sql = "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(max(seq), 0) FROM outbox WHERE seq <= ?"
        count, bytes_, last = self._db.execute(sql, (upto,)).fetchone()
        return int(count), int(bytes_), int(last)

    def _set_meta(self, **values: int | str) -> None:
        pairs = [(name, str(value)) for name, value in values.items()]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", pairs)

    @contextmanager
    def _storing(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            broken = getattr(error, "sqlite_errorcode", None) in _BROKEN
            raise self._refusal(f"{what} ({error})", MOVE_AWAY if broken else ROOM) from error

    def _refusal(self, what: str, next_step: str) -> StorageError:
        return StorageError(what, where=str(self._path), next_step=next_step)


def _sql(name: str) -> str:
    return files(__package__).joinpath("migrations", f"{name}.sql").read_text("utf-8")


def _lost(row: tuple[int, int, int, int, int, str]) -> Lost:
    last, first, rows, since_s, until_s, reason = row
    return Lost(first=first, last=last, rows=rows, since_s=since_s, until_s=until_s, reason=LostReason(reason))
