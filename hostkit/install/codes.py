"""One-time codes for probes: read as `footfall hub enrol` printed them, and exchanged for a credential in memory.

The key is made here, goes to the board and nowhere else: nothing of it is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hostkit.errors import PeerError, UsageError
from hostkit.identity import client
from hostkit.identity.access import Role
from hostkit.identity.invitation import SCHEME, Invitation, parse_invitation

MAX_LINES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a probe shows at its broker, PEM, and where that is."""

    host: str
    port: int
    authority: str
    certificate: str
    key: str = field(repr=False)


def read_codes(text: str) -> dict[str, Invitation]:
    """Read lines `PROBE  footfall-enrol://...`, or one invitation alone, under "". UsageError names the line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")][: MAX_LINES + 1]
    if not 1 <= len(lines) <= MAX_LINES:
        raise UsageError(
            f"hold {len(lines)} lines", where="codes", next_step="give what `footfall hub enrol PROBE...` printed"
        )
    return dict(_pairs(lines))


def _pairs(lines: list[str]) -> Iterator[tuple[str, Invitation]]:
    for number, line in enumerate(lines, 1):
        probe, separator, invitation = line.rpartition(SCHEME + "://")
        if not separator or (len(lines) > 1 and not probe.strip()):
            raise UsageError(
                "is no code for a probe",
                where=f"codes line {number}",
                next_step="give what `footfall hub enrol PROBE...` printed, or ask for it anew",
            )
        yield probe.strip(), parse_invitation(separator + invitation)


def redeem(invitation: Invitation, identity: str) -> Credential:
    """Exchange a code for the credential of the probe `identity`.

    PeerError where it is refused, or is somebody else's: then nothing was given to the board.
    """
    enrolled = client.enrol(invitation)
    if enrolled.place.identity != identity or enrolled.place.role != Role.PROBE:
        raise PeerError(
            f"this code was for {enrolled.place.identity}, a {enrolled.place.role}, and is used now",
            where="code",
            next_step=f"ask for a new code for each: footfall hub enrol {identity.rpartition('/')[2]}",
        )
    return Credential(
        host=enrolled.place.host,
        port=enrolled.place.port,
        authority=enrolled.authority.decode(),
        certificate=enrolled.certificate.decode(),
        key=enrolled.key.decode(),
    )
