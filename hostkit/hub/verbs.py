"""What each command does at the hub. Whether it may be done is the desk's business (commands.py)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import msgspec

from hostkit.config.edit import Tree, changed
from hostkit.contract.commands import (
    Asked,
    CalibrateApply,
    CalibrateStart,
    CalibrateUndo,
    Command,
    Fault,
    Flush,
    Recompute,
    Replay,
    Response,
    Rollback,
    Rollout,
    RotateKey,
    SetHop,
    SetPrivacy,
    SetProbe,
    SetThresholds,
    SetZones,
    Status,
    ToProbe,
)
from hostkit.errors import HostkitError, UsageError
from hostkit.hub.calibrating import Bench, Calibrating
from hostkit.hub.commands import Waits, refusal_of
from hostkit.hub.configuration import Configuration
from hostkit.hub.fleet import Fleet
from hostkit.model import Probe, Site, Zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the service lends its verbs.

    `send` gives a command to a probe, False while it cannot take it; `replay` sends closed hours and days of a span
    again, `recompute` computes those of a local day again, both give how many.
    """

    bench: Bench
    configuration: Configuration
    fleet: Fleet
    flush: Callable[[], None]
    send: Callable[[str, Command], bool]
    online: Callable[[str], bool]
    replay: Callable[[int, int], int]
    recompute: Callable[[str], int]
    rotate: Callable[[], None]
    rollout: Callable[[Rollout], Response]


class Verbs:
    """Does commands that the desk accepted."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._calibrating = Calibrating(means.bench)
        self._waiting: dict[str, Waits] = {}  # by id

    def resume(self, left: Mapping[str, Waits]) -> None:
        """Go on waiting for what a hub before this one waited for."""
        self._waiting.update(left)

    def do(self, command: Asked) -> Response | Waits:
        """Do it, as far as the hub can; raises HostkitError where it cannot be done."""
        match command:
            case Replay():
                return Response(id=command.id, replayed=self._means.replay(command.from_s, command.to_s))
            case Recompute():
                return Response(id=command.id, recomputed=self._means.recompute(command.day))
            case Flush():
                self._means.flush()
                return Response(id=command.id)
            case Rollout():
                return self._means.rollout(command)
            case RotateKey():
                self._means.rotate()
                return Response(id=command.id)
            case SetProbe(probe=str()):
                return self._relay(command)
            case SetHop() | SetProbe():
                return self._configure(command)
            case SetThresholds() | SetZones() | SetPrivacy() | Rollback():
                return self._change(command)
            case CalibrateStart():
                return self._calibrating.start(command)
            case CalibrateApply():
                return self._calibrating.apply(command)
            case CalibrateUndo():
                return self._calibrating.undo(command)
            case _:
                assert isinstance(command, get_args(ToProbe))
                return self._relay(command)

    def answered(self, probe: str, response: Response) -> Response | None:
        """Give a probe's answer on to whoever asked; None if nobody did or it is not the last."""
        if self._waiting.get(response.id) != Waits(probe) or response.outcome is Status.ACCEPTED:
            return None
        del self._waiting[response.id]
        return response

    def informed(self, probe: str) -> tuple[Response, ...]:
        """A probe told which configuration it has: give the answers that waited for it."""
        waiting = probe in self._means.fleet.waiting
        refusal = self._means.fleet.refusal(probe)
        if waiting and refusal is None:
            return ()
        over = [(id_, one.response) for id_, one in self._waiting.items() if one.probe == probe and one.response]
        for id_, _ in over:
            del self._waiting[id_]
        return tuple(self._settled(probe, response, refusal if waiting else None) for _, response in over)

    def given_up(self, id_: str) -> Response:
        """Say of a command that its time is over."""
        waits = self._waiting.pop(id_)
        if waits.response is not None:
            return msgspec.structs.replace(waits.response, waiting=(waits.probe,))
        fault = Fault(what=f"{waits.probe} did not answer in time; it may still do it", next_step="see footfall watch")
        return Response(id=id_, status=Status.REFUSED, error=fault)

    def _relay(self, command: ToProbe | SetProbe) -> Waits:
        name = _name_of(command)
        self._probe(name)
        if not self._means.send(name, command):
            step = "look at its state (footfall watch)"
            raise UsageError(f"{name} is not connected", where="probe", next_step=step)
        self._waiting[command.id] = Waits(name)
        return self._waiting[command.id]

    def _change(self, command: SetThresholds | SetZones | SetPrivacy | Rollback) -> Response:
        by, configuration = f"command {command.id}", self._means.configuration
        if isinstance(command, Rollback):
            version, restart = configuration.roll_back(command.version, by)
        else:
            version, restart = configuration.change(lambda site: _changed(site, command), by)
        return Response(id=command.id, version=version, restart=restart)

    def _configure(self, command: SetHop | SetProbe) -> Response | Waits:
        name = _name_of(command)
        self._probe(name)
        version, restart = self._means.configuration.change(
            lambda site: _with_probe(site, name, command), f"command {command.id}"
        )
        response = Response(id=command.id, version=version, restart=restart)
        if name not in self._means.fleet.waiting:
            return response
        if not self._means.online(name):
            return msgspec.structs.replace(response, waiting=(name,))
        self._waiting[command.id] = Waits(name, response)
        return self._waiting[command.id]

    def _settled(self, probe: str, response: Response, refusal: str | None) -> Response:
        """Answer a change of a probe's configuration; what the probe refuses is taken back."""
        if refusal is None:
            return response
        try:
            self._means.configuration.roll_back((response.version or 0) - 1, f"refusal of {probe}")
        except HostkitError as error:
            return refusal_of(response.id, error)
        fault = Fault(what=f"{probe}: {refusal}"[:500], next_step="give it what it can do")
        return Response(id=response.id, error=fault)

    def _probe(self, name: str) -> Probe:
        probes = {probe.id: probe for probe in self._means.configuration.site.probes}
        if name not in probes:
            known = ", ".join(probes) or "none"
            raise UsageError(f"there is no probe {name}", where="probe", next_step=f"the site has: {known}")
        return probes[name]


