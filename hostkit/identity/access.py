"""Who may do what at the site's broker, as mosquitto's configuration and ACL. Text only; strangers may nothing.

Every identity has a section of its own and every right begins with its site: no pattern, so that a certificate that is
not in the register opens nothing, whoever signed it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hostkit.contract.homeassistant import STATUS_TOPIC, discovery_topic
from hostkit.contract.rights import Caller, verbs_of
from hostkit.contract.topics import HUB
from hostkit.io.broker import MAX_PACKET_BYTES
from hostkit.model import Site


class Role(StrEnum):
    """What an identity is for."""

    BROKER = "broker"  # the broker's own certificate: no client
    HUB = "hub"
    PROBE = "probe"
    COLLECTOR = "collector"
    OPERATOR = "operator"  # a person or program of the shop that gives commands
    READER = "reader"  # an integrator: results, never sightings, visits or keys
    HOME_ASSISTANT = "home-assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFiles:
    """Where the broker finds its certificate, those of its authority, and the ACL; `user` it runs as."""

    authority: Path
    revoked: Path
    certificate: Path
    key: Path
    acl: Path
    data: Path
    user: str

    @property
    def pid(self) -> Path:
        """Where the broker writes its process id, so that it can be told to read its files again."""
        return self.data / "mosquitto.pid"


# autosave, max_queued: see io/broker.py. Limits: 64 probes, a hub, readers; a stranger gets no memory worth naming.
_CONFIGURATION = """\
per_listener_settings false
listener {port}
cafile {authority}
crlfile {revoked}
certfile {certificate}
keyfile {key}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {acl}
pid_file {pid}
set_tcp_nodelay true
persistence true
persistence_location {data}/
autosave_interval 1
max_queued_messages 200000
max_inflight_messages 100
max_packet_size {packet}
max_connections 256
max_keepalive 600
connection_messages true
user {user}
log_dest stderr
log_type error
log_type warning
log_type notice
"""

_SAID = ("state", "info", "health", "obs", "rsp/+")  # by a probe
_TOLD = ("ack", "cmd/+", "config")  # to a node
_RELAYED = ("state", "info", "health")  # of probes, by their hub: up, and of those on its serial lines
_RESULTS = ("state", "info", "health", "site", "live", "kpi/hour", "kpi/day", "event")


def configuration(files: BrokerFiles, port: int) -> str:
    """Give mosquitto.conf: TLS 1.2 or later, client certificates, the identity as user name and client id."""
    return _CONFIGURATION.format(
        port=port,
        packet=MAX_PACKET_BYTES,
        user=files.user,
        **{name: getattr(files, name) for name in ("authority", "revoked", "certificate", "key", "acl", "data", "pid")},
    )


def access_list(site: Site, holders: Sequence[tuple[str, Role]]) -> str:
    """Give the ACL for (node, role) of each identity in force."""
    lines = ["# Written by footfall: change roles with `footfall hub issue` and `footfall hub revoke`."]
    for node, role in sorted(set(holders)):
        if role is not Role.BROKER:
            lines += ["", f"user {site.tenant}/{site.site}/{node}", *_rights(site, node, role)]
    return "\n".join(lines) + "\n"


def rights(site: Site, node: str, role: Role) -> tuple[tuple[str, str], ...]:
    """Give what `node` may at the site's broker: (read, write or readwrite, topic filter)."""
    lines = (line.split(" ", 2) for line in _rights(site, node, role))
    return tuple((access, pattern) for _, access, pattern in lines)


def uplink_access_list(holders: Sequence[tuple[str, Role]]) -> str:
    """Give the ACL of the collector's broker for (identity, role): hubs speak for their sites, it hears all."""
    lines = ["# Written by footfall: change it with `footfall collector enrol` and `footfall collector revoke`."]
    for identity, role in sorted(set(holders)):
        if role is not Role.BROKER:
            lines += ["", f"user {identity}", *_uplink_rights(identity, role)]
    return "\n".join(lines) + "\n"


def _uplink_rights(identity: str, role: Role) -> Iterator[str]:
    if role is Role.COLLECTOR:
        every = "footfall/v1/+/+"
        yield f"topic readwrite {every}/{identity}/#"
        yield f"topic read {every}/{HUB}/#"
        yield from (f"topic read {every}/+/{stream}" for stream in _RELAYED)
        yield from (f"topic write {every}/{HUB}/{stream}" for stream in ("ack", "config"))
        yield from (f"topic write {every}/{HUB}/cmd/{verb}" for verb in verbs_of(Caller.COLLECTOR))
    elif role is Role.HUB:
        place = f"footfall/v1/{identity.removesuffix(f'/{HUB}')}"
        yield f"topic write {place}/{HUB}/#"
        yield from (f"topic write {place}/+/{stream}" for stream in _RELAYED)
        yield from (f"topic read {place}/{HUB}/{stream}" for stream in _TOLD)


def _rights(site: Site, node: str, role: Role) -> Iterator[str]:
    place = f"footfall/v1/{site.tenant}/{site.site}"
    match role:
        case Role.PROBE:
            yield from (f"topic write {place}/{node}/{stream}" for stream in _SAID)
            yield from (f"topic read {place}/{node}/{stream}" for stream in _TOLD)
            yield f"topic read {place}/{HUB}/state"  # a hub that is back has not heard what went meanwhile
        case Role.HUB:
            yield f"topic readwrite {place}/{HUB}/#"
            yield from (f"topic read {place}/+/{stream}" for stream in _SAID)
            yield from (f"topic write {place}/+/{stream}" for stream in (*_TOLD, *_RELAYED))
            yield f"topic write {discovery_topic(site)}"
            yield f"topic read {STATUS_TOPIC}"
        case Role.COLLECTOR:
            yield f"topic readwrite {place}/{node}/#"
            yield f"topic read {place}/{HUB}/#"
            yield from (f"topic read {place}/+/{stream}" for stream in _RELAYED)
            yield from (f"topic write {place}/{HUB}/{stream}" for stream in ("ack", "config"))
        case _:
            yield from (f"topic read {place}/{HUB}/{stream}" for stream in _RESULTS)
            yield f"topic read {place}/+/state"
    if role.value in set(map(str, Caller)):
        yield from (f"topic write {place}/{HUB}/cmd/{verb}" for verb in verbs_of(Caller(role)))
        yield f"topic read {place}/{HUB}/rsp/+"
    if role is Role.OPERATOR:
        yield f"topic read {place}/{HUB}/probes"
    if role is Role.HOME_ASSISTANT:
        yield "topic read homeassistant/#"
        yield f"topic write {STATUS_TOPIC}"
