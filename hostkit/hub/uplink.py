"""Outbox and closed hours to the collector: QoS 1, kept until its `ack`; a PUBACK frees no row.

Rows made since the connection came up are live: they go at once, before and between the backlog of older ones, which
goes in order and paced. A broker may lose what it confirmed: without progress everything from the oldest row is sent
again, at once where the broker does not know us any more, and after every connect the hours of the last days. Where not
even the broker confirms, the connection is dead.
"""

from collections import deque
from typing import NamedTuple

from hostkit.contract.codec import GAP, encode
from hostkit.contract.messages import Ack, Gap
from hostkit.hub.voice import Voice
from hostkit.io.mqtt import Client, Publication
from hostkit.io.outbox import Bucket, Lost, Outbox, Waiting

WINDOW = 20  # rows on their way in order; a row has up to 200 visits. As many live ones may be, unanswered
BACKLOG_ROWS_S = 20.0  # a week of a row a minute takes 8 minutes and some 100 KB/s
BUCKETS = 8
HOURS_AGAIN_S = 2 * 86_400
RESEND_S, LONGEST_RESEND_S = 5.0, 60.0


class _Flying(NamedTuple):
    """A row on its way."""

    seq: int
    publication: Publication


class Uplink:
    """Sends what the outbox holds. Times are monotonic seconds."""

    def __init__(self, outbox: Outbox, client: Client, voice: Voice) -> None:
        self._outbox = outbox
        self._client = client
        self._voice = voice
        self._sent = self._old = self._live = 0
        self._flying: deque[_Flying] = deque()  # rows up to `_sent` that are on their way
        self._ahead: deque[_Flying] = deque()  # rows of (_old, _live], sent before the backlog
        self._confirmed = 0  # of those on their way, by the broker
        self._unconfirmed: dict[int, Publication] = {}  # the client itself sends them again after a reconnect
        self._unanswered = 0  # of them, since the collector last said anything
        self._progress_s = self._paced_s = 0.0
        self._resend_s = RESEND_S
        self._hours: list[tuple[Bucket, Publication]] = []
        self.resent = 0
        self._from_the_oldest(0.0)

    @property
    def backlog(self) -> int:
        """Give how many rows at most were there before the connection and are not yet on their way."""
        return max(0, self._old - max(self._sent, self._outbox.gone))

    def connected(self, now_s: float, *, remembered: bool) -> None:
        """Go on; begin again from the oldest row if the broker has not `remembered` us. The caller commits.

        One that has holds what it confirmed: sent again after every cut, rows would queue up for the collector.
        """
        if remembered:
            self._look_anew(now_s)
        else:
            self._from_the_oldest(now_s)
            self._resend_s = RESEND_S
        self._hours = []
        self._outbox.last_hours_again(HOURS_AGAIN_S)

    def acknowledged(self, ack: Ack, now_s: float) -> None:
        """The collector has everything up to `ack.upto`; of another database's rows it means nothing."""
        if ack.boot != self._outbox.boot:
            return
        self._unanswered = 0
        if ack.upto > self._outbox.gone:
            self._outbox.acknowledge(ack.upto)
            self._progress_s, self._resend_s = now_s, RESEND_S
            for rows in (self._flying, self._ahead):
                while rows and rows[0].seq <= self._outbox.gone:
                    rows.popleft()
            self._confirmed = 0
            for seq in [seq for seq in self._unconfirmed if seq <= self._outbox.gone]:
                del self._unconfirmed[seq]

    def send_again(self, from_s: int, to_s: int) -> int:
        """Send the closed hours and days that begin in [from_s, to_s) again; give how many. The caller commits."""
        self._hours = []  # what is on its way now would be taken for it
        return self._outbox.send_again(from_s, to_s)

    def pump(self, now_s: float) -> None:
        """Send what the window allows; the caller has committed."""
        if not self._client.connected:
            return
        if self._stalled(now_s):
            return
        if self._outbox.last > max(self._sent, self._live):
            self._send_live()
        self._send_in_order(now_s)
        self._send_hours()

    def _stalled(self, now_s: float) -> bool:
        """Begin again if nothing moves; tell whether the connection is given up: then not even the broker confirms."""
        confirmed = sum(flying.publication.done for flying in self._flying)
        if confirmed > self._confirmed:
            self._confirmed, self._progress_s = confirmed, now_s
        if not self._flying or now_s < self._progress_s + self._resend_s:
            return False
        dead = confirmed < len(self._flying)
        self.resent += 1
        self._resend_s = min(2 * self._resend_s, LONGEST_RESEND_S)
        self._from_the_oldest(now_s)
        if dead:
            self._client.drop()
        return dead

    def _from_the_oldest(self, now_s: float) -> None:
        self._sent, self._confirmed = self._outbox.gone, 0
        self._flying.clear()
        self._unconfirmed = {seq: publication for seq, publication in self._unconfirmed.items() if not publication.done}
        self._look_anew(now_s)

    def _look_anew(self, now_s: float) -> None:
        """What waits now is backlog; what went ahead of the last one comes again in its turn."""
        self._old = self._live = self._outbox.last
        self._ahead.clear()
        self._unanswered = 0
        self._progress_s, self._paced_s = now_s, now_s - 1.0

    def _send_live(self) -> None:
        """Send new rows past the backlog, as long as the collector answers."""
        if self._sent >= self._old:
            return
        for row in self._outbox.waiting(self._live, WINDOW - self._unanswered):
            if (publication := self._send(row)) is None:
                return
            self._live = row.seq
            self._ahead.append(_Flying(row.seq, publication))
            self._unanswered += 1

    def _send_in_order(self, now_s: float) -> None:
        """Send the backlog as far as window and pace allow; after it the new rows, as far as the window does."""
        self._sent = max(self._sent, self._outbox.gone)
        while self._sent < self._outbox.last:
            if self._sent >= self._old:  # the backlog is over: what went ahead of it joins
                self._flying += self._ahead
                self._ahead.clear()
                self._sent = max(self._sent, self._live)
            room = min(WINDOW - len(self._flying), self._allowed(now_s))
            if room <= 0:
                return
            upto = self._old if self._sent < self._old else self._outbox.last
            rows = [row for row in self._outbox.waiting(self._sent, room) if row.seq <= upto]
            if not all(self._fly(row, now_s) for row in rows):
                return
            if not rows:
                self._sent = upto

    def _fly(self, row: Waiting, now_s: float) -> bool:
        if (publication := self._send(row)) is None:
            return False
        if not self._flying:
            self._progress_s = now_s
        if row.seq <= self._old:
            self._paced_s += 1 / BACKLOG_ROWS_S
        self._flying.append(_Flying(row.seq, publication))
        self._sent = row.seq
        return True

    def _allowed(self, now_s: float) -> int:
        """Give how many rows the pace allows now: of the backlog at most those of a second, of new ones any."""
        if self._sent >= self._old:
            return WINDOW
        self._paced_s = max(self._paced_s, now_s - 1.0)
        return int((now_s - self._paced_s) * BACKLOG_ROWS_S)

    def _send(self, row: Waiting) -> Publication | None:
        if row.seq in self._unconfirmed:
            return self._unconfirmed[row.seq]
        topic, payload = ("visits", row.payload) if row.lost is None else ("gap", self._gap(row.lost))
        publication = self._client.publish(self._voice.topic(topic), payload)
        if publication is not None:
            self._unconfirmed[row.seq] = publication
        return publication

    def _gap(self, lost: Lost) -> bytes:
        grain_s = self._voice.site.privacy.time_grain_s
        since_s, until_s = lost.since_s - lost.since_s % grain_s, lost.until_s - lost.until_s % grain_s
        data = Gap(
            first=lost.first, last=lost.last, reason=lost.reason, rows=lost.rows, since_s=since_s, until_s=until_s
        )
        return encode(GAP, self._voice.compose(GAP, data, until_s, boot=self._outbox.boot, seq=lost.last))

    def _send_hours(self) -> None:
        done = tuple(bucket for bucket, sent in self._hours if sent.done)
        if done:
            self._outbox.buckets_sent(done)
            self._hours = [(bucket, sent) for bucket, sent in self._hours if bucket not in done]
        if self._hours:
            return
        for bucket in self._outbox.buckets_to_send(BUCKETS):
            sent = self._client.publish(self._voice.topic(f"kpi/{bucket.grain}"), bucket.payload, retain=True)
            if sent is None:
                return
            self._hours.append((bucket, sent))
