"""The hub's live figures as they come, for as long as somebody counts. Knows no keyboard."""

import time

from hostkit.contract.codec import LIVE, decode
from hostkit.errors import PeerError
from hostkit.hub.calibrate import door_from_live
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, take
from hostkit.model import Provenance

FIGURE = "footfall_today_devices"
FIRST_S = 10.0
BEHIND_S = 600.0  # longest wait for the hub to reach the end of the count
REST_S = 0.2


class LiveLog:
    """Totals of the day by time, from the messages that `client` puts into `inbox`."""

    def __init__(self, client: Client, inbox: Inbox, behind_s: float = BEHIND_S) -> None:
        self._client = client
        self._inbox = inbox
        self._behind_s = behind_s
        self._points: list[tuple[float, float]] = []
        self._reason = "it says nothing"

    def wait_first(self) -> None:
        """Return when a figure has come; PeerError if none does, or if it is not of a live shop."""
        until = time.monotonic() + FIRST_S
        while not self._points:
            self._take_one()
            if time.monotonic() > until:
                raise PeerError(
                    f"no live figure of the hub ({self._reason})",
                    where=str(self._client.url),
                    next_step="start footfall hub run, or count with --capture",
                )

    def devices(self, start_s: float, end_s: float) -> float:
        """Devices that entered within [start_s, end_s), as soon as the hub knows; PeerError if it never does."""
        until = time.monotonic() + self._behind_s
        while (found := door_from_live(self._points, start_s, end_s)) is None:
            self._take_one()
            if time.monotonic() > until:
                raise PeerError(
                    f"its figures have not reached the end of the count ({self._reason})",
                    where=str(self._client.url),
                    next_step="see footfall watch whether hub and probes run, then count again",
                )
        return found

    def _take_one(self) -> None:
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
        if total is not None and (not self._points or at_s > self._points[-1][0]):
            self._points.append((at_s, total))
