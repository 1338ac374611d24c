"""Which configuration each probe should have, and whether it shows it. Sends nothing: it says what is due."""

import hashlib
from dataclasses import dataclass

import msgspec

from hostkit.contract.messages import Desired, Info
from hostkit.model import Probe, Site


@dataclass(slots=True)
class _Member:
    probe: Probe
    config_hash: str
    told: bool = False
    shows: str | None = None
    refusal: str | None = None  # of this configuration


class Fleet:
    """The probes of a site, and what they said of their configuration."""

    def __init__(self, site: Site) -> None:
        self._members: dict[str, _Member] = {}
        self.reconfigure(site)

    def reconfigure(self, site: Site) -> None:
        """Want what `site` says of each probe."""
        before, self._members = self._members, {}
        for probe in site.probes:
            wanted, known = probe_hash(probe), before.get(probe.id)
            same = known is not None and known.config_hash == wanted
            shows = known.shows if known else None
            self._members[probe.id] = known if known and same else _Member(probe, wanted, shows=shows)

    def afresh(self) -> None:
        """The broker is new: tell all."""
        for member in self._members.values():
            member.told = False

    def due(self) -> tuple[tuple[str, Desired], ...]:
        """Give what to publish, retained; call `told` for what went."""
        return tuple(
            (name, Desired(config_hash=member.config_hash, probe=member.probe))
            for name, member in self._members.items()
            if not member.told
        )

    def told(self, name: str) -> None:
        """Take note that a probe's configuration went out."""
        self._members[name].told = True

    def informed(self, name: str, info: Info) -> None:
        """Take what a probe says of itself."""
        member = self._members[name]
        member.shows = info.config_hash
        if info.config_refused is not None and info.config_refused.config_hash == member.config_hash:
            member.refusal = info.config_refused.what

    @property
    def names(self) -> tuple[str, ...]:
        """Give all probes."""
        return tuple(self._members)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Give the probes that do not show their configuration."""
        return tuple(name for name, member in self._members.items() if member.shows != member.config_hash)

    def refusal(self, name: str) -> str | None:
        """Say why a probe does not take its configuration; None while it may."""
        return self._members[name].refusal


def probe_hash(probe: Probe) -> str:
    """Give what names a probe's configuration."""
    return hashlib.blake2b(msgspec.json.encode(probe), digest_size=8).hexdigest()
