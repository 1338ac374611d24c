"""Asks the probes of a site, through its hub, how strong they hear a reference phone or tag now."""

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from hostkit.contract.commands import Measure
from hostkit.errors import HostkitError, PeerError
from hostkit.hub.ask import Envoy, ask
from hostkit.hub.commands import BURST, PER_S
from hostkit.model import Radio

GRACE_S = 20.0  # a probe finishes its batch first, and the answer goes through the hub
MOST_AT_ONCE = 16  # connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What is carried: the hidden network that a phone looks for, or the BLE name of a tag; how long to listen."""

    name: str
    channel: int
    radio: Radio
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What one probe heard: frames and their median; `trouble`: why it heard nothing, if that is known."""

    frames: int = 0
    rssi_dbm: float | None = None
    trouble: str = ""


class Hearing(Protocol):
    """Whoever can ask probes; PeerError where nobody answers at all."""

    @property
    def seconds(self) -> int:
        """Say how long one `hear` takes."""

    def hear(self, probes: Sequence[str]) -> tuple[Level, ...]:
        """Let these probes listen now, all at once."""


class HubHearing:
    """Probes of a running hub; every probe stays on the channel meanwhile and counts nobody else."""

    def __init__(self, envoy: Envoy, reference: Reference) -> None:
        self._envoy, self._reference = envoy, reference
        self._room, self._filled_s = BURST, time.monotonic()

    @property
    def seconds(self) -> int:
        """Say how long one `hear` takes."""
        return self._reference.seconds

    def hear(self, probes: Sequence[str]) -> tuple[Level, ...]:
        """Let these probes listen as soon as the hub takes so many commands. PeerError where none of them could."""
        self._wait_for(len(probes))
        with ThreadPoolExecutor(min(len(probes), MOST_AT_ONCE)) as pool:
            levels = tuple(pool.map(self._one, probes))
        if all(level.trouble for level in levels):
            step = "see footfall watch whether hub and probes run; check --broker"
            raise PeerError(levels[0].trouble, where=", ".join(probes)[:80], next_step=step)
        return levels

    def _wait_for(self, commands: int) -> None:
        """Keep to the rate at which the hub takes commands."""
        while True:
            now_s = time.monotonic()
            self._room = min(self._room + (now_s - self._filled_s) * PER_S, BURST)
            self._filled_s = now_s
            if self._room >= min(commands, BURST):
                self._room -= commands
                return
            time.sleep((min(commands, BURST) - self._room) / PER_S)

    def _one(self, probe: str) -> Level:
        reference = self._reference
        command = Measure(
            id=secrets.token_hex(8),
            expires=int(time.time() + reference.seconds + GRACE_S),
            probe=probe,
            beacon=reference.name,
            channel=reference.channel,
            radio=reference.radio,
            seconds=reference.seconds,
        )
        envoy = replace(self._envoy, at=datetime.now(UTC))
        try:
            answer = ask(envoy, command, wait_s=reference.seconds + GRACE_S, on_accepted=lambda _: None)
        except HostkitError as error:
            return Level(trouble=error.what)
        if answer.error is not None:
            return Level(trouble=answer.error.what)
        measured = answer.measured
        if measured is None or not measured.frames:
            return Level()
        return Level(frames=measured.frames, rssi_dbm=measured.rssi_dbm)
