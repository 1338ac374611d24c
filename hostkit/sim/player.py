"""Plays probes at a multiple of real time. Slows down rather than lose anything, and says so; drops nothing itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Queue

from hostkit.errors import PeerError, UsageError
from hostkit.hub.keys import RECOVER_S
from hostkit.io.mqtt import Down, Inbox, Item, Up, parse_url, take
from hostkit.sim.probe import BATCH_US, ProbeNode, Source, new_boot

DEFAULT_SPEED, MAX_SPEED = 120.0, 100_000.0  # times real time
_INBOX_ITEMS = 2000
_IDLE_S = 0.05  # looks for messages at least this often
_LONGEST_STEP_S = 1.0  # a machine that was suspended does not play on as if it had not been
_FIRST_CONNECT_S = 10.0
_PATIENCE_S = RECOVER_S + 5.0  # a hub that started without the key looks for it first
_DRAIN_S = 30.0
_LAG_SHARE = 0.9

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What was played. `until_us` is true time up to which every probe sent; `unacknowledged` batches are lost."""

    from_us: int
    until_us: int
    wall_s: float
    batches: int
    frames: int
    unacknowledged: int
    dropped: int

    @property
    def speed(self) -> float:
        """Give how many times faster than real it went."""
        return (self.until_us - self.from_us) / 1e6 / self.wall_s if self.wall_s else 0.0


class Player:
    """Moves one clock over several probes. `stop` may be called from a signal handler."""

    def __init__(
        self, sources: Sequence[Source], broker: str, *, tenant: str, site: str, speed: float, say: Say
    ) -> None:
        if not 0 < speed <= MAX_SPEED:
            raise UsageError(f"{speed:g} is not in 0..{MAX_SPEED:g}", where="--speed", next_step="choose another")
        if not sources:
            raise UsageError("no probe to play", where="play", next_step="add probes to site.toml")
        url, boot = parse_url(broker), new_boot()
        self._inbox: Inbox = Queue(_INBOX_ITEMS)
        self.probes = tuple(
            ProbeNode(source, url, self._inbox, tenant=tenant, site=site, boot=boot) for source in sources
        )
        self._by_name = {probe.source.probe: probe for probe in self.probes}
        self._broker, self._speed = str(url), speed
        self._remarks = _Remarks(self._broker, say)
        self._stopped = False
        self.from_us = self.now_us = min(source.true_us(source.start_us) for source in sources)

    def stop(self) -> None:
        """End the play at the present batch time; what was heard is still sent and waited for."""
        self._stopped = True

    def run(self) -> Played:
        """Play until the sources are over or `stop`. Raises PeerError if the broker cannot be reached at first."""
        began = time.monotonic()
        for probe in self.probes:
            probe.client.start()
        try:
            self._connect()
            self._play()
            for probe in self.probes:
                probe.close(self.now_us)
            self._drain()
        finally:
            for probe in self.probes:
                probe.client.stop()
        return Played(
            from_us=self.from_us,
            until_us=self.now_us,
            wall_s=time.monotonic() - began,
            batches=sum(probe.sent for probe in self.probes),
            frames=sum(probe.kept for probe in self.probes),
            unacknowledged=sum(len(probe.spool) for probe in self.probes),
            dropped=sum(probe.dropped for probe in self.probes),
        )

    def _connect(self) -> None:
        give_up = time.monotonic() + _FIRST_CONNECT_S
        while not all(probe.client.connected for probe in self.probes) and not self._stopped:
            self._listen(_IDLE_S)
            if time.monotonic() > give_up:
                reason = self._remarks.reason or "no answer"
                raise PeerError(
                    f"cannot be reached ({reason})", where=self._broker, next_step="start the broker, check the address"
                )

    def _play(self) -> None:
        last_s, held = time.monotonic(), False
        while not self._stopped and not all(probe.over for probe in self.probes):
            for probe in self.probes:
                probe.prepare()
            self._listen(_IDLE_S if held else self._ahead_s())
            at_s = time.monotonic()
            passed_s, last_s = 0.0 if held else min(at_s - last_s, _LONGEST_STEP_S), at_s
            held = self._held(at_s)
            if not held:
                self.now_us = max(self.now_us + round(passed_s * self._speed * 1e6), self._silent_until_us())
            self._close_due(at_s)
            self._remarks.pace(at_s, self.now_us, self._speed)

    def _ahead_s(self) -> float:
        """Give the wall time until the next batch is due."""
        due_us = min((due for probe in self.probes if (due := probe.due_us) is not None), default=None)
        return _IDLE_S if due_us is None else (due_us - self.now_us) / 1e6 / self._speed

    def _silent_until_us(self) -> int:
        """Give the time up to which no probe listens: recordings have gaps that nobody needs to sit through."""
        dues = [probe.due_us for probe in self.probes if not probe.over]
        known = [due for due in dues if due is not None]
        return min(known) - BATCH_US if known and len(known) == len(dues) else self.now_us

    def _close_due(self, at_s: float) -> None:
        for probe in self.probes:
            while (due_us := probe.due_us) is not None and due_us <= self.now_us and not self._waits(probe):
                probe.close()
                probe.prepare()
            if self._speed <= 1.0:
                probe.pass_over(self.now_us)
            probe.pump(at_s)

    def _waits(self, probe: ProbeNode) -> bool:
        return self._speed > 1.0 and probe.spool.full_window

    def _held(self, at_s: float) -> bool:
        """Tell whether the clock waits: faster than real it does, for a key and for acknowledgements."""
        keyless = not all(probe.keyed for probe in self.probes)
        full = any(probe.spool.full_window for probe in self.probes)
        self._remarks.lasting("no hub gives a key; run footfall hub run for this site", keyless, at_s)
        self._remarks.lasting("no hub acknowledges; batches wait", full, at_s)
        return self._speed > 1.0 and (keyless or full)

    def _drain(self) -> None:
        """Wait for the acknowledgements of what was sent."""
        give_up = time.monotonic() + _DRAIN_S
        while any(len(probe.spool) for probe in self.probes) and time.monotonic() < give_up:
            for probe in self.probes:
                probe.pump(time.monotonic())
            self._listen(_IDLE_S)

    def _listen(self, wait_s: float) -> None:
        """Take what arrived, waiting at most `wait_s` for the first."""
        item = take(self._inbox, min(max(wait_s, 0.0), _IDLE_S))
        while item is not None:
            self._remarks.connection(item)
            self._by_name[item.link].handle(item, time.monotonic())
            item = take(self._inbox, 0.0)


