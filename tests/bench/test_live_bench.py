"""CPU of hub and collector at 60 times real time, and the highest speed at which nothing lags.

Speed is batch time over wall time. Nothing lags while the probes never wait for acknowledgements, so that
the speed reached equals the speed asked for.

And 32,000 sightings a second of 64 probes in real time, beside a subscriber that discards them (tests/bench/live.py).
"""

import queue
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import msgspec
import pytest

from hostkit.io.mqtt import Arrived, Client, Inbox, Up, parse_url, take
from hostkit.io.process import Child, Children
from hostkit.sim.chain import start_chain
from hostkit.sim.plan import default_site
from hostkit.sim.player import Played
from hostkit.sim.world import SimSettings
from tests.bench.live import measure
from tests.io.brokers import Mosquitto

CLOCK_TICKS = 100  # of /proc/PID/stat, fixed for user space
SPEEDS = (240.0, 480.0, 960.0, 1920.0, 3840.0)
NOT_LAGGING = 0.95


class Report(msgspec.Struct):
    played: Played


def cpu_s(child: Child) -> float:
    fields = Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def world(hours: float) -> SimSettings:
    return SimSettings(site=default_site(4), people=round(200 * hours), hours=hours, seed=2)


def played(folder: Path, hours: float, speed: float) -> tuple[Played, float, float]:
    """Play a world; give what was played, CPU and wall seconds of hub and collector while it lasted."""
    folder.mkdir()
    with Children() as children:
        chain = start_chain(folder, world(hours), children, speed=speed, say=lambda line: None)
        services = (chain.hub, chain.collector)
        begun, began_s = sum(map(cpu_s, services)), time.monotonic()
        code = chain.probes.wait(300)
        used, wall_s = sum(map(cpu_s, services)) - begun, time.monotonic() - began_s
        assert code == 0, chain.probes.last_words()
        report = msgspec.json.decode(chain.probes.out.read_bytes(), type=Report)
    assert report.played.unacknowledged == report.played.dropped == 0
    return report.played, used, wall_s


@pytest.mark.bench
def test_hub_and_collector_use_less_than_a_core_at_60_times_real_time(tmp_path: Path) -> None:
    done, used_s, _ = played(tmp_path / "60", 0.5, 60.0)
    share = used_s / done.wall_s
    print(f"hub and collector: {used_s:.1f} s of CPU in {done.wall_s:.1f} s at {done.speed:.0f} times real time")
    assert done.speed == pytest.approx(60.0, rel=0.2)
    assert share < 1.0, share


@pytest.mark.bench
def test_the_highest_speed_at_which_nothing_lags(tmp_path: Path) -> None:
    highest = 0.0
    for speed in SPEEDS:
        hours = max(0.5, speed * 6.0 / 3600.0)  # at least six seconds of wall time
        done, used_s, _ = played(tmp_path / f"{speed:.0f}", min(hours, 12.0), speed)
        print(f"asked {speed:.0f}, reached {done.speed:.0f} times real time, {used_s / done.wall_s:.2f} cores")
        if done.speed < NOT_LAGGING * speed:
            break
        highest = speed
    print(f"nothing lags up to {highest:.0f} times real time")
    assert highest >= 120.0  # 960 on an idle machine


@pytest.mark.bench
@pytest.mark.needs("mosquitto")
def test_64_probes_of_500_sightings_a_second_beside_a_bare_subscriber_and_rows_are_committed_meanwhile(
    tmp_path: Path,
) -> None:
    cost = measure(8.0, tmp_path)
    print(f"\n{cost}")
    assert cost.played.unacknowledged == 0
    assert cost.ratio < 20.0, cost  # 9 to 12
    assert cost.p99_s < 1.0, cost  # 0.007; an uplink that resends takes 5 s


@pytest.mark.bench
@pytest.mark.needs("mosquitto")
def test_an_answer_does_not_wait_for_an_acknowledgement(tmp_path: Path) -> None:
    """Both ends acknowledge and then publish, as hub and collector do: by Nagle's algorithm the second packet waits."""
    broker = Mosquitto(tmp_path, lines=("set_tcp_nodelay true",)).start()
    held_s, ours_s = (median(answers_s(broker.url, held)) for held in (True, False))
    broker.stop()
    print(f"an answer after {1e3 * ours_s:.1f} ms, by Nagle's algorithm after {1e3 * held_s:.1f} ms")
    assert ours_s < held_s / 2  # one in 200


def answers_s(url: str, held: bool) -> list[float]:
    """Ask and answer 20 times through a broker; give the seconds until each answer."""
    with ExitStack() as running:
        (asker, answers), (answerer, questions) = (
            running.enter_context(client(url, name, held)) for name in ("answer", "question")
        )
        took_s = []
        for _ in range(20):
            began_s = time.monotonic()
            asker.publish("question", b"?", qos=1)
            answerer.ack(arrived(questions))
            answerer.publish("answer", b"!", qos=1)
            asker.ack(arrived(answers))
            took_s.append(time.monotonic() - began_s)
    return took_s


@contextmanager
def client(url: str, topic: str, held: bool) -> Iterator[tuple[Client, Inbox]]:
    """Connect one that hears a topic; `held`: as paho comes."""
    inbox: Inbox = queue.Queue(10)
    client = Client(parse_url(url), inbox, name=topic, client_id=f"{topic}-{held}", subscriptions=((topic, 1),))
    if held:
        client._paho.on_socket_open = None
    client.start()
    assert isinstance(take(inbox, 10), Up)
    yield client, inbox
    client.stop()


def arrived(inbox: Inbox) -> Arrived:
    item = take(inbox, 10)
    assert isinstance(item, Arrived)
    return item
