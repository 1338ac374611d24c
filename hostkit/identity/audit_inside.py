"""Checks with a node's credential in hand: what a stolen probe, or a curious client, could read and write."""

import ssl
from collections.abc import Iterator

from paho.mqtt.client import topic_matches_sub

from hostkit.identity.access import rights
from hostkit.identity.audit import Finding, Severity, SkippedError, Target
from hostkit.io import mqttwire
from hostkit.model import Site

TIMEOUT_S = 5.0
REFUSED = 0x80  # and above: MQTT 5 reason codes of failure
KEEP_ALIVE, PACKET_LIMIT, RECEIVE_LIMIT = 19, 39, 33  # MQTT 5 properties
ETERNAL_S = 65_535
LARGEST_BYTES = 16 << 20
KEY_WORDS = (b'"key"', b'"keys"')
PATCHED = (2, 0, 19)  # CVE-2024-8376, CVE-2024-3935: see mosquitto.org/security; Debian patches older ones
SYSTEM = "$SYS/#"
MOST_NAMED = 5


def reading(target: Target) -> Iterator[Finding]:
    """Subscribe to everything, listen, and see what comes that should not."""
    may = [pattern for access, pattern in _rights(target) if access != "write"]
    with _link(target) as link:
        link.subscribe("#", "footfall/#", SYSTEM)
        heard = link.messages(target.listen_s)
    system = {topic: payload for topic, payload, _ in heard if topic.startswith("$SYS/")}
    foreign = sorted({topic for topic, _, _ in heard if topic not in system and not _matches(may, topic)})
    if foreign:
        yield Finding(
            severity=Severity.CRITICAL, check="reading", what=f"reads what is not its own: {_some(foreign)}",
            where=target.identity, next_step="restart `footfall hub run` on the hub: it writes broker/acl anew",
        )  # fmt: skip
    if system:
        yield Finding(
            severity=Severity.MEDIUM, check="reading", what="reads the broker's own statistics ($SYS)",
            where=target.identity, next_step="remove `topic read $SYS/#` from broker/acl",
        )  # fmt: skip
        yield from _version(target, system.get("$SYS/broker/version", b"").decode("utf-8", "replace"))
    keys = sorted({topic for topic, payload, kept in heard if kept and _key_material(topic, payload)})
    if keys:
        yield Finding(
            severity=Severity.CRITICAL, check="reading", what=f"a key is retained at the broker: {_some(keys)}",
            where=target.place, next_step="clear it (an empty retained message there) and rotate the key now",
        )  # fmt: skip


def writing(target: Target) -> Iterator[Finding]:
    """Publish where others speak; MQTT 5 brokers say whether they took it."""
    may = [pattern for access, pattern in _rights(target) if access != "read"]
    taken = []
    with _link(target, version=5) as link:
        for topic in _elsewhere(target.identity):
            if _matches(may, topic):
                continue
            if link.publish(topic, b"", qos=1) < REFUSED:
                taken.append(topic)
    if taken:
        yield Finding(
            severity=Severity.CRITICAL, check="writing", what=f"writes where others speak: {_some(taken)}",
            where=target.identity, next_step="restart `footfall hub run` on the hub: it writes broker/acl anew",
        )  # fmt: skip


def impersonation(target: Target) -> Iterator[Finding]:
    """Call ourselves the hub: a broker that believes client ids lets one take over another's session."""
    place = target.identity.rpartition("/")[0]
    with _link(target, client_id=f"{target.identity}-audit") as first, _link(target) as second:
        second.ping()
        first.socket.settimeout(1.0)
        try:
            first.ping()
        except (OSError, ValueError):
            return  # one identity, one connection: whatever it calls itself
    yield Finding(
        severity=Severity.HIGH, check="impersonation", what=f"chooses its client id: it can end {place}/hub's session",
        where=target.identity, next_step="set use_username_as_clientid true",
    )  # fmt: skip


