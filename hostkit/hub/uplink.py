"""Outbox and closed hours to the collector: QoS 1, in order, kept until its `ack`; a PUBACK frees no row.

A broker may lose what it confirmed: without progress for `RESEND_S` everything from the oldest row is sent again.
"""

from hostkit.contract.messages import Ack
from hostkit.hub.voice import Voice
from hostkit.io.mqtt import Client, Publication
from hostkit.io.outbox import Bucket, Outbox

WINDOW = 20  # rows on their way; a row has up to 200 visits
BUCKETS = 8
RESEND_S = 20.0


class Uplink:
    """Sends what the outbox holds. Times are monotonic seconds."""

    def __init__(self, outbox: Outbox, client: Client, voice: Voice) -> None:
        self._outbox = outbox
        self._client = client
        self._voice = voice
        self._sent = outbox.gone  # last seq on its way
        self._progress_s = 0.0
        self._hours: list[tuple[Bucket, Publication]] = []
        self.resent = 0

    def connected(self, now_s: float) -> None:
        """Begin again from the oldest row: the broker may be another one."""
        self._sent, self._progress_s = self._outbox.gone, now_s
        self._hours = []

    def acknowledged(self, ack: Ack, now_s: float) -> None:
        """The collector has everything up to `ack.upto`; of another database's rows it means nothing."""
        if ack.boot == self._outbox.boot and ack.upto > self._outbox.gone:
            self._outbox.acknowledge(ack.upto)
            self._progress_s = now_s

    def pump(self, now_s: float) -> None:
        """Send what the window allows; the caller has committed."""
        if not self._client.connected:
            return
        self._sent = max(self._sent, self._outbox.gone)
        if self._sent > self._outbox.gone and now_s >= self._progress_s + RESEND_S:
            self.resent += 1
            self._sent, self._progress_s = self._outbox.gone, now_s
        if self._outbox.last > self._sent and self._sent < self._outbox.gone + WINDOW:
            self._send_rows(now_s)
        self._send_hours()

    def _send_rows(self, now_s: float) -> None:
        room = WINDOW - (self._sent - self._outbox.gone)
        for seq, payload in self._outbox.waiting(self._sent, room):
            if self._client.publish(self._voice.topic("visits"), payload) is None:
                return
            if self._sent == self._outbox.gone:
                self._progress_s = now_s
            self._sent = seq

    def _send_hours(self) -> None:
        done = tuple(bucket for bucket, sent in self._hours if sent.done)
        if done:
            self._outbox.buckets_sent(done)
            self._hours = [(bucket, sent) for bucket, sent in self._hours if bucket not in done]
        if self._hours:
            return
        for bucket in self._outbox.buckets_to_send(BUCKETS):
            sent = self._client.publish(self._voice.topic("kpi/hour"), bucket.payload, retain=True)
            if sent is None:
                return
            self._hours.append((bucket, sent))
