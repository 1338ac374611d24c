"""A hub as a process beside a real broker, and simulated probes that play to it; faults at will."""

import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from hostkit.config import dump_site
from hostkit.contract.codec import HEALTH, VISITS, decode
from hostkit.contract.messages import Health, VisitRow
from hostkit.errors import PeerError
from hostkit.io.mqtt import Arrived, Client, Inbox, Up, parse_url, take
from hostkit.io.outbox import Outbox
from hostkit.model import Site
from hostkit.sim.live import play
from hostkit.sim.world import SimSettings, simulate
from tests.cli.command import COMMAND, ROOT
from tests.io.brokers import Mosquitto

SETTINGS = SimSettings(people=60, hours=0.5, seed=5)
SPEED = 200.0


class HubProcess:
    """`footfall hub run --clock batch` in `folder`; `lines` is what it printed."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        uplink: str = "",
        site: Site = SETTINGS.site,
        prefix: Sequence[str] = (),
        clock: str = "batch",
        environment: Mapping[str, str] | None = None,
        data: Path | None = None,
    ) -> None:
        self.data = data or folder / "data"
        self.path = site_file = folder / "site.toml"
        site_file.write_text(dump_site(site))
        self._command = [*prefix, *COMMAND, "hub", "run", "--site", str(site_file), "--broker", url]
        self._environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **(environment or {})}
        self._command += ["--data", str(self.data), "--clock", clock, *(["--uplink", uplink] if uplink else [])]
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "HubProcess":
        """Start it; returns at once."""
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, env=self._environment, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        return self

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """End it and give its exit code."""
        assert self.process is not None
        self.process.send_signal(sig)
        return self.process.wait(60)

    def restart(self) -> None:
        """SIGKILL, a moment of nothing, start."""
        self.stop(signal.SIGKILL)
        time.sleep(0.3)
        self.start()

    def said(self, text: str, times: int = 1, timeout_s: float = 60.0) -> str:
        """Wait until `times` lines hold `text`; give the last of them."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = [line for line in self.lines if text in line]
            if len(found) >= times:
                return found[-1]
            time.sleep(0.02)
        raise AssertionError(f"the hub did not say {text!r}: {self.lines}")

    def rows(self) -> list[VisitRow]:
        """Give the visit rows of its outbox, once it has stopped."""
        outbox = Outbox(self.data / "hub.db")
        payloads = [row.payload for row in outbox.waiting(0, 10**6)]
        outbox.close()
        return [row for payload in payloads for row in VISITS.decoder.decode(payload).data.rows]

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:  # as they come: extend would hold them back
                self.lines.append(line)


class Reachable(Protocol):
    """Where a broker listens."""

    @property
    def url(self) -> str: ...


class Watcher:
    """Takes every message of the broker, for a test to look at."""

    def __init__(self, broker: Reachable, pattern: str = "footfall/#") -> None:
        inbox: Inbox = queue.Queue(100_000)
        self.client = Client(parse_url(broker.url), inbox, name="w", client_id="watcher", subscriptions=((pattern, 1),))
        self.messages: list[Arrived] = []
        self._came_s: list[float] = []
        self.client.start()
        self._inbox = inbox
        self._over = threading.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()
        assert self._up.wait(60)

    def of(self, stream: str) -> list[Arrived]:
        """Give what came on topics that end so."""
        return [message for message in list(self.messages) if message.topic.endswith("/" + stream)]

    def timed(self, stream: str) -> list[tuple[Arrived, float]]:
        """Give what came on topics that end so, and when (monotonic)."""
        came = zip(list(self.messages), self._came_s, strict=False)
        return [(message, at_s) for message, at_s in came if message.topic.endswith("/" + stream)]

    def wait(self, stream: str, count: int = 1, timeout_s: float = 60.0) -> list[Arrived]:
        """Wait for `count` messages of a stream."""
        deadline = time.monotonic() + timeout_s
        while len(found := self.of(stream)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} on {stream}"
            time.sleep(0.02)
        return found

    def stop(self) -> None:
        """Disconnect."""
        self._over.set()
        self._thread.join(5)
        self.client.stop()

    def _take(self) -> None:
        while not self._over.is_set():
            item = take(self._inbox, 0.1)
            if isinstance(item, Arrived):
                self.client.ack(item)
                self._came_s.append(time.monotonic())
                self.messages.append(item)
            elif isinstance(item, Up):
                self._up.set()


def last_health(watcher: Watcher, frames: int, batches: int = 0, timeout_s: float = 60.0) -> Health:
    """Wait until the hub has so many batches, and frames with those too late; give what it says then, or in the end.

    What a bad line has damaged is passed over, as by any subscriber that checks.
    """
    deadline = time.monotonic() + timeout_s
    health: Health | None = None
    while True:
        for message in watcher.of("hub/health")[-1:]:
            with suppress(PeerError):
                health = decode(HEALTH, message.payload, message.topic).data
        taken = health.counters["frames"] + health.drops["frames_too_late"] if health else None
        whole = health is not None and taken == frames and health.counters["batches"] >= batches
        if whole or time.monotonic() > deadline:
            assert health, "no health came"
            return health
        time.sleep(0.05)


def patient(line: str) -> None:
    """Fail the test, rather than wait for ever, once the player says that no hub answers."""
    assert "no hub" not in line, line


def played(broker: Mosquitto, hub: HubProcess, faults: Callable[[], None] | None = None) -> list[VisitRow]:
    """Play the seeded shop to the hub, with `faults` beside it, flush, stop; give the rows of the outbox."""
    trouble = threading.Thread(target=faults) if faults else None
    if trouble:
        trouble.start()
    _, result = play(simulate(SETTINGS), broker.url, speed=SPEED, say=patient)
    if trouble:
        trouble.join()
    assert result.unacknowledged == 0
    assert result.dropped == 0
    assert hub.stop() == 0, hub.lines
    return hub.rows()
