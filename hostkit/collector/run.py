"""Composition root of the collector: store, broker client, loop, HTTP server. Runs until it is told to stop."""

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hostkit.collector.api import Api
from hostkit.collector.clock import Clock, ClockKind
from hostkit.collector.ingest import SUBSCRIPTIONS
from hostkit.collector.service import Collector, Say
from hostkit.identity.realms import UplinkRealm
from hostkit.identity.upkeep import Upkeep
from hostkit.io.mqtt import INBOX_ITEMS, BrokerUrl, Client, Inbox
from hostkit.io.store_sqlite import SqliteStore
from hostkit.io.webserver import Listen, WebServer


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """What to connect to, where to keep data and where to listen."""

    broker: BrokerUrl
    folder: Path
    listen: Listen
    clock: ClockKind = ClockKind.WALL


def run_collector(settings: CollectorSettings, *, say: Say, remark: Say) -> None:
    """Run until SIGINT or SIGTERM. Raises StorageError, ConfigError or PeerError for what cannot even start."""
    inbox: Inbox = queue.Queue(INBOX_ITEMS)
    with closing(SqliteStore(settings.folder)) as store, _listening(settings.listen) as web:
        with store.reading():
            clock = Clock(settings.clock, store.latest_us())
        client = Client(
            settings.broker,
            inbox,
            name="collector",
            client_id=f"footfall-collector-{store.identity}",
            subscriptions=SUBSCRIPTIONS,
            clean=False,
        )
        api = Api(lambda: closing(SqliteStore(settings.folder)), clock.now_s)
        web.start(api.application(any_host=not settings.listen.loopback))
        client.start()
        credentials = [Path(settings.broker.key).parent] if settings.broker.key else []
        upkeep = Upkeep(UplinkRealm(), settings.folder, credentials, say)
        upkeep.start()
        say(f"collector: {web.url} (Ctrl-C stops)")
        if not settings.listen.loopback:
            remark(f"{web.url}: anyone on the network can read it; put a proxy with TLS and a password in front")
        try:
            Collector(store, client, inbox, clock, say=say, remark=remark).run(_stopped_by_signal())
        finally:
            upkeep.stop()
            client.stop()


@contextmanager
def _listening(listen: Listen) -> Iterator[WebServer]:
    server = WebServer(listen)
    try:
        yield server
    finally:
        server.stop()


def _stopped_by_signal() -> threading.Event:
    stop = threading.Event()
    handler: Callable[[int, object], None] = lambda _number, _frame: stop.set()  # noqa: E731
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
    return stop
