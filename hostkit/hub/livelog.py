"""The hub's live figures as they come, for as long as somebody counts. Knows no keyboard."""

import time
from collections.abc import Callable

from hostkit.contract.codec import LIVE, decode
from hostkit.errors import PeerError
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, take
from hostkit.model import Provenance

FIGURE = "footfall_today_devices"
FIRST_S = 10.0
REFUSED_S = 3.0  # where there is no broker at all
SILENT = "it says nothing"
BEHIND_S = 600.0  # longest wait for the hub to reach the end of the count
REST_S = 0.2
Take = Callable[[float, float], None]  # Unix seconds, devices of the day


class LiveLog:
    """Totals of the day by time, from the messages that `client` puts into `inbox`: `last`, and each to `take`."""

    def __init__(self, client: Client, inbox: Inbox, behind_s: float = BEHIND_S) -> None:
        self._client = client
        self._inbox = inbox
        self._behind_s = behind_s
        self.last: tuple[float, float] | None = None  # Unix seconds, devices of the day
        self._reason = SILENT
        self.take: Take = _drop

    def wait_first(self) -> None:
        """Return when a figure has come; PeerError if none does, or if it is not of a live shop."""
        began = time.monotonic()
        while self.last is None:
            self.step()
            if time.monotonic() - began > (FIRST_S if self._reason == SILENT else REFUSED_S):
                raise PeerError(
                    f"no live figure of the hub ({self._reason})",
                    where=str(self._client.url),
                    next_step="start footfall hub run, or count with --capture",
                )

    def wait_for(self, end_s: float) -> None:
        """Return when the hub's figures have reached `end_s`; PeerError if they never do."""
        until = time.monotonic() + self._behind_s
        while self.last is None or self.last[0] < end_s:
            self.step()
            if time.monotonic() > until:
                raise PeerError(
                    f"its figures have not reached the end of the count ({self._reason})",
                    where=str(self._client.url),
                    next_step="see footfall watch whether hub and probes run, then the same command again",
                )

    def step(self) -> None:
        """Take a message, if one comes within `REST_S`. PeerError if it is not of a live shop."""
        item = take(self._inbox, REST_S)
        if isinstance(item, Down):
            self._reason = item.reason
        if not isinstance(item, Arrived):
            return
        self._client.ack(item)
        message = decode(LIVE, item.payload, item.topic)
        if message.provenance is not Provenance.LIVE:
            raise PeerError(
                f"its figures are {message.provenance}",
                where=str(self._client.url),
                next_step="count at a shop with live probes, or give --capture",
            )
        total = next((value.value for value in message.data.kpis if value.id == FIGURE), None)
        at_s = float(message.data.at_s)
        if total is not None and (self.last is None or at_s > self.last[0]):
            self.last = at_s, total
            self.take(at_s, total)


def _drop(at_s: float, total: float) -> None:
    pass
