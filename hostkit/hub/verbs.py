"""What each command does at the hub. Whether it may be done is the desk's business (commands.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from hostkit.contract.commands import Asked, Command, Fault, Flush, Replay, Response, Status, ToProbe
from hostkit.errors import UsageError
from hostkit.io.outbox import Outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the service lends its verbs. `send` gives a command to a probe: False while the probe cannot take it."""

    outbox: Outbox
    flush: Callable[[], None]
    send: Callable[[str, Command], bool]
    probes: Callable[[], tuple[str, ...]]


class Verbs:
    """Does commands that the desk accepted; None where a probe's answer follows."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._relayed: dict[str, str] = {}  # id → probe

    def do(self, command: Asked) -> Response | None:
        """Do it; raises HostkitError where it cannot be done."""
        match command:
            case Replay():
                return Response(id=command.id, replayed=self._means.outbox.send_again(command.from_s, command.to_s))
            case Flush():
                self._means.flush()
                return Response(id=command.id)
            case _ if isinstance(command, get_args(ToProbe)):
                self._relay(command)
                return None
            case _:
                raise UsageError("is not known here", where=type(command).__name__, next_step="update the hub")

    def answered(self, probe: str, response: Response) -> Response | None:
        """Give a probe's answer on to whoever asked; None if nobody did or it is not the last."""
        if self._relayed.get(response.id) != probe or response.outcome is Status.ACCEPTED:
            return None
        del self._relayed[response.id]
        return response

    def given_up(self, id_: str) -> Response:
        """Say of a command that its time is over."""
        probe = self._relayed.pop(id_, "probe")
        fault = Fault(what=f"{probe} did not answer in time; it may still do it", next_step="see footfall watch")
        return Response(id=id_, status=Status.REFUSED, error=fault)

    def _relay(self, command: ToProbe) -> None:
        probes = self._means.probes()
        if command.probe not in probes:
            known = ", ".join(probes) or "none"
            raise UsageError(f"there is no probe {command.probe}", where="probe", next_step=f"the site has: {known}")
        if not self._means.send(command.probe, command):
            raise UsageError(
                f"{command.probe} is not connected", where="probe", next_step="look at its state (footfall watch)"
            )
        self._relayed[command.id] = command.probe
