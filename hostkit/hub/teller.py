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

    def __call__(self, probe: str, command: Command) -> bool:
        """Publish it on the probe's `cmd/<verb>`."""
        if not self._roster.online(probe):
            return False
        payload = self._voice.payload(CMD, command, self._now.at_s)
        if len(payload) > PROBE_READS_BYTES:
            what = f"the command has {len(payload)} bytes, {probe} reads {PROBE_READS_BYTES}"
            raise UsageError(what, where="probe", next_step="send it in parts")
        return self._near.publish(self._voice.topic(f"cmd/{verb_of(command)}", probe), payload)
