"""What an authority is for: a site's broker, or the uplink broker of many. Says who may be in it with which rights."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from hostkit.contract.topics import HUB
from hostkit.errors import UsageError
from hostkit.identity.access import Role, access_list, uplink_access_list
from hostkit.model import ID_PATTERN, Site

BROKER, COLLECTOR = "broker", "collector"


class Realm(Protocol):
    """`own` are the identities whose credentials stay beside the authority."""

    @property
    def name(self) -> str:
        """Give the authority's name."""

    @property
    def own(self) -> Mapping[str, Role]:
        """Give identity and role of broker and service."""

    def member(self, node: str, role: Role) -> str:
        """Give the identity of `node`; UsageError where it cannot have that role."""

    def identity(self, node: str) -> str:
        """Give the identity of `node`, whoever it is."""

    def rights(self, holders: Sequence[tuple[str, Role]]) -> str:
        """Give the broker's ACL for (identity, role)."""


class SiteRealm:
    """A shop: probes of its site.toml, the hub, and clients a person names."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._place = f"{site.tenant}/{site.site}"

    @property
    def name(self) -> str:
        """Give the authority's name."""
        return self._place

    @property
    def own(self) -> Mapping[str, Role]:
        """Give identity and role of broker and hub."""
        return {f"{self._place}/{BROKER}": Role.BROKER, f"{self._place}/{HUB}": Role.HUB}

    def member(self, node: str, role: Role) -> str:
        """Give its identity. A probe must be in site.toml: a mistyped id is found before the ladder is."""
        if node in {BROKER, HUB} or role in {Role.BROKER, Role.HUB}:
            raise UsageError(f"{node!a} cannot be a {role}", where="node", next_step="choose another name")
        probes = {probe.id for probe in self._site.probes}
        if (role is Role.PROBE) != (node in probes):
            known = ", ".join(sorted(probes)) or "none"
            raise UsageError(
                f"{node!a} is {'no' if role is Role.PROBE else 'a'} probe of this site (it has: {known})",
                where="node",
                next_step="add the probe to site.toml, or correct the id or the role",
            )
        return self.identity(node)

    def identity(self, node: str) -> str:
        """Give the identity of a node of this site; UsageError for what is no id."""
        return f"{self._place}/{_id(node, ID_PATTERN, 'NODE')}"

    def rights(self, holders: Sequence[tuple[str, Role]]) -> str:
        """Give the site broker's ACL."""
        return access_list(self._site, [(identity.rpartition("/")[2], role) for identity, role in holders])


class UplinkRealm:
    """The collector's broker: hubs of any tenant, named `tenant/site`, and the collector."""

    name = "footfall collector"
    own = MappingProxyType({BROKER: Role.BROKER, COLLECTOR: Role.COLLECTOR})

    def member(self, node: str, role: Role) -> str:
        """Give the identity of a site's hub."""
        if role is not Role.HUB:
            raise UsageError(f"{node!a} cannot be a {role}", where="node", next_step="only hubs enrol here")
        return self.identity(node)

    def identity(self, node: str) -> str:
        """Give the identity of the hub of `tenant/site`; UsageError for anything else."""
        return f"{_id(node, f'{ID_PATTERN}/{ID_PATTERN}', 'TENANT/SITE')}/{HUB}"

    def rights(self, holders: Sequence[tuple[str, Role]]) -> str:
        """Give the uplink broker's ACL."""
        return uplink_access_list(holders)


def _id(text: str, pattern: str, shape: str) -> str:
    if not re.fullmatch(pattern, text):
        raise UsageError(
            f"{text[:80]!a} is no id", where="node", next_step=f"write it as {shape}, each 1 to 32 of a-z, 0-9 and -"
        )
    return text
