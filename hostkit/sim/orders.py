"""What a simulated probe does when told, as a real one would: commands other than keys, and its configuration."""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from hostkit.contract.commands import (
    Beacon,
    Command,
    Describe,
    Description,
    Element,
    Fault,
    Identify,
    Measure,
    Measured,
    ReadLog,
    Response,
    Restart,
    Status,
)
from hostkit.contract.messages import CONFIG_VERSION, ConfigRefused, Desired
from hostkit.core.describe import split_elements
from hostkit.model import Probe

LOG_LINES = 200
KEPT_IDS = 64


class Told(Protocol):
    """The part of a source that can be asked and changed."""

    @property
    def hardware(self) -> str:
        """Say what stands in for the board."""

    def describe(self, fingerprint: int) -> bytes | None:
        """Give the description of a frame it heard with this fingerprint; None if it keeps none."""

    def measure(self, seconds: int) -> Measured:
        """Say how strong a reference phone is heard where somebody carries one."""

    def take_up(self, probe: Probe) -> str | None:
        """Hear by another configuration from the next batch on; or say why not, and go on as before."""


class Orders:
    """Does commands for the probe `name`. `now` writes the probe's time of day for its log."""

    def __init__(self, name: str, source: Told, now: Callable[[], str]) -> None:
        self._name, self._source, self._now = name, source, now
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._ids: deque[str] = deque(maxlen=KEPT_IDS)
        self.config_hash: str | None = None
        self.config_refused: ConfigRefused | None = None
        self.identified = 0

    def note(self, line: str) -> None:
        """Write a line into the log."""
        self._log.append(f"{self._now()} {line}")

    def do(self, command: Command) -> Response:
        """Do it and give the answer; a restart is the caller's to do after it."""
        if command.id in self._ids:
            return _refused(command.id, "this id came before", "give every command its own id")
        self._ids.append(command.id)
        if getattr(command, "probe", self._name) != self._name:
            return _refused(command.id, f"is for {getattr(command, 'probe', '')}", "send it to that probe")
        return self._done(command)

    def configure(self, desired: Desired) -> None:
        """Take the desired configuration whole, or keep the last one and say why."""
        if desired.config_hash == self.config_hash:
            self.config_refused = None
            return
        reason = self._unfit(desired)
        if reason is None:
            self.config_hash, self.config_refused = desired.config_hash, None
            self.note(f"config: {desired.config_hash} in force")
        else:
            self.config_refused = ConfigRefused(desired.config_hash, reason)
            self.note(f"config: {desired.config_hash} refused: {reason}")

    def _unfit(self, desired: Desired) -> str | None:
        if desired.version > CONFIG_VERSION:
            return f"version {desired.version} is newer than this firmware's {CONFIG_VERSION}"
        if not isinstance(desired.probe, Probe) or desired.probe.id != self._name:
            return "is not of this probe"
        return self._source.take_up(desired.probe)

    def _done(self, command: Command) -> Response:
        match command:
            case Describe(fingerprints=fingerprints):
                found = [(one, self._source.describe(one)) for one in fingerprints]
                descriptions = tuple(described(one, data) for one, data in found if data is not None)
                return Response(id=command.id, status=Status.DONE, descriptions=descriptions)
            case Identify(seconds=seconds):
                self.identified += 1
                self.note(f"identify: blinks for {seconds} s")
            case ReadLog(lines=lines):
                return Response(id=command.id, status=Status.DONE, lines=tuple(self._log)[-lines:])
            case Measure(seconds=seconds):
                return Response(id=command.id, status=Status.DONE, measured=self._source.measure(seconds))
            case Beacon(count=count):
                self.note(f"beacon: sends {count}")  # nobody hears it: the others' records were made before
            case Restart():
                self.note("restart: by command")
            case _:
                return _refused(command.id, f"a {self._source.hardware} probe cannot do this", "ask its hub")
        return Response(id=command.id, status=Status.DONE)


def described(fingerprint: int, data: bytes) -> Description:
    """Give a description as a message has it."""
    elements = [Element(id=one[0], length=one[1], stable=one[2:].hex()) for one in split_elements(data)]
    return Description(fingerprint=fingerprint, elements=tuple(elements))


def _refused(id_: str, what: str, next_step: str) -> Response:
    return Response(id=id_, status=Status.REFUSED, error=Fault(what=what, next_step=next_step))
