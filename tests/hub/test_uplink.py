"""What goes up when: new rows at once, the backlog in order and paced, everything again when nobody answers."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hostkit.contract.codec import GAP, decode
from hostkit.contract.messages import Ack, Gap, LostReason
from hostkit.hub.uplink import BACKLOG_ROWS_S, RESEND_S, WINDOW, Uplink
from hostkit.hub.voice import Voice
from hostkit.io.outbox import Bucket, Outbox
from tests.hub.service import SETTINGS

STEP_S = 0.05
WEEK_ROWS = 7 * 24 * 60


@dataclass
class Done:
    """A publication the broker has confirmed, or not yet."""

    done: bool


@dataclass
class Line:
    """A connection in memory. `sent` is (topic's end, payload) in order."""

    connected: bool = True
    confirms: bool = True
    dropped: int = 0
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> Done | None:
        if not self.connected:
            return None
        self.sent.append((topic.split("/", 5)[5], payload))
        return Done(self.confirms)

    def drop(self) -> None:
        self.dropped += 1


class Bench:
    """An outbox, its uplink, and a collector that takes what is sent and acks contiguously."""

    def __init__(self, folder: Path, rows: int, *, max_bytes: int = 1 << 30) -> None:
        self.outbox = Outbox(folder / "hub.db", max_bytes=max_bytes)
        self.put(rows)
        self.line = Line()
        self.uplink = Uplink(self.outbox, self.line, Voice(SETTINGS.site))  # type: ignore[arg-type]
        self.now_s = 100.0
        self.uplink.connected(self.now_s, remembered=False)
        self._taken: set[int] = set()
        self._read = 0

    def put(self, rows: int = 1) -> int:
        for _ in range(rows):
            seq = self.outbox.put(1000, lambda seq: b"%d" % seq)
        self.outbox.commit()
        return seq if rows else 0

    def pump(self, times: int = 1) -> list[int]:
        """Let time go by; give the rows sent meanwhile."""
        before = len(self.line.sent)
        for _ in range(times):
            self.now_s += STEP_S
            self.uplink.pump(self.now_s)
        return [int(payload) for stream, payload in self.line.sent[before:] if stream == "visits"]

    def ack(self, *, lose: frozenset[int] = frozenset()) -> None:
        """The collector takes all that was sent since, but `lose`, and says how far it is."""
        self._taken |= {int(payload) for stream, payload in self.line.sent[self._read :] if stream == "visits"} - lose
        self._read = len(self.line.sent)
        upto = self.outbox.gone
        while upto + 1 in self._taken:
            upto += 1
        self.uplink.acknowledged(Ack(boot=self.outbox.boot, upto=upto), self.now_s)


def test_new_rows_go_before_a_weeks_backlog_and_each_row_goes_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, WEEK_ROWS)
    steps, delays = 0, []
    while bench.outbox.depth:
        if steps % 1200 == 0:  # a row a minute
            new = bench.put()
        sent = bench.pump()
        if new in sent:
            delays.append(steps % 1200)
        bench.ack()
        steps += 1
    took_s = steps * STEP_S
    assert delays == [0] * len(delays)
    assert len(delays) == pytest.approx(took_s / 60, abs=1)
    assert took_s == pytest.approx(WEEK_ROWS / BACKLOG_ROWS_S, rel=0.05)
    sent_rows = [int(payload) for stream, payload in bench.line.sent if stream == "visits"]
    assert sorted(sent_rows) == list(range(1, bench.outbox.last + 1))
    old = [seq for seq in sent_rows if seq <= WEEK_ROWS]
    assert old == sorted(old)
    assert bench.uplink.resent == 0


def test_the_window_and_the_pace_bound_what_is_on_its_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 500)
    assert len(bench.pump(40)) == WINDOW
    for _ in range(200):
        bench.ack()
        bench.pump()
    assert len(bench.line.sent) == pytest.approx(WINDOW + 10.0 * BACKLOG_ROWS_S, abs=BACKLOG_ROWS_S)  # a second's burst
    assert bench.uplink.backlog == 500 - len(bench.line.sent)


