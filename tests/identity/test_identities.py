"""Every identity against every topic on a real mosquitto, strangers, revocation; what lies on disk."""

import queue
import re
import signal
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hostkit.contract.topics import topics
from hostkit.errors import ConfigError, UsageError
from hostkit.identity.access import Role
from hostkit.identity.broker import let_go, reload_broker
from hostkit.identity.identities import Handed, Identities
from hostkit.identity.realms import SiteRealm, UplinkRealm
from hostkit.io.broker import find_mosquitto
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Up, parse_url, take
from hostkit.sim.world import SimSettings
from tests.identity.place import Shop, connect, first, url_of
from tests.io.brokers import free_port

SITE = SimSettings(people=1).site
PLACE = f"footfall/v1/{SITE.tenant}/{SITE.site}"
NOW_S = time.time()
HA = "homeassistant/device/footfall_demo_corner-shop/config"
STREAMS = tuple(stream for stream in topics() if not stream.endswith(">"))
STREAMS = (*STREAMS, "cmd/key", "cmd/replay", "cmd/privacy", "cmd/rotate-key", "rsp/x1")
NODES = [f"{PLACE}/{node}" for node in ("hub", "collector", "probe-1", "probe-2", "kiosk", "nobody")]
NODES += [
    "footfall/v1/demo/other-shop/hub",
    "footfall/v1/demo/other-shop/probe-1",
    "footfall/v1/rival/corner-shop/probe-1",
]
TOPICS = [f"{node}/{stream}" for node in NODES for stream in STREAMS]
TOPICS += [HA, "homeassistant/status", "homeassistant/device/other/config", "elsewhere"]

RESULTS = r"hub/(state|info|health|site|live|kpi/hour|kpi/day|event)|[^/]+/state"
# What each may write and read, below its site's place or, from `^`, anywhere.
MAY = {
    "hub": (
        # Of probes on its serial lines it says what they would say themselves.
        Role.HUB,
        rf"^{PLACE}/(hub/.*|[^/]+/(ack|cmd/[^/]+|config|state|info|health))$|^{HA}$",
        rf"^{PLACE}/(hub/.*|[^/]+/(state|info|health|obs|rsp/[^/]+))$|^homeassistant/status$",
    ),
    "probe-1": (
        Role.PROBE,
        rf"^{PLACE}/probe-1/(state|info|health|obs|rsp/[^/]+)$",
        rf"^{PLACE}/(probe-1/(ack|cmd/[^/]+|config)|hub/state)$",
    ),
    "collector": (
        Role.COLLECTOR,
        rf"^{PLACE}/(collector/.*|hub/(ack|cmd/replay|config))$",
        rf"^{PLACE}/(collector/.*|hub/.*|[^/]+/(state|info|health))$",
    ),
    "till": (
        Role.OPERATOR,
        rf"^{PLACE}/hub/cmd/(replay|privacy|rotate-key)$",
        rf"^{PLACE}/({RESULTS}|hub/rsp/[^/]+|hub/probes)$",
    ),
    "kiosk": (Role.READER, r"^$", rf"^{PLACE}/({RESULTS})$"),
    "ha": (Role.HOME_ASSISTANT, r"^homeassistant/status$", rf"^{PLACE}/({RESULTS})$|^homeassistant/.*$"),
}


@dataclass
class Guarded:
    """A running broker as `hub init` configures it; `tester` may everything, which no role of ours may."""

    identities: Identities
    port: int
    handed: dict[str, Handed]
    process: subprocess.Popen[bytes]

    def url(self, node: str) -> str:
        return f"mqtts://127.0.0.1:{self.port}?{self.handed[node].url_options}"

    def connect(self, node: str, *subscriptions: str, client_id: str = "") -> tuple[Client, Inbox]:
        inbox: Inbox = queue.Queue(10_000)
        name = client_id or self.handed[node].identity
        wanted = tuple((topic, 1) for topic in subscriptions)
        client = Client(parse_url(self.url(node)), inbox, name=node, client_id=name, subscriptions=wanted)
        client.start()
        return client, inbox

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)