def limits(target: Target) -> Iterator[Finding]:
    """What the broker says it takes from one client."""
    with _link(target, version=5, keep_alive_s=ETERNAL_S) as link:
        packet = link.limits.get(PACKET_LIMIT)
        inflight = link.limits.get(RECEIVE_LIMIT, 65_535)
        keep_alive_s = link.limits.get(KEEP_ALIVE, ETERNAL_S)
    if packet is None or packet > LARGEST_BYTES:
        yield Finding(
            severity=Severity.HIGH, check="limits", what="sets no limit to a message", where=target.place,
            next_step="set max_packet_size 2097152",
        )  # fmt: skip
    if inflight > 1000:
        yield Finding(
            severity=Severity.LOW, check="limits", what="sets no limit to unconfirmed messages", where=target.place,
            next_step="set max_inflight_messages 100",
        )  # fmt: skip
    if keep_alive_s == ETERNAL_S:
        yield Finding(
            severity=Severity.LOW, check="limits", what="waits 18 hours for a client that is gone", where=target.place,
            next_step="set max_keepalive 600",
        )  # fmt: skip


def _rights(target: Target) -> tuple[tuple[str, str], ...]:
    levels = target.identity.split("/")
    if len(levels) != 3:
        raise SkippedError(f"{target.identity} is of no site")
    return rights(Site(tenant=levels[0], site=levels[1], time_zone="UTC"), levels[2], target.role)


def _elsewhere(identity: str) -> tuple[str, ...]:
    tenant, site, node = identity.split("/")
    here, root = f"footfall/v1/{tenant}/{site}", "footfall/v1"
    others = [f"{here}/{other}" for other in ("hub", "audit-probe", "collector") if other != node]
    streams = ("state", "info", "obs", "visits", "live", "kpi/hour", "ack", "config", "cmd/audit", "rsp/audit")
    return (
        *(f"{other}/{stream}" for other in others for stream in streams),
        f"{here}/{node}/visits",
        f"{root}/{tenant}/audit-shop/{node}/obs",
        f"{root}/audit-tenant/{site}/{node}/obs",
        "homeassistant/device/footfall_audit/config",
        "homeassistant/status",
        "audit",
    )


def _link(target: Target, *, version: int = 4, client_id: str = "", keep_alive_s: int = 30) -> mqttwire.Link:
    link = _connected(target)
    try:
        code = link.hello(client_id or target.identity, version=version, keep_alive_s=keep_alive_s)
    except (OSError, ValueError) as error:
        link.socket.close()
        raise SkippedError(f"the certificate of {target.identity} is not let in ({error})") from error
    if code:
        link.socket.close()
        raise SkippedError(f"{target.identity} is not let in (code {code})")
    return link


def _connected(target: Target) -> mqttwire.Link:
    if target.certificate is None:
        raise SkippedError("no node's credential was given (--as)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # whether the server is the right one is another check's question
    context.load_cert_chain(target.certificate, target.key)
    return mqttwire.connect(target.host, target.port, context=context, timeout_s=TIMEOUT_S)


def _matches(patterns: list[str], topic: str) -> bool:
    return any(topic_matches_sub(pattern, topic) for pattern in patterns)


def _key_material(topic: str, payload: bytes) -> bool:
    return topic.endswith("/cmd/key") or (topic.endswith("/config") and any(word in payload for word in KEY_WORDS))


def _version(target: Target, said: str) -> Iterator[Finding]:
    numbers = tuple(int(part) for part in said.rpartition(" ")[2].split(".") if part.isdecimal())
    if numbers and numbers < PATCHED:
        yield Finding(
            severity=Severity.NOTE, check="reading", what=f"{said[:60]} has known holes unless your system patched it",
            where=target.place, next_step="see https://mosquitto.org/security and update",
        )  # fmt: skip


def _some(topics: list[str]) -> str:
    named = ", ".join("".join(c if c.isprintable() else "?" for c in topic[:100]) for topic in topics[:MOST_NAMED])
    return named + (f" and {len(topics) - MOST_NAMED} more" if len(topics) > MOST_NAMED else "")


WITH_CREDENTIAL = (reading, writing, impersonation, limits)