def test_of_a_collector_that_says_nothing_only_a_window_of_new_rows_goes_ahead(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 100)
    for _ in range(50):
        bench.put()
        bench.pump()
    ahead = [int(payload) for _, payload in bench.line.sent if int(payload) > 100]
    assert ahead == list(range(101, 101 + WINDOW))


def test_without_an_ack_everything_from_the_oldest_goes_again_and_ever_less_often(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 5)
    first = bench.pump()
    again = bench.pump(round(16 * RESEND_S / STEP_S))
    assert first == [1, 2, 3, 4, 5]
    assert again == 4 * first  # after 1, 3, 7 and 15 times the patience
    assert bench.uplink.resent == 4
    bench.ack()
    assert bench.pump(10) == []
    assert bench.outbox.depth == 0


def test_a_connection_on_which_nothing_is_confirmed_is_given_up_and_nothing_is_sent_beside_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 3)
    bench.line.confirms = False
    assert bench.pump(round(1.5 * RESEND_S / STEP_S)) == [1, 2, 3]
    assert bench.line.dropped == 1
    bench.uplink.connected(bench.now_s, remembered=False)
    assert bench.pump(3) == []  # the client has them and sends them again itself
    bench.uplink.connected(bench.now_s, remembered=False)
    bench.put()
    assert bench.pump() == [4]


def test_to_a_broker_that_remembers_nothing_is_said_twice_until_it_has_lost_something(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 3)
    assert bench.pump() == [1, 2, 3]
    for _ in range(50):  # a line that is cut again and again
        bench.uplink.connected(bench.now_s, remembered=True)
        assert bench.pump() == []
    bench.put()
    assert bench.pump() == [4]
    bench.uplink.connected(bench.now_s, remembered=True)
    assert bench.pump(round(1.5 * RESEND_S / STEP_S)) == [1, 2, 3, 4]
    bench.uplink.connected(bench.now_s, remembered=False)
    assert bench.pump() == [1, 2, 3, 4]


def test_a_live_row_the_broker_lost_comes_again_in_its_turn(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 30)
    bench.pump()
    lost = bench.put()
    assert bench.pump() == [lost]
    bench.ack(lose=frozenset({lost}))
    for _ in range(400):
        bench.pump()
        bench.ack()
    assert bench.outbox.depth == 0
    assert bench.uplink.resent == 1
    assert [int(payload) for _, payload in bench.line.sent].count(lost) == 2


def test_a_gap_is_told_in_the_place_of_what_was_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 9, max_bytes=5)
    bench.pump()
    streams = [stream for stream, _ in bench.line.sent]
    assert streams == ["gap", *["visits"] * 5]
    site = SETTINGS.site
    message = decode(GAP, bench.line.sent[0][1], f"footfall/v1/{site.tenant}/{site.site}/hub/gap")
    assert message.data == Gap(first=1, last=4, reason=LostReason.SIZE, rows=0, since_s=900, until_s=900)
    assert (message.boot, message.seq) == (bench.outbox.boot, 4)
    bench.uplink.acknowledged(Ack(boot=bench.outbox.boot, upto=9), bench.now_s)
    assert bench.outbox.depth == 0


def test_acks_of_another_database_mean_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 3)
    bench.pump()
    bench.uplink.acknowledged(Ack(boot="other", upto=3), bench.now_s)
    assert bench.outbox.depth == 3


def test_the_hours_of_two_days_go_again_after_a_connect(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 0)
    hours = [Bucket(start_s=3600 * n, rev=1, payload=b"%d" % n) for n in range(60)]
    for hour in hours:
        bench.outbox.set_bucket(hour)
    bench.pump(100)
    assert [stream for stream, _ in bench.line.sent] == ["kpi/hour"] * 60
    bench.uplink.connected(bench.now_s, remembered=False)
    bench.pump(100)
    assert [payload for _, payload in bench.line.sent[60:]] == [b"%d" % n for n in range(12, 60)]