def wait(port: int) -> None:
    for _ in range(200):
        try:
            ssl.get_server_certificate(("127.0.0.1", port), timeout=0.2)
        except ConnectionRefusedError:
            time.sleep(0.02)
        except (OSError, ssl.SSLError):
            return
        else:
            return
    raise AssertionError("mosquitto does not listen")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder, port = tmp_path_factory.mktemp("site"), free_port()
    identities = Identities(SiteRealm(SITE), folder)
    handed = {"hub": identities.init(["127.0.0.1"], port, NOW_S)}
    for node, (role, _, _) in MAY.items():
        if node != "hub":
            handed[node] = identities.issue(node, role, NOW_S)
    handed["probe-2"] = identities.issue("probe-2", Role.PROBE, NOW_S)
    handed["tester"] = identities.issue("tester", Role.READER, NOW_S)
    acl = folder / "broker" / "acl"
    acl.write_text(acl.read_text() + f"\nuser {handed['tester'].identity}\ntopic readwrite #\n")
    program = find_mosquitto()
    assert program
    process = subprocess.Popen([program, "-c", str(identities.configuration)], stderr=subprocess.DEVNULL)
    wait(port)
    yield Guarded(identities, port, handed, process)
    process.terminate()
    process.wait(60)


def arrived(inbox: Inbox, client: Client, quiet_s: float = 0.7) -> list[Arrived]:
    """Take what comes until nothing has come for a while."""
    found = []
    while (item := take(inbox, quiet_s)) is not None:
        if isinstance(item, Arrived):
            client.ack(item)
            found.append(item)
    return found


def is_up(inbox: Inbox) -> bool:
    return isinstance(take(inbox, 10), Up)


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("node", MAY)
def test_an_identity_writes_and_reads_its_own_topics_and_no_others(guarded: Guarded, node: str) -> None:
    _, writes, reads = MAY[node]
    tester, all_seen = guarded.connect("tester", "#")
    client, inbox = guarded.connect(node, "footfall/#", "homeassistant/#", "elsewhere")
    assert is_up(all_seen)
    assert is_up(inbox)
    for topic in TOPICS:
        client.publish(topic, f"by {node}")
    seen = {message.topic for message in arrived(all_seen, tester) if message.payload == f"by {node}".encode()}
    assert seen == {topic for topic in TOPICS if re.search(writes, topic)}
    arrived(inbox, client)
    for topic in TOPICS:
        tester.publish(topic, "by tester")
    heard = {message.topic for message in arrived(inbox, client) if message.payload == b"by tester"}
    client.stop(0.4)
    tester.stop(0.4)
    assert heard == {topic for topic in TOPICS if re.search(reads, topic)}


@pytest.mark.needs("mosquitto")
def test_nobody_takes_over_the_session_of_another(guarded: Guarded) -> None:
    hub, inbox = guarded.connect("hub", f"{PLACE}/probe-2/obs")
    assert is_up(inbox)
    thief, stolen = guarded.connect("probe-1", client_id=guarded.handed["hub"].identity)
    assert is_up(stolen)
    probe, told = guarded.connect("probe-2")
    assert is_up(told)
    probe.publish(f"{PLACE}/probe-2/obs", b"batch")
    item = take(inbox, 10)
    assert isinstance(item, Arrived), item
    assert arrived(stolen, thief) == []
    for client in (hub, thief, probe):
        client.stop(0.4)


# The client library leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.needs("mosquitto")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_is_revoked_is_shut_out_and_a_new_certificate_lets_in_again(guarded: Guarded) -> None:
    old = guarded.handed["probe-2"]
    kept = old.certificate.read_bytes(), old.key.read_bytes()
    assert guarded.identities.revoke("probe-2", time.time()) == 1
    guarded.reload()
    client, inbox = guarded.connect("probe-2")
    assert isinstance(take(inbox, 10), Down), "the certificate is revoked"
    client.stop(0.4)
    guarded.handed["probe-2"] = guarded.identities.issue("probe-2", Role.PROBE, time.time())
    guarded.reload()
    client, inbox = guarded.connect("probe-2", f"{PLACE}/probe-2/ack")
    assert is_up(inbox)
    client.stop(0.4)
    assert (old.certificate.read_bytes(), old.key.read_bytes()) != kept


