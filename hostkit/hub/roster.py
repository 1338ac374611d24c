"""Who of the site's probes is there, who is awaited, who is owed an ack. Sends nothing, reads no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SILENT_S = 30.0  # an online probe that sent nothing for so long is no longer awaited: three of its batches


@dataclass(slots=True)
class _Probe:
    online: bool = False
    sent_s: float = 0.0  # monotonic time of its last batch or word
    owed: bool = True


class Roster:
    """The probes of a site, in its order. `now_s` is monotonic."""

    def __init__(self, names: Iterable[str]) -> None:
        self._probes = {name: _Probe() for name in names}

    def __contains__(self, name: str) -> bool:
        return name in self._probes

    def online(self, name: str) -> bool:
        """Tell whether a probe is there."""
        return self._probes[name].online

    def heard_of(self, name: str, now_s: float, *, online: bool) -> None:
        """A probe said something, or its will did."""
        self._probes[name].online, self._probes[name].sent_s = online, now_s

    def owe(self, name: str) -> None:
        """A batch of this probe came, or is settled; of a probe of another site nothing is owed."""
        if name in self._probes:
            self._probes[name].owed = True

    def take_owed(self) -> frozenset[str]:
        """Give those who are owed an ack; they are not any more."""
        owed = frozenset(name for name, probe in self._probes.items() if probe.owed)
        for name in owed:
            self._probes[name].owed = False
        return owed

    def awaited_us(self, until_us: Mapping[int, int], now_s: float) -> int | None:
        """Up to when the slowest probe that is awaited has told what it heard; None if none is, -1 if it never did."""
        awaited = [
            until_us.get(index, -1)
            for index, probe in enumerate(self._probes.values())
            if probe.online and now_s < probe.sent_s + SILENT_S
        ]
        return min(awaited, default=None)
