"""The site's identities on disk: authority, certificates, and the broker's files that follow from them.

`DIR/identity` holds the authority and the hub's own credential, `DIR/identity/nodes` those made for others, to be
carried to them and deleted; `DIR/broker` what mosquitto is started with.
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hostkit.contract.topics import HUB
from hostkit.errors import ConfigError, UsageError
from hostkit.identity.access import BrokerFiles, Role, access_list, configuration
from hostkit.identity.authority import CERTIFICATE, KEY, REGISTER, REVOKED, Authority, Issued
from hostkit.io.files import write_files
from hostkit.model import Site

BROKER = "broker"
_RESERVED = {HUB: Role.HUB, BROKER: Role.BROKER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """Files of one identity: what it shows and what it verifies the broker with."""

    identity: str
    certificate: Path
    key: Path
    authority: Path

    @property
    def url_options(self) -> str:
        """Give them as a broker URL takes them."""
        return f"ca={self.authority}&cert={self.certificate}&key={self.key}"


class Identities:
    """All identities of `site` in `data`. Times are Unix seconds. Raises ConfigError where `init` was not run."""

    def __init__(self, site: Site, data: Path) -> None:
        self._site, self._data = site, data.absolute()
        self._folder = self._data / "identity"
        self._acl = self._data / "broker" / "acl"
        self._authority: Authority | None = None

    @property
    def configuration(self) -> Path:
        """What mosquitto is started with."""
        return self._data / "broker" / "mosquitto.conf"

    def init(self, hosts: Sequence[str], port: int, now_s: float) -> Handed:
        """Make authority, broker and hub, and the broker's files, all or none; give the hub's.

        UsageError where it was done: certificates of the authority there would be worth nothing.
        """
        if (self._folder / KEY).exists():
            raise UsageError(
                "there is an authority already", where=str(self._folder), next_step="choose another --data"
            )
        self._authority = Authority.create(f"{self._site.tenant}/{self._site.site}", now_s)
        broker, broker_files = self._credential(BROKER, Role.BROKER, now_s, hosts)
        hub, hub_files = self._credential(HUB, Role.HUB, now_s)
        folder = self._data / "broker"
        files = BrokerFiles(
            authority=broker.authority,
            revoked=self._folder / REVOKED,
            certificate=broker.certificate,
            key=broker.key,
            acl=self._acl,
            data=folder,
            user=getpass.getuser(),
        )
        self._write({**broker_files, **hub_files, self.configuration: configuration(files, port).encode()}, now_s)
        return hub

    def issue(self, node: str, role: Role, now_s: float) -> Handed:
        """Make a credential for `node` and let it in. UsageError for a role that is not its own.

        A probe must be in site.toml, so that a mistyped id is found before the ladder is.
        """
        probes = {probe.id for probe in self._site.probes}
        if _RESERVED.get(node, role) is not role or (role in _RESERVED.values() and node not in _RESERVED):
            raise UsageError(f"{node!r} cannot be a {role}", where="node", next_step="choose another name")
        if (role is Role.PROBE) != (node in probes):
            known = ", ".join(sorted(probes)) or "none"
            raise UsageError(
                f"{node!r} is {'no' if role is Role.PROBE else 'a'} probe of this site (it has: {known})",
                where="node",
                next_step="add the probe to site.toml, or correct the id or the role",
            )
        handed, files = self._credential(node, role, now_s)
        self._write(files, now_s)
        return handed

    def revoke(self, node: str, now_s: float) -> int:
        """Shut `node` out; tell how many certificates it had. UsageError where it has none in force."""
        gone = self._loaded().revoke(self._identity(node), now_s)
        if not gone:
            raise UsageError(f"{node!r} has no certificate in force", where="node", next_step="see `hub identities`")
        self._write({}, now_s)
        return gone

    def issued(self) -> tuple[Issued, ...]:
        """Everything ever issued, the oldest first."""
        return self._loaded().issued

    def _credential(
        self, node: str, role: Role, now_s: float, hosts: Sequence[str] = ()
    ) -> tuple[Handed, dict[Path, bytes]]:
        """Make a credential and say where its files belong."""
        made = self._loaded().issue(self._identity(node), role, now_s, hosts=hosts)
        place = self._folder if node in _RESERVED else self._folder / "nodes"
        handed = Handed(
            identity=self._identity(node),
            certificate=place / f"{node}.crt",
            key=place / f"{node}.key",
            authority=self._folder / CERTIFICATE,
        )
        return handed, {handed.certificate: made.certificate, handed.key: made.key}

    def _write(self, files: Mapping[Path, bytes], now_s: float) -> None:
        """Write files with what follows from the register: the list of the revoked and the broker's list of rights."""
        authority = self._loaded()
        kept = {self._folder / name: content for name, content in authority.files(now_s).items()}
        holders = [(one.identity.rpartition("/")[2], Role(one.role)) for one in authority.in_force(now_s)]
        write_files({**kept, **files, self._acl: access_list(self._site, holders).encode()}, private=True)

    def _loaded(self) -> Authority:
        if self._authority is None:
            try:
                files = {name: (self._folder / name).read_bytes() for name in (CERTIFICATE, KEY, REGISTER)}
                self._authority = Authority.load(files)
            except (OSError, ValueError, TypeError) as error:
                raise ConfigError(
                    f"no authority to be used here ({str(error)[:120]!a})",
                    where=str(self._folder),
                    next_step="run `footfall hub init`, or restore its backup",
                ) from error
        return self._authority

    def _identity(self, node: str) -> str:
        return f"{self._site.tenant}/{self._site.site}/{node}"
