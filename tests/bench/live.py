"""What 64 probes' 500 sightings a second each cost a hub, beside a paho subscriber that discards the same batches.

`python -m tests.bench.live [SECONDS]` in real time: mosquitto, a hub with pipeline and outbox, a collector, and an
outbox of another site whose rows go to that collector meanwhile, each a process of its own.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from hostkit.core.dot11 import FRAME
from hostkit.core.wire import Flag, Listened
from hostkit.model import Floor, Probe, Provenance, Radio, Site
from hostkit.sim.player import Played, Player
from hostkit.sim.probe import Heard
from tests.cli.command import ROOT
from tests.collector.running import CollectorProcess
from tests.collector.shop import simulated
from tests.faults.hop import Sender
from tests.hub.service import HubProcess
from tests.io.brokers import Mosquitto

PROBES, PER_PROBE_S = 64, 500
FRAMES_A_SCAN, FRAME_STEP_US, HEARD_BY = 12, 20_000, 8
SCANS_S = PROBES * PER_PROBE_S // (FRAMES_A_SCAN * HEARD_BY)
START_US = 1_741_078_800_000_000
ROW_EVERY_S, LOOK_EVERY_S = 0.05, 0.002
WARM_ROWS = 20
BROKER = ("set_tcp_nodelay true", "max_queued_messages 0", "max_inflight_messages 100")
STARE = """
import sys, paho.mqtt.client as paho
client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="stare")
client.on_connect = lambda c, *_: c.subscribe("footfall/v1/+/+/+/obs", 1)
client.on_message = lambda *_: None
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU-seconds of hub and subscriber while it was played; seconds from publish to ack of each outbox row."""

    hub_s: float
    bare_s: float
    played: Played
    delays_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Give the hub's CPU over the bare subscriber's."""
        return self.hub_s / self.bare_s

    @property
    def share(self) -> float:
        """Give what of one core 32,000 sightings a second take."""
        return self.hub_s / self.played.frames * PROBES * PER_PROBE_S

    @property
    def p99_s(self) -> float:
        """Give the delay that one row in a hundred exceeds: to the ack, so the commit was before."""
        return float(np.quantile(self.delays_s, 0.99))

    def __str__(self) -> str:
        done = self.played
        return (
            f"{done.frames:,} sightings in {done.batches:,} batches, {done.speed:.2f} times real time\n"
            f"hub {self.hub_s:.2f} s of CPU, bare subscriber {self.bare_s:.2f} s: {self.ratio:.1f} times as much\n"
            f"{self.share:.2f} of one core at {PROBES * PER_PROBE_S:,} sightings a second\n"
            f"visits: publish to the collector's ack, p50 {np.median(self.delays_s) * 1e3:.0f} ms,"
            f" p99 {self.p99_s * 1e3:.0f} ms of {len(self.delays_s)} rows"
        )


