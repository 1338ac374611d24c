"""The identities of one broker: made, listed, taken back. Files in `DIR/identity`, see `register.py`.

The service's own credential lies beside the authority, those made for others by `issue` in `DIR/identity/nodes`, to be
carried to them and deleted.
"""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from hostkit.errors import UsageError
from hostkit.identity.access import BrokerFiles, Role, configuration
from hostkit.identity.authority import CERTIFICATE, LEAF_S, REVOKED, Credential, Issued
from hostkit.identity.realms import Realm
from hostkit.identity.register import Books, Register, Served


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
    """All identities of `realm` in `data`. Times are Unix seconds. Raises ConfigError where `init` was not run."""

    def __init__(self, realm: Realm, data: Path) -> None:
        self._realm = realm
        self.register = Register(realm, data)

    @property
    def configuration(self) -> Path:
        """What mosquitto is started with."""
        return self.broker_files.data / "mosquitto.conf"

    @property
    def broker_files(self) -> BrokerFiles:
        """Where the broker finds its files."""
        register = self.register
        broker = self._handed(next(one for one, role in self._realm.own.items() if role is Role.BROKER))
        return BrokerFiles(
            authority=broker.authority,
            revoked=register.folder / REVOKED,
            certificate=broker.certificate,
            key=broker.key,
            acl=register.acl,
            data=register.data / "broker",
            user=getpass.getuser(),
        )

    def init(
        self, hosts: Sequence[str], port: int, now_s: float, *, enrol_port: int = 0, life_s: float = LEAF_S
    ) -> Handed:
        """Make authority, broker and service, and the broker's files, all or none; give the service's.

        `enrol_port` 0: the one two above the broker's. UsageError where it was done.
        """
        served = Served(hosts=tuple(hosts), port=port, enrol_port=enrol_port or port + 2, life_s=life_s)
        books = self.register.found(served, now_s)
        for identity, role in self._realm.own.items():
            self._make(books, identity, role, now_s)
        books.files[self.configuration] = configuration(self.broker_files, port).encode()
        self.register.write(books, now_s)
        return self._handed(next(one for one, role in self._realm.own.items() if role is not Role.BROKER))

    def issue(self, node: str, role: Role, now_s: float) -> Handed:
        """Make key and certificate for `node` and let it in. UsageError for a role that is not its own."""
        identity = self._realm.member(node, role)
        with self.register.changing(now_s) as books:
            self._make(books, identity, role, now_s)
        return self._handed(identity)

    def renew_own(self, now_s: float) -> tuple[str, ...]:
        """Renew the certificates of broker and service that are due; name them. The keys stay, so no pair is broken."""
        with self.register.changing(now_s) as books:
            newest = {one.identity: one for one in books.authority.issued if one.identity in self._realm.own}
            due = [one for one in newest.values() if one.due(now_s)]
            for one in due:
                handed = self._handed(one.identity)
                hosts = books.served.hosts if one.role == Role.BROKER else ()
                certificate = x509.load_pem_x509_certificate(handed.certificate.read_bytes())
                books.files[handed.certificate] = books.authority.renew(
                    certificate, now_s, hosts=hosts, life_s=books.served.life_s
                )
        return tuple(one.identity for one in due)

    def revoke(self, node: str, now_s: float) -> int:
        """Shut `node` out; tell how many certificates it had. UsageError where it has none in force."""
        with self.register.changing(now_s) as books:
            gone = books.authority.revoke(self._realm.identity(node), now_s)
            if not gone:
                raise UsageError(
                    f"{node!a} has no certificate in force", where="node", next_step="see `footfall hub identities`"
                )
        return gone

    def issued(self) -> tuple[Issued, ...]:
        """Everything ever issued, the oldest first."""
        return self.register.read().authority.issued

    def _make(self, books: Books, identity: str, role: Role, now_s: float) -> None:
        """Make a credential and say where its files belong."""
        hosts = books.served.hosts if role is Role.BROKER else ()
        made: Credential = books.authority.issue(identity, role, now_s, hosts=hosts, life_s=books.served.life_s)
        handed = self._handed(identity)
        books.files |= {handed.certificate: made.certificate, handed.key: made.key}

    def _handed(self, identity: str) -> Handed:
        folder = self.register.folder
        name = identity.rpartition("/")[2]
        place = folder if identity in self._realm.own else folder / "nodes"
        return Handed(
            identity=identity,
            certificate=place / f"{name}.crt",
            key=place / f"{name}.key",
            authority=folder / CERTIFICATE,
        )