@pytest.mark.needs("mosquitto")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_certificate_of_another_site_opens_nothing(guarded: Guarded, tmp_path: Path) -> None:
    theirs = Identities(SiteRealm(SITE), tmp_path)
    handed = theirs.init(["127.0.0.1"], guarded.port, NOW_S)
    own = guarded.handed["hub"]
    options = f"ca={own.authority}&cert={handed.certificate}&key={handed.key}"
    inbox: Inbox = queue.Queue(100)
    url = parse_url(f"mqtts://127.0.0.1:{guarded.port}?{options}")
    client = Client(url, inbox, name="thief", client_id=own.identity)
    client.start()
    item = take(inbox, 10)
    client.stop(0.4)
    assert isinstance(item, Down)


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
def test_old_tls_is_refused(guarded: Guarded, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(guarded.handed["hub"].authority))
    context.load_cert_chain(guarded.handed["hub"].certificate, guarded.handed["hub"].key)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", guarded.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_private_files_are_the_owners_alone(tmp_path: Path) -> None:
    identities = Identities(SiteRealm(SITE), tmp_path)
    identities.init(["hub.local"], 8883, NOW_S)
    identities.issue("probe-1", Role.PROBE, NOW_S)
    with_key = [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in with_key} == {"authority.key", "broker.key", "hub.key", "probe-1.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in with_key} == {0o600}
    text = identities.configuration.read_text()
    for line in ("allow_anonymous false", "require_certificate true", "tls_version tlsv1.2"):
        assert line in text.splitlines()


def test_a_second_init_and_a_wrong_role_are_refused_and_change_nothing(tmp_path: Path) -> None:
    identities = Identities(SiteRealm(SITE), tmp_path)
    identities.init(["hub.local"], 8883, NOW_S)
    before = {path: path.read_bytes() for path in tmp_path.rglob("[!.]*") if path.is_file()}
    with pytest.raises(UsageError, match="there is an authority already"):
        Identities(SiteRealm(SITE), tmp_path).init(["hub.local"], 8883, NOW_S)
    for node, role in (("probe-9", Role.PROBE), ("probe-1", Role.READER), ("hub", Role.PROBE), ("x", Role.HUB)):
        with pytest.raises(UsageError):
            identities.issue(node, role, NOW_S)
    for node in ("A", "a/b", "+", "#", "", "x\n"):
        with pytest.raises(UsageError):
            identities.issue(node, Role.READER, NOW_S)
    with pytest.raises(UsageError, match="no certificate in force"):
        identities.revoke("probe-1", NOW_S)
    assert {path: path.read_bytes() for path in tmp_path.rglob("[!.]*") if path.is_file()} == before


@pytest.mark.parametrize("damage", ["missing", "authority.key", "authority.crt", "issued.json"])
def test_a_broken_authority_is_one_line(tmp_path: Path, damage: str) -> None:
    identities = Identities(SiteRealm(SITE), tmp_path)
    if damage != "missing":
        identities.init(["hub.local"], 8883, NOW_S)
        (tmp_path / "identity" / damage).write_bytes(b"\xff broken")
    with pytest.raises(ConfigError, match="no authority to be used here") as refused:
        Identities(SiteRealm(SITE), tmp_path).issued()
    assert str(refused.value).isprintable()


def test_bad_hosts_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for host in ("", "a b", "*", "hub.local\n", "-x"):
        with pytest.raises(UsageError):
            Identities(SiteRealm(SITE), tmp_path / "x").init([host], 8883, NOW_S)
        assert not (tmp_path / "x").exists()


@pytest.mark.needs("mosquitto")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connected_client_that_is_revoked_is_thrown_out_and_its_queue_goes(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "hub").start()
    try:
        handed = shop.identities.issue("probe-1", Role.PROBE, time.time())
        assert reload_broker(shop.identities.broker_files.pid)
        client, inbox = connect(url_of(handed, shop.port), handed.identity)
        first(inbox, Up)
        shop.identities.revoke("probe-1", time.time())
        assert reload_broker(shop.identities.broker_files.pid)
        assert let_go(shop.identities.register, handed.identity, time.time())
        first(inbox, Down)
        time.sleep(1.0)
        assert not client.connected
        client.stop(0.4)
        assert [one.identity for one in shop.identities.issued() if one.revoked_s is None] == [
            f"{SITE.tenant}/{SITE.site}/{node}" for node in ("broker", "hub")
        ]
    finally:
        shop.stop()
    assert not let_go(shop.identities.register, handed.identity, time.time())
    assert not reload_broker(shop.identities.broker_files.pid)


UP = ("acme/main", "acme/harbour", "rival/main")
UP_TOPICS = [
    f"footfall/v1/{site}/{node}/{stream}"
    for site in UP
    for node in ("hub", "probe-1", "collector")
    for stream in STREAMS
]
UP_MAY = {
    "acme/main/hub": (
        r"^footfall/v1/acme/main/(hub/.*|[^/]+/(state|info|health))$",
        r"^footfall/v1/acme/main/hub/(ack|cmd/[^/]+|config)$",
    ),
    "rival/main/hub": (
        r"^footfall/v1/rival/main/(hub/.*|[^/]+/(state|info|health))$",
        r"^footfall/v1/rival/main/hub/(ack|cmd/[^/]+|config)$",
    ),
    "collector": (
        r"^footfall/v1/[^/]+/[^/]+/(collector/.*|hub/(ack|cmd/replay|config))$",
        r"^footfall/v1/[^/]+/[^/]+/(collector/.*|hub/.*|[^/]+/(state|info|health))$",
    ),
}


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("identity", UP_MAY)
def test_at_the_collectors_broker_a_hub_speaks_and_hears_for_its_site_alone(tmp_path: Path, identity: str) -> None:
    shop = Shop(tmp_path / "collector", UplinkRealm())
    handed = {"collector": shop.service}
    for site in UP:
        handed[f"{site}/hub"] = shop.identities.issue(site, Role.HUB, time.time())
        for suffix in (".crt", ".key"):  # they share a name, as hubs do; each is carried to its own
            path = handed[f"{site}/hub"].certificate.with_suffix(suffix)
            path.rename(path.with_name(f"{site.replace('/', '-')}{suffix}"))
    register = shop.identities.register
    tester = register.realm.identity("acme/tester")
    handed[tester] = shop.identities.issue("acme/tester", Role.HUB, time.time())
    register.acl.write_text(register.acl.read_text().replace(f"user {tester}\n", f"user {tester}\ntopic readwrite #\n"))
    writes, reads = UP_MAY[identity]
    shop.start()
    try:
        own = handed[identity]
        if identity != "collector":
            stem = identity.removesuffix("/hub").replace("/", "-")
            own = replace(
                own, certificate=own.certificate.with_name(f"{stem}.crt"), key=own.key.with_name(f"{stem}.key")
            )
        all_of, seen = connect(url_of(handed[tester], shop.port), tester, "#")
        client, heard = connect(url_of(own, shop.port), identity, "footfall/#")
        first(seen, Up)
        first(heard, Up)
        for topic in UP_TOPICS:
            client.publish(topic, f"by {identity}")
        wrote = {one.topic for one in arrived(seen, all_of) if one.payload == f"by {identity}".encode()}
        assert wrote == {topic for topic in UP_TOPICS if re.search(writes, topic)}
        arrived(heard, client)
        for topic in UP_TOPICS:
            all_of.publish(topic, "by tester")
        read = {one.topic for one in arrived(heard, client) if one.payload == b"by tester"}
        assert read == {topic for topic in UP_TOPICS if re.search(reads, topic)}
        client.stop(0.4)
        all_of.stop(0.4)
    finally:
        shop.stop()