class _Remarks:
    """Says what keeps the play from going on, each thing once until it is over."""

    def __init__(self, where: str, say: Say) -> None:
        self._where, self._say = where, say
        self._since: dict[str, float] = {}
        self._told: set[str] = set()
        self._window: tuple[float, int] | None = None
        self.reason = ""

    def connection(self, item: Item) -> None:
        """Tell of a lost connection once, however many probes lost it."""
        if isinstance(item, Down) and item.reason != self.reason:
            self.reason = item.reason
            self._say(f"{self._where}: not connected ({item.reason}); it tries again")
        elif isinstance(item, Up):
            self.reason = ""

    def lasting(self, what: str, active: bool, at_s: float) -> None:
        """Tell of `what` once it lasts."""
        if not active:
            self._since.pop(what, None)
            self._told.discard(what)
        elif at_s - self._since.setdefault(what, at_s) > _PATIENCE_S and what not in self._told:
            self._told.add(what)
            self._say(f"{self._where}: {what}")

    def pace(self, at_s: float, now_us: int, speed: float) -> None:
        """Tell of a clock that was slower than asked for a whole window."""
        if self._window is None:
            self._window = at_s, now_us
            return
        wall_s, played_s = at_s - self._window[0], (now_us - self._window[1]) / 1e6
        if wall_s < _PATIENCE_S:
            return
        self._window = at_s, now_us
        reached, what = played_s / wall_s, "slow"
        if reached >= _LAG_SHARE * speed:
            self._told.discard(what)
        elif what not in self._told and played_s > 0:
            self._told.add(what)
            self._say(f"{self._where}: runs at {reached:.1f} times real time, not {speed:g}; the hub needs the time")
