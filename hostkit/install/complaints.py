"""What an outside program's last words mean: cause and next step by pattern. Knows no program."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hostkit.errors import HostkitError, PeerError

_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Complaint:
    """Words as a pattern, and the error they mean."""

    pattern: str
    kind: type[HostkitError]
    what: str
    next_step: str


def explain(program: str, said: Sequence[str], where: str, complaints: Sequence[Complaint]) -> HostkitError:
    """Give the error of the first complaint that fits; only what stands from the first line with an error on counts."""
    first = next((at for at, line in enumerate(said) if "rror" in line), max(len(said) - _LAST_LINES, 0))
    words = "\n".join(said[first:])
    for one in complaints:
        if re.search(one.pattern, words):
            return one.kind(one.what, where=where, next_step=one.next_step)
    last = next((line for line in reversed(said) if "rror" in line), said[-1] if said else "it said nothing")
    return PeerError(
        f"{program} failed ({last[:120]})", where=where, next_step="plug the board in again and try once more"
    )