class Crowd:
    """What one of the probes hears: a share of all scans, 12 frames each, every scan under a key of its own."""

    def __init__(self, number: int, seconds: float) -> None:
        random = np.random.default_rng(number)
        self.probe, self.provenance, self.hardware = f"p{number}", Provenance.SIMULATED, "bench"
        self.start_us = START_US
        self._end_us = START_US + int(seconds * 1e6)
        bursts = int(PER_PROBE_S * seconds) // FRAMES_A_SCAN
        scan = random.integers(0, int(SCANS_S * seconds), bursts).repeat(FRAMES_A_SCAN)
        place = np.tile(np.arange(FRAMES_A_SCAN), bursts)
        frames = np.zeros(len(scan), FRAME)
        frames["time_us"] = START_US + scan * 1_000_000 // SCANS_S + place * FRAME_STEP_US
        frames["device_key"] = (scan.astype(np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
        frames["fingerprint"], frames["sequence"] = scan % 40, place
        frames["rssi_dbm"], frames["noise_dbm"] = random.integers(-90, -40, bursts).repeat(FRAMES_A_SCAN), -95
        frames["channel"], frames["flags"] = 6, Flag.RANDOMISED
        self._frames = np.sort(frames, order="time_us")

    def true_us(self, local_us: int) -> int:
        """Give the true time: its clock is right."""
        return local_us

    def describe(self, fingerprint: int) -> bytes | None:
        """Give nothing: no frame was kept."""
        return None

    def take_up(self, probe: Probe) -> str | None:
        """Take a configuration in force: it changes nothing here."""
        return None

    def listen(self, from_us: int, to_us: int, most: int, key: bytes) -> Heard | None:
        """Give what it hears next; None at the end."""
        if from_us >= self._end_us:
            return None
        first, last = np.searchsorted(self._frames["time_us"], [from_us, to_us])
        found = self._frames[first : min(last, first + most)]
        until_us = int(found["time_us"][-1]) + 1 if last - first > most else to_us
        listened = (Listened(radio=Radio.WIFI, channel=6, listened_ms=(until_us - from_us) // 1000),)
        return Heard(from_us=from_us, to_us=until_us, frames=found, listened=listened)


def site() -> Site:
    """Give a hall with its probes in a square of eight by eight."""
    floor = Floor(id="hall", bounds_m=(0, 0, 80, 80), interior_m=((5, 5), (75, 5), (75, 75), (5, 75)))
    places = [(5.0 + 10 * (n % 8), 5.0 + 10 * (n // 8), 2.5) for n in range(PROBES)]
    probes = tuple(Probe(id=f"p{n}", floor="hall", position_m=place) for n, place in enumerate(places))
    return replace(Site(tenant="bench", site="hall", time_zone="UTC"), floors=(floor,), probes=probes)


def cpu_s(pid: int) -> float:
    """Give user and system time of a process (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(seconds: float, folder: Path) -> Cost:
    """Play so many seconds of the hall in real time."""
    with ExitStack() as running:
        broker = Mosquitto(folder, lines=BROKER).start()
        running.callback(broker.stop)
        hub = HubProcess(folder, broker.url, site=site()).start()
        running.callback(hub.stop)
        collector = CollectorProcess(broker.url, folder / "collector")
        running.callback(collector.stop)
        sender = Sender(folder, broker.url, simulated(20, 1.0, 4))
        running.callback(sender.stop)
        hub.said("site broker: connected")
        bare = running.enter_context(child("-c", STARE, str(broker.port)))
        deliver(sender, WARM_ROWS)
        result = folder / "played.json"
        probes = running.enter_context(child("-m", "tests.bench.live", str(seconds), broker.url, out=result))
        assert hub.process is not None
        pids = hub.process.pid, bare.pid
        before = [cpu_s(pid) for pid in pids]
        delays_s = deliver(sender, probes)
        hub_s, bare_s = (cpu_s(pid) - was for pid, was in zip(pids, before, strict=True))
        assert probes.returncode == 0
    played = msgspec.json.decode(result.read_bytes(), type=Played)
    return Cost(hub_s=hub_s, bare_s=bare_s, played=played, delays_s=tuple(delays_s))


def deliver(sender: Sender, until: "int | subprocess.Popen[bytes]") -> list[float]:
    """Put a row into the outbox every so often, so many times or while a process runs; give the delays to their acks.

    What waits for its ack at the end counts as if it came then.
    """
    published_s: dict[int, float] = {}
    delays_s: list[float] = []
    due_s = time.monotonic()
    while len(delays_s) < until if isinstance(until, int) else until.poll() is None:
        if sender.client.connected and time.monotonic() >= due_s:
            sender.produce(1)
            published_s[sender.outbox.last] = due_s = time.monotonic()
            due_s += ROW_EVERY_S
        sender.turn()
        for seq in [seq for seq in published_s if seq <= sender.outbox.gone]:
            delays_s.append(time.monotonic() - published_s.pop(seq))
        time.sleep(LOOK_EVERY_S)
    return delays_s + [time.monotonic() - at_s for at_s in published_s.values()]


@contextmanager
def child(*arguments: str, out: Path = Path(os.devnull)) -> Iterator["subprocess.Popen[bytes]"]:
    """Run Python with these arguments; killed at the end."""
    with out.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def play(seconds: float, url: str) -> Played:
    """Play all probes of the hall in real time."""
    sources = [Crowd(number, seconds) for number in range(PROBES)]
    return Player(sources, url, tenant="bench", site="hall", speed=1.0, say=lambda _: None).run()


def main(seconds: float = 30.0, url: str = "") -> None:
    """Measure, or with a broker's address play to it."""
    if url:
        sys.stdout.buffer.write(msgspec.json.encode(play(seconds, url)))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(measure(seconds, Path(folder)))


if __name__ == "__main__":
    main(*(convert(text) for convert, text in zip((float, str), sys.argv[1:], strict=False)))
