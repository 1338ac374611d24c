"""One-time codes for probes: read as `footfall hub enrol` printed them, and exchanged for a credential in memory.

The key is made here, goes to the board and nowhere else: nothing of it is written.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from hostkit.errors import PeerError, UsageError
from hostkit.identity import client
from hostkit.identity.access import Role
from hostkit.identity.authority import make_request
from hostkit.identity.client import NoAnswerError
from hostkit.identity.invitation import SCHEME, Invitation, parse_invitation
from hostkit.install.sitebundle import SiteBundle

MAX_LINES = 1000
DEFAULT_PORT = 8883  # until enrolment says which


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a probe shows at its broker, PEM, and where that is.

    Without `certificate` the board fetches it itself, on its own network, with `code` and `request` at `enrol_port`.
    """

    host: str
    port: int
    authority: str
    key: str = field(repr=False)
    certificate: str = ""
    code: str = field(default="", repr=False)
    request: str = ""
    enrol_port: int = 0


class Codes:
    """The codes of a site's probes: those of a bundle, or of what `hub enrol` printed. Each is used once."""

    def __init__(self, invitations: Mapping[str, Invitation], bundle: SiteBundle | None = None) -> None:
        self._invitations, self._bundle = invitations, bundle

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Take what was printed; UsageError for what is none."""
        return cls(read_codes(text))

    @classmethod
    def of_bundle(cls, bundle: SiteBundle) -> Self:
        """Take a bundle."""
        return cls(bundle.codes, bundle)

    def invitation(self, probe: str) -> Invitation:
        """Give the code of a probe; UsageError where there is none."""
        alone = self._invitations.get("") if len(self._invitations) == 1 else None
        found = self._invitations.get(probe) or alone
        if found is None:
            step = f"ask for it: footfall hub enrol {probe}"
            raise UsageError(f"hold none for {probe}", where="codes", next_step=step)
        return found

    def for_board(self, identity: str) -> Credential:
        """Give what the probe `identity` enrols with by itself, without a key: its way to us can be overheard."""
        invitation = self.invitation(identity.rpartition("/")[2])
        bundle = self._bundle
        authority = bundle.authority if bundle else client.authority_of(invitation).decode()
        return Credential(
            host=invitation.host, port=bundle.port if bundle else DEFAULT_PORT, authority=authority, key="",
            code=invitation.code, enrol_port=invitation.port,
        )  # fmt: skip

    def credential(self, identity: str, say: Callable[[str], None]) -> Credential:
        """Use the code of the probe `identity`. Where no hub answers and a bundle names it, the board is to do it."""
        invitation = self.invitation(identity.rpartition("/")[2])
        say(f"enrolling at {invitation.host}:{invitation.port}")
        try:
            return redeem(invitation, identity)
        except NoAnswerError:
            if self._bundle is None:
                raise
        say("the hub is not reached from here: the board enrols by itself once it is on the shop's network")
        key, request = make_request()
        return Credential(
            host=invitation.host, port=self._bundle.port, authority=self._bundle.authority, key=key.decode(),
            code=invitation.code, request=request.decode(), enrol_port=invitation.port,
        )  # fmt: skip


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
