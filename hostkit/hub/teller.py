"""Tells one probe one thing, if it is there and the command is short enough for it."""

from hostkit.contract.codec import CMD
from hostkit.contract.commands import Command
from hostkit.contract.rights import verb_of
from hostkit.errors import UsageError
from hostkit.hub.pace import Now
from hostkit.hub.roster import Roster
from hostkit.hub.serial import Near
from hostkit.hub.voice import Voice

PROBE_READS_BYTES = 2048  # MOST_BYTES of firmware/sensor/messages.py


class Teller:
    """Call it with a probe and a command: False while it cannot be told, UsageError for what it could not read."""

    def __init__(self, voice: Voice, near: Near, roster: Roster, now: Now) -> None:
        self._voice, self._near, self._roster, self._now = voice, near, roster, now
        self._later: list[tuple[str, bytes]] = []

    def __call__(self, probe: str, command: Command) -> bool:
        """Publish it on the probe's `cmd/<verb>`."""
        return self._roster.online(probe) and self._near.publish(*self._packed(probe, command))

    def later(self, probe: str, command: Command) -> bool:
        """Publish it with the next `go`, after a commit: what goes before it, a hub that is killed would do again."""
        if not self._roster.online(probe):
            return False
        self._later.append(self._packed(probe, command))
        return True

    def go(self) -> None:
        """Publish what was to be told later; one that does not get through is as good as one not answered."""
        for topic, payload in self._later:
            self._near.publish(topic, payload)
        self._later.clear()

    def _packed(self, probe: str, command: Command) -> tuple[str, bytes]:
        payload = self._voice.payload(CMD, command, self._now.at_s)
        if len(payload) > PROBE_READS_BYTES:
            what = f"the command has {len(payload)} bytes, {probe} reads {PROBE_READS_BYTES}"
            raise UsageError(what, where="probe", next_step="send it in parts")
        return self._voice.topic(f"cmd/{verb_of(command)}", probe), payload
