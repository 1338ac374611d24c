"""New firmware for the probes, in stages: one, then a quarter, then the rest. Stops at the first that does not keep it.

The release lies in the hub's data folder (`RELEASE`). A probe takes the image step by step, answers each, checks the
signature, restarts into it on trial and keeps it once it has reached its hub and was well for two minutes; it tells so
in health. Only when all of a stage have does the next begin. What failed goes back by itself: the boot loader's doing.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Literal

import msgspec

from hostkit.contract.commands import ProbeUpdate, Response, Rollout, RolloutState, Update, Updating
from hostkit.contract.messages import Health, Info
from hostkit.errors import UsageError
from hostkit.io.outbox import Outbox
from hostkit.io.release import Image, Release, read_release

RELEASE = "release"  # folder in the hub's data folder
STEP_BYTES = 960  # in base64 and with its envelope below the 2,048 bytes a probe reads
EXPIRES_S = 60
ANSWER_S = 10.0  # then the step is sent again
TRIES = 12  # of a step without answer; a probe may be away for two minutes
BEGINS = 3  # a probe that restarted has forgotten what it had
RETURN_S = 300.0  # from the last step until the new image is heard of
TRIAL_S = 1200.0  # GIVE_UP_S of firmware/sensor/ota.py, and a restart
SECOND_STAGE = 4  # one in so many
_WORD = "rollout"
_CHIP = re.compile(r"(esp32)-?([shcp]\d+)?")  # as `chip` of firmware/sensor/__init__.py; ESP32-PICO-D4 is an ESP32
_FINAL = (Updating.KEPT, Updating.SKIPPED, Updating.FAILED, Updating.ROLLED_BACK)
_BAD = (Updating.FAILED, Updating.ROLLED_BACK)

Send = Callable[[str, Update], bool]


class Rollouts:
    """At most one at a time. `send` gives a probe a command, False while it cannot take it.

    Times: `now_s` monotonic, `at_s` Unix time by the hub's clock.
    """

    def __init__(self, data: Path, outbox: Outbox, *, send: Send, say: Callable[[str], None]) -> None:
        self._folder, self._outbox, self._send, self._say = data / RELEASE, outbox, send, say
        self._infos: dict[str, Info] = {}
        self._probes: dict[str, _Probe] = {}
        self._stages: list[list[str]] = []
        self._state = self._stored = _kept(outbox.word(_WORD))
        if self._state.state == "running":
            self._store(msgspec.structs.replace(self._state, state="stopped"))

    @property
    def state(self) -> RolloutState:
        """Say how far it is."""
        if not self._probes:
            return self._state
        return msgspec.structs.replace(self._state, probes=tuple(probe.shown for probe in self._probes.values()))

    def do(self, command: Rollout, known: tuple[str, ...], online: Callable[[str], bool]) -> Response:
        """Begin, stop or tell; `known` are the site's probes. Raises UsageError, InputError, StorageError."""
        if command.step == "begin":
            self._begin(command.probes, known, online)
        elif command.step == "stop":
            self._stop()
        return Response(id=command.id, rollout=self.state)

    def informed(self, name: str, info: Info) -> None:
        """Take what a probe says of its image."""
        self._infos[name] = info
        if name in self._probes:
            self._probes[name].informed(info)

    def healthy(self, name: str, health: Health) -> None:
        """Take a probe's health."""
        if name in self._probes:
            self._probes[name].healthy(health)

    def answered(self, name: str, response: Response) -> bool:
        """Take an answer; tell whether it is to a step of ours."""
        return name in self._probes and self._probes[name].answered(response)

    def mind(self, now_s: float, at_s: float) -> None:
        """Send what is due; begin the next stage, or end."""
        if self._state.state != "running":
            return
        for name in self._stages[self._state.stage - 1]:
            self._probes[name].mind(now_s, at_s)
        stage = [self._probes[name].state for name in self._stages[self._state.stage - 1]]
        if all(state in _FINAL for state in stage):
            self._next(any(state in _BAD for state in stage))
        before, after = self._stored, self.state
        if [probe.state for probe in before.probes] != [probe.state for probe in after.probes]:
            self._tell(before, after)
            self._store(after)

    def _begin(self, wanted: tuple[str, ...], known: tuple[str, ...], online: Callable[[str], bool]) -> None:
        if self._state.state == "running":
            raise UsageError("an update is running", where="rollout", next_step="wait for it, or stop it")
        if strangers := sorted(set(wanted) - set(known)):
            step = f"the site has: {', '.join(known)}"
            raise UsageError(f"there is no probe {strangers[0]}", where="rollout", next_step=step)
        release = read_release(self._folder)
        names = [name for name in known if not wanted or name in wanted]
        self._probes = {name: self._probe(name, release, online(name)) for name in names}
        self._stages = stages([name for name in names if self._probes[name].state is Updating.WAITING])
        self._state = RolloutState(state="running", version=release.version, stages=len(self._stages))
        self._say(f"update: {release.version} for {sum(map(len, self._stages))} of {len(names)} probes")
        self._next(failed=False)
        self._store(self.state)

    def _probe(self, name: str, release: Release, online: bool) -> "_Probe":
        info = self._infos.get(name)
        chip = chip_of(info) if info else None
        image = release.images.get(chip or "")
        why = ""
        if info is None or not online:
            why = "is not connected"
        elif image is None:
            why = f"the release has no update for {chip or 'its chip'}"
        elif info.build is not None and info.build >= image.signed.build:
            why = f"has build {info.build} already"
        return _Probe(name, None if why else image, why, self._send)

    def _next(self, failed: bool) -> None:
        state = self._state
        if failed or state.stage == len(self._stages):
            self._state = msgspec.structs.replace(state, state="failed" if failed else "done")
        else:
            self._state = msgspec.structs.replace(state, stage=state.stage + 1)
            for name in self._stages[state.stage]:
                self._probes[name].begin()

    def _stop(self) -> None:
        """No further stage begins, no further step is sent; who has the whole image goes on by itself."""
        for probe in self._probes.values():
            probe.stop()
        if self._state.state == "running":
            self._store(msgspec.structs.replace(self.state, state="stopped"))

    def _tell(self, before: RolloutState, after: RolloutState) -> None:
        for was, one in zip(before.probes, after.probes, strict=True):
            if was.state is not one.state:
                self._say(f"update: {one.probe}: {one.state.replace('_', ' ')}{f': {one.what}' if one.what else ''}")
        if after.state != "running":
            self._say(f"update: {after.version}: {after.state} in stage {after.stage} of {after.stages}")

    def _store(self, state: RolloutState) -> None:
        self._state = self._stored = state
        self._outbox.set_word(_WORD, msgspec.json.encode(state).decode())


