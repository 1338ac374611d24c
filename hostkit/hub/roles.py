"""What the sender of a command is, as far as a broker lets a hub know. Reads the site's register; keeps no right."""

from pathlib import Path

from hostkit.contract.rights import Caller
from hostkit.errors import ConfigError
from hostkit.hub.links import UPLINK
from hostkit.identity.authority import REGISTER
from hostkit.identity.identities import Identities
from hostkit.identity.realms import SiteRealm
from hostkit.io.mqtt import Arrived
from hostkit.model import Site

COLLECTOR = "collector"  # its node in topics


class Roles:
    """Gives the caller behind a node name. The brokers hold each node to its verbs; this is the second lock.

    On a broker of the uplink only the collector speaks down. On the site's broker a name counts for what `hub issue`
    made it. A site without an authority has a broker on loopback alone, as in a demo: names are taken at their word.
    """

    def __init__(self, site: Site, data: Path) -> None:
        self._site, self._data = site, data
        self._register = data / "identity" / REGISTER
        self._stamp: int | None = None
        self._known: dict[str, str] = {}

    def __call__(self, message: Arrived, node: str) -> Caller | None:
        """Tell what `node`, which a message says it is from, may be taken for; None for nobody who may command."""
        role = self._role(message.link, node)
        return Caller(role) if role in set(Caller) else None

    def _role(self, link: str, node: str) -> str | None:
        if link == UPLINK:
            return Caller.COLLECTOR if node == COLLECTOR else None
        try:
            stamp = self._register.stat().st_mtime_ns
        except FileNotFoundError:
            return node
        except OSError:
            return None
        if stamp != self._stamp:
            self._known, self._stamp = self._read(), stamp
        return self._known.get(node)

    def _read(self) -> dict[str, str]:
        try:
            issued = Identities(SiteRealm(self._site), self._data).issued()
        except ConfigError:
            return {}
        place = f"{self._site.tenant}/{self._site.site}/"
        in_force = [one for one in issued if one.revoked_s is None and one.identity.startswith(place)]
        return {one.identity.removeprefix(place): str(one.role) for one in in_force}
