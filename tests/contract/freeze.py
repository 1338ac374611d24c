"""What this release writes, for its successors to read: `python -m tests.contract.freeze VERSION`, before a release.

Batches of probes, messages of a hub, and both databases as SQL, all of a small simulated shop.
"""

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from hostkit.collector.clock import AHEAD_S
from hostkit.collector.ingest import Ingest
from hostkit.contract.messages import Ack
from hostkit.hub.keeper import database
from hostkit.io.outbox import Outbox
from hostkit.io.store_sqlite import FILE, SqliteStore
from tests.collector.shop import BOOT, HubVoice, Post, Shop, day, simulated

RELEASES = Path(__file__).parents[1] / "data" / "releases"
BATCHES = Path(__file__).parents[1] / "data" / "wire" / "batches.json"
VISITS = 20


def posts(shop: Shop) -> list[Post]:
    """One of each kind that carries data."""
    voice = HubVoice(shop.site)
    visits = [visit for _, visit in shop.visits[:VISITS]]
    told = {post.topic: post for post in day(shop, HubVoice(shop.site, boot="told"))}
    rest = [post for topic, post in told.items() if not topic.endswith("/visits")]
    return [*rest, voice.visits(visits, shop.end_s), voice.health(Ack(boot=BOOT, upto=0), shop.end_s)]


def hub_sql(folder: Path, rows: list[bytes], at_s: int) -> str:
    """A hub's database with rows that wait."""
    outbox = Outbox(database(folder))
    for payload in rows:
        outbox.put(at_s, lambda _, payload=payload: payload)
    outbox.set_taken("probe-1", 7, 41)
    outbox.commit()
    outbox.close()
    return dumped(database(folder))


def collector_sql(folder: Path, told: list[Post], at_s: int) -> str:
    """A collector's database that took everything."""
    store = SqliteStore(folder)
    ingest = Ingest(store, lambda: at_s, lambda: at_s + AHEAD_S)
    with store.writing():
        assert not [post.topic for post in told if ingest.take(post.topic, post.payload).refused]
    store.close()
    return dumped(folder / FILE)


def dumped(path: Path) -> str:
    """A database as SQL, its marks included."""
    with closing(sqlite3.connect(path)) as database_:
        marks = {name: database_.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")}
        return "\n".join([*database_.iterdump(), *(f"PRAGMA {name}={value};" for name, value in marks.items())])


def main(version: str) -> None:
    """Write the release's file."""
    shop = simulated(40, 2.0, 9)
    told = posts(shop)
    rows = [post.payload for post in told if post.topic.endswith("/visits")]
    with tempfile.TemporaryDirectory() as name:
        frozen = {
            "batches": json.loads(BATCHES.read_text()),
            "messages": [{"topic": post.topic, "payload": post.payload.decode()} for post in told],
            "visits": [visit.visit_id for _, visit in shop.visits[:VISITS]],
            "hub": hub_sql(Path(name) / "hub", rows, shop.end_s),
            "collector": collector_sql(Path(name) / "collector", told, shop.end_s),
        }
    (RELEASES / f"{version}.json").write_text(json.dumps(frozen, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