class _Probe:
    """One probe's update. `image` None: it is skipped, and `what` says why."""

    def __init__(self, name: str, image: Image | None, what: str, send: Send) -> None:
        self._name, self._image, self._send = name, image, send
        self.state = Updating.SKIPPED if image is None else Updating.WAITING
        self._what = what
        self._offset = self._begins = self._tries = 0
        self._step: Literal["begin", "data", "end"] = "begin"
        self._asked = ""
        self._due_s = float("-inf")
        self._until_s: float | None = None

    @property
    def shown(self) -> ProbeUpdate:
        """Say how far it is."""
        size = self._image.signed.size if self._image else 0
        percent = self._offset * 100 // size if size else 0
        if self.state in (Updating.RESTARTING, Updating.ON_TRIAL, Updating.KEPT):
            percent = 100
        return ProbeUpdate(probe=self._name, state=self.state, percent=percent, what=self._what)

    def begin(self) -> None:
        """Its stage has come."""
        self.state = Updating.SENDING

    def stop(self) -> None:
        """Do not go on."""
        if self.state in (Updating.WAITING, Updating.SENDING):
            self._end(Updating.SKIPPED, "stopped")

    def mind(self, now_s: float, at_s: float) -> None:
        """Send the step that is due; give up what takes too long."""
        if self.state is Updating.SENDING and now_s >= self._due_s:
            if self._tries >= TRIES:
                self._end(Updating.FAILED, "does not answer")
                return
            self._tries += 1
            self._asked = token_hex(8)
            self._send(self._name, self._command(at_s))
            self._due_s = now_s + ANSWER_S
        elif self.state in (Updating.RESTARTING, Updating.ON_TRIAL):
            longest_s = RETURN_S if self.state is Updating.RESTARTING else TRIAL_S
            self._until_s = now_s + longest_s if self._until_s is None else self._until_s
            if now_s >= self._until_s:
                what = "did not come back" if self.state is Updating.RESTARTING else "did not keep it in time"
                self._end(Updating.FAILED, what)

    def answered(self, response: Response) -> bool:
        """Take the answer to the last step; tell whether it is one."""
        if not self._asked or response.id != self._asked:
            return False
        self._asked, self._tries, self._due_s = "", 0, float("-inf")
        if self.state is not Updating.SENDING:
            return True
        if response.error is None:
            self._advance(response)
        elif response.update is not None and response.update.offset > 0:
            self._step, self._offset = "data", response.update.offset  # it has an answer that we have not
        elif self._step != "begin" and self._begins < BEGINS:
            self._step = "begin"
        else:
            self._end(Updating.FAILED, response.error.what)
        return True

    def informed(self, info: Info) -> None:
        """Take its build: the new one, or after the restart the old one again."""
        new = self._image is not None and info.build == self._image.signed.build
        if self.state is Updating.RESTARTING and new:
            self.state, self._until_s = Updating.ON_TRIAL, None
        elif self.state is Updating.ON_TRIAL and not new:
            self._end(Updating.ROLLED_BACK, "went back to the old image: it was not well, or did not reach the hub")

    def healthy(self, health: Health) -> None:
        """Take whether it has kept the image, or gone back."""
        if self.state is Updating.ON_TRIAL and health.counters.get("updates_kept"):
            self._end(Updating.KEPT, "")
        elif self.state in (Updating.RESTARTING, Updating.ON_TRIAL) and health.drops.get("update_rolled_back"):
            self._end(Updating.ROLLED_BACK, "went back to the old image: it was not well, or did not reach the hub")

    def _advance(self, response: Response) -> None:
        assert self._image is not None
        if self._step == "begin":
            self._begins += 1
        if self._step == "end":
            self.state = Updating.RESTARTING
            return
        self._offset = response.update.offset if response.update else 0
        self._step = "data" if self._offset < self._image.signed.size else "end"

    def _command(self, wall_s: float) -> Update:
        image = self._image
        assert image is not None
        common = Update(id=self._asked, expires=int(wall_s) + EXPIRES_S, probe=self._name, step=self._step)
        if self._step == "begin":
            return msgspec.structs.replace(common, manifest=image.manifest, signature=image.signature)
        if self._step == "end":
            return common
        data = image.data[self._offset : self._offset + STEP_BYTES]
        return msgspec.structs.replace(common, offset=self._offset, data=b64encode(data).decode())

    def _end(self, state: Updating, what: str) -> None:
        self.state, self._what = state, what


def stages(names: list[str]) -> list[list[str]]:
    """Cut probes into stages: one, a quarter, the rest; none is empty."""
    second = 1 + max(len(names) // SECOND_STAGE, 1)
    return [stage for stage in (names[:1], names[1:second], names[second:]) if stage]


def chip_of(info: Info) -> str:
    """Give the chip as images name it: a probe's hardware ends in MicroPython's `... with ESP32S3`."""
    found = _CHIP.match(info.hardware.rpartition(" with ")[2].strip().lower())
    return found[1] + (found[2] or "") if found else ""


def _kept(word: str | None) -> RolloutState:
    try:
        return msgspec.json.decode(word or "", type=RolloutState)
    except msgspec.DecodeError:
        return RolloutState(state="none")