def _changed(site: Site, command: SetThresholds | SetZones | SetPrivacy) -> Site:
    def change(tree: Tree) -> None:
        match command:
            case SetThresholds(values=values):
                table = tree["thresholds"]
                assert isinstance(table, dict)
                whole = {name for name, value in table.items() if isinstance(value, int)}
                table.update({name: _whole(value) if name in whole else value for name, value in values.items()})
            case SetZones(zones=zones):
                tree["zones"] = [_entry(zone) for zone in zones]
            case SetPrivacy(mode=mode):
                tree["privacy"] = {**_table(tree, "privacy"), "mode": mode.value}

    return changed(site, change, "site.toml")


def _with_probe(site: Site, name: str, command: SetHop | SetProbe) -> Site:
    def change(tree: Tree) -> None:
        probes = tree["probes"]
        assert isinstance(probes, list)
        index = next(index for index, entry in enumerate(probes) if entry["id"] == name)
        if isinstance(command, SetHop):
            probes[index] |= {"channels": list(command.channels), "dwell_ms": command.dwell_ms}
        elif isinstance(command.probe, Probe):
            probes[index] = _entry(command.probe)

    if all(probe.id != name for probe in site.probes):
        raise UsageError(f"site.toml has no probe {name} any more", where="probe", next_step="see hub config list")
    return changed(site, change, "site.toml")


def _name_of(command: ToProbe | SetHop | SetProbe) -> str:
    return command.probe.id if isinstance(command.probe, Probe) else command.probe


def _entry(record: Zone | Probe) -> Tree:
    """Give a record as a site.toml says it: without what is not set."""
    entry: Tree = msgspec.to_builtins(record)
    return {name: value for name, value in entry.items() if value is not None}


def _table(tree: Tree, name: str) -> Tree:
    table = tree[name]
    assert isinstance(table, dict)
    return table


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value
