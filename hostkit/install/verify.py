"""Waits until a probe is heard over its real uplink, or says which rung is missing; then its LED says so too."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from hostkit.contract.commands import Identify, Show
from hostkit.errors import HostkitError, PeerError
from hostkit.hub.ask import order_terms
from hostkit.hub.fleet import probe_hash
from hostkit.install.board import Status
from hostkit.install.hubline import CONNECT_S, HubLine, Told
from hostkit.install.improv import Device
from hostkit.install.ladder import Evidence, Rung, Standing, judge
from hostkit.install.ports import BACK_S, await_port
from hostkit.install.serialboard import SerialBoard
from hostkit.model import Probe

WAIT_S = 180.0  # a probe boots in 5 s, gets its key in 10, closes a batch every 10; a burst comes every 120
ROUND_S = 0.5
SHOW_S = 120
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What to verify and whom to ask: the hub, the board on `port`, or both."""

    probe: Probe
    hub: HubLine | None
    port: str | None
    ble_only: bool = False
    wait_s: float = WAIT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """How it stands, after how many seconds, by which evidence; `shown`: its LED says so too."""

    standing: Standing
    seconds: float
    evidence: Evidence
    shown: bool

    @property
    def climbed(self) -> tuple[Rung, ...]:
        """Give the rungs it stands on, its serial line only if that was asked."""
        return tuple(rung for rung in self.standing.climbed if rung is not Rung.LINE or self.evidence.line)

    @property
    def passed(self) -> bool:
        """Tell whether it is heard."""
        return self.standing.failed is None


def verify(look: Look, say: Say, check: Callable[[], None] = lambda: None) -> Verified:
    """Wait until it passes or the time is over; `check` is called meanwhile. PeerError where nobody can be asked."""
    began_s = time.monotonic()
    with ExitStack() as stack:
        watch = _Watch(look, stack)
        evidence, standing = watch.evidence, judge(watch.evidence)
        told: Rung | None = None
        while standing.failed is not None and time.monotonic() < began_s + look.wait_s:
            if standing.failed is not told:
                told = standing.failed
                say(f"waiting for: {told.value}")
            check()
            evidence = watch.look(ROUND_S)
            standing = judge(evidence)
        shown = watch.show_on_line(Show.PASS if standing.failed is None else Show.FAIL)
    shown = _show(look, standing) or shown
    return Verified(standing=standing, seconds=time.monotonic() - began_s, evidence=evidence, shown=shown)


class _Watch:
    """Both witnesses. `evidence` is what they said last."""

    def __init__(self, look: Look, stack: ExitStack) -> None:
        self._began_s = time.monotonic()
        self.evidence = Evidence(
            probe=look.probe.id,
            asked_hub=look.hub is not None,
            asked_line=look.port is not None,
            ble_only=look.ble_only,
            config_hash=probe_hash(look.probe),
        )
        self._port = look.port
        self._board = _opened(look.port) if look.port else None
        stack.callback(self._close)
        self._hub = look.hub
        if self._hub and not self._hub.reachable():
            if self._board is None:
                raise self._hub.silent()
            self.evidence = replace(self.evidence, asked_hub=False)

    def look(self, seconds: float) -> Evidence:
        """Take what comes for a while."""
        if self._board:
            self._board.ask()
            self._take_line(self._said(self._board, time.monotonic() + seconds))
        else:
            time.sleep(seconds)
        if self._hub:
            self._take_hub(self._hub.told)
        return self.evidence

    def show_on_line(self, show: Show) -> bool:
        """Let the board show it, where it hangs on a port and says so."""
        return self._board is not None and self._board.show(show.value, SHOW_S)

    def _said(self, board: SerialBoard, until_s: float) -> Device | Status | None:
        """Give its next word; a board whose USB is its own is away while it restarts, and found again."""
        try:
            return board.status(until_s)
        except PeerError:
            board.close()
            self._board = _opened(str(self._port))
            return None

    def _close(self) -> None:
        if self._board:
            self._board.close()

    def _take_line(self, status: Device | Status | None) -> None:
        if not isinstance(status, Status):
            blank = self.evidence.blank or status is not None
            self.evidence = replace(self.evidence, blank=blank and self.evidence.line is None)
            return
        if status.uplink == "serial":  # its uplink is this very line: whoever is the hub must have the port
            raise PeerError(
                f"{status.probe} speaks with its hub over this very line",
                where=self._board.where if self._board else "port",
                next_step="leave out --port: footfall hub run --serial has it, and is asked by --as or --broker",
            )
        self.evidence = replace(self.evidence, line=status, blank=False)

    def _take_hub(self, told: Told | None) -> None:
        if told is None or not told.live or told.at_s < self._began_s:
            return
        row = told.row(self.evidence.probe)
        since_s = told.at_s - self._began_s
        fresh = row is not None and row.heard_s is not None and row.heard_s < since_s
        self.evidence = replace(self.evidence, told=True, row=row, fresh=self.evidence.fresh or fresh)


def _opened(port: str) -> SerialBoard:
    """Open the port; one that a board's own USB makes is away while the board restarts."""
    return SerialBoard(await_port(port, lambda: None, BACK_S))


def _show(look: Look, standing: Standing) -> bool:
    """Ask the hub to let the LED show it; a probe that is not connected shows by itself where it hangs."""
    if look.hub is None or standing.failed in {Rung.LINE, Rung.NETWORK, Rung.BROKER, Rung.ADMITTED}:
        return False
    show = Show.PASS if standing.failed is None else Show.FAIL
    number, expires = order_terms()
    order = Identify(id=number, expires=expires, probe=look.probe.id, show=show, seconds=SHOW_S)
    try:
        return look.hub.order(order, CONNECT_S).error is None
    except HostkitError:
        return False
