"""The hop from a hub's outbox to a collector's store, in one process, over whatever lies between."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from hostkit.collector.clock import Clock, ClockKind
from hostkit.collector.ingest import SUBSCRIPTIONS
from hostkit.collector.service import Collector
from hostkit.contract.codec import ACK, decode
from hostkit.errors import PeerError
from hostkit.hub.links import uplink_client
from hostkit.hub.uplink import Uplink
from hostkit.hub.voice import Voice
from hostkit.io.mqtt import INBOX_ITEMS, Arrived, Client, Inbox, Up, parse_url, take
from hostkit.io.outbox import Outbox
from hostkit.io.store_sqlite import SqliteStore
from hostkit.model import Provenance, Visit
from tests.collector.shop import HubVoice, Shop

TURN_S = 0.02
KEEP_ALIVE_S = 2  # a dead line is found within three seconds


class Sender:
    """What of a hub keeps and sends rows: real outbox, uplink and client."""

    def __init__(self, folder: Path, url: str, shop: Shop) -> None:
        self.outbox = Outbox(folder / "hub.db")
        self._voice = Voice(shop.site)
        self._voice.provenance = Provenance.SIMULATED
        self._said = HubVoice(shop.site, boot=self.outbox.boot)
        self._shop = shop
        self._inbox: Inbox = queue.Queue(INBOX_ITEMS)
        self.client = uplink_client(self._voice, parse_url(url), self._inbox)
        self.client._keep_alive_s = KEEP_ALIVE_S
        self.uplink = Uplink(self.outbox, self.client, self._voice)
        self.produced: list[str] = []
        self.refused = 0
        self.client.start()

    def produce(self, rows: int, visits: int = 2) -> None:
        """Put rows with so many visits each into the outbox: the shop's, each under a name of its own."""
        for _ in range(rows):
            first = len(self.produced)
            known_s, _ = self._shop.visits[first % len(self._shop.visits)]
            found = [self._named(first + number) for number in range(visits)]
            self.produced += [visit.visit_id for visit in found]
            post = self._said.visits(found, known_s)
            self.outbox.put(int(known_s), lambda _, payload=post.payload: payload)
        self.outbox.commit()

    def turn(self) -> None:
        """Take what came, send what is due."""
        while (item := take(self._inbox, 0)) is not None:
            if isinstance(item, Up):
                self.uplink.connected(time.monotonic(), remembered=item.session)
            elif isinstance(item, Arrived):
                self._arrived(item)
        self.outbox.commit()
        self.uplink.pump(time.monotonic())

    def _arrived(self, message: Arrived) -> None:
        try:
            self.uplink.acknowledged(decode(ACK, message.payload, message.topic).data, time.monotonic())
        except PeerError:
            self.refused += 1

    def stop(self) -> None:
        self.client.stop(0.4)
        self.outbox.close()

    def _named(self, number: int) -> Visit:
        return replace(self._shop.visits[number % len(self._shop.visits)][1], visit_id=f"v{number}")


class Receiver:
    """A collector in a thread. `lines` is what it said."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        inbox: Inbox = queue.Queue(INBOX_ITEMS)
        with closing(SqliteStore(self.folder)) as store:
            client = Client(
                parse_url(self._url), inbox, name="collector", client_id="collector", subscriptions=SUBSCRIPTIONS,
                clean=False, keep_alive_s=KEEP_ALIVE_S,
            )  # fmt: skip
            client.start()
            say = self.lines.append
            Collector(store, client, inbox, Clock(ClockKind.BATCH), say=say, remark=say).run(self._over)
            client.stop()


def deliver(sender: Sender, timeout_s: float, meanwhile: Sequence[Callable[[], None]] = ()) -> None:
    """Turn until everything is acknowledged, doing one thing of `meanwhile` each time."""
    deadline = time.monotonic() + timeout_s
    while sender.outbox.depth:
        assert time.monotonic() < deadline, f"{sender.outbox.depth} rows still wait; gone {sender.outbox.gone}"
        sender.turn()
        for act in meanwhile:
            act()
        time.sleep(TURN_S)


def stored(folder: Path) -> list[str]:
    """Every visit id in the collector's store, in order."""
    with closing(SqliteStore(folder)) as store, store.reading():
        (place,) = store.places()
        assert store.gaps("/") == []
        assert store.held("/").completeness == 1.0
        return [row.visit_id for row in store.visits(place, 0, 1 << 40)]
