"""Certificates that live for seconds: renewed in time nobody notices; over, it is said and nothing is lost."""

import json
import queue
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hostkit.contract.messages import Ack
from hostkit.errors import PeerError
from hostkit.hub.uplink import Uplink
from hostkit.hub.voice import Voice
from hostkit.identity import client
from hostkit.identity.access import Role
from hostkit.identity.client import CERTIFICATE, Folder
from hostkit.identity.realms import UplinkRealm
from hostkit.identity.upkeep import Upkeep
from hostkit.io.mqtt import Arrived, Client, Down, Inbox, Up, parse_url, take
from hostkit.io.outbox import Outbox
from tests.identity.place import SITE, Shop, connect, first, until, url_of

pytestmark = [
    pytest.mark.needs("mosquitto"),
    # The client library leaves the socket of a failed handshake to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
PLACE = f"footfall/v1/{SITE.tenant}/{SITE.site}/hub"
NODE = f"{SITE.tenant}/{SITE.site}"


@pytest.fixture
def above(tmp_path: Path) -> Iterator[Shop]:
    """A collector whose nodes' certificates live eight seconds; its own live longer."""
    shop = Shop(tmp_path / "collector", UplinkRealm())
    yield shop.start().serve()
    shop.stop()


def short(shop: Shop, life_s: float) -> None:
    """From now on, certificates live so long."""
    path = shop.identities.register.folder / "served.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "life_s": life_s}))


class Sender:
    """The hub's way up: its outbox and a client with the credential in `folder`."""

    def __init__(self, folder: Path, outbox: Outbox) -> None:
        self.inbox: Inbox = queue.Queue(1000)
        wanted = ((f"{PLACE}/ack", 0),)
        url = parse_url(Folder(folder).url)
        self.client = Client(url, self.inbox, name="uplink", client_id="hub", subscriptions=wanted, clean=False)
        self.outbox, self.uplink = outbox, Uplink(outbox, self.client, Voice(SITE))
        self.downs: list[str] = []
        self.client.start()

    def turn(self) -> None:
        while (item := take(self.inbox, 0.02)) is not None:
            now_s = time.monotonic()
            if isinstance(item, Up):
                self.uplink.connected(now_s, remembered=item.session)
            elif isinstance(item, Down):
                self.downs.append(item.reason)
            elif isinstance(item, Arrived):
                self.uplink.acknowledged(Ack(**json.loads(item.payload)), now_s)
        self.uplink.pump(time.monotonic())
        self.outbox.commit()

    def produce(self, count: int) -> None:
        for _ in range(count):
            self.outbox.put(int(time.time()), lambda seq: b"row %d" % seq)
        self.outbox.commit()


class Stored:
    """A collector that keeps every row and acknowledges."""

    def __init__(self, shop: Shop, boot: str) -> None:
        self.rows: set[bytes] = set()
        self._boot = boot
        self._client, self._inbox = connect(url_of(shop.service, shop.port), "collector", f"{PLACE}/visits")
        first(self._inbox, Up)

    def turn(self) -> None:
        while (item := take(self._inbox, 0)) is not None:
            if isinstance(item, Arrived):
                self.rows.add(item.payload)
                self._client.ack(item)
        upto = 0
        while b"row %d" % (upto + 1) in self.rows:
            upto += 1
        self._client.publish(f"{PLACE}/ack", json.dumps({"boot": self._boot, "upto": upto}), qos=0)

    def stop(self) -> None:
        self._client.stop(0.4)


def test_a_certificate_that_is_over_is_named_and_a_new_code_loses_nothing(above: Shop, tmp_path: Path) -> None:
    short(above, 4.0)
    folder = tmp_path / "uplink"
    client.enrol(above.enrolment.invite(NODE, Role.HUB, time.time())).save(folder)
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        stored = Stored(above, outbox.boot)
        sender = Sender(folder, outbox)

        def turn_until(ready: object, complaint: str) -> None:
            def turn() -> bool:
                sender.turn()
                stored.turn()
                assert callable(ready)
                return bool(ready())

            until(turn, complaint, 30.0)

        try:
            sender.produce(5)
            turn_until(lambda: outbox.depth == 0, "rows do not arrive while all is well")
            until(lambda: Folder(folder).span_s[1] < time.time(), "it does not end")
            sender.client.drop()  # the broker asks for certificates only when somebody comes
            sender.produce(20)
            turn_until(lambda: any("is over since" in reason for reason in sender.downs), "nobody says why")
            assert "take a new code and run `footfall enrol`" in sender.downs[-1]
            with pytest.raises(PeerError, match=r"did not take our certificate.*ask for a new code"):
                client.renew(Folder(folder))
            assert outbox.depth == 20
            short(above, 86_400.0)
            client.enrol(above.enrolment.invite(NODE, Role.HUB, time.time())).save(folder)
            turn_until(lambda: outbox.depth == 0, "the running client does not take the new credential")
            assert stored.rows == {b"row %d" % seq for seq in range(1, 26)}
        finally:
            sender.client.stop(0.4)
            stored.stop()


def test_certificates_are_renewed_in_time_by_whoever_holds_them(above: Shop, tmp_path: Path) -> None:
    short(above, 6.0)
    folder = tmp_path / "uplink"
    client.enrol(above.enrolment.invite(NODE, Role.HUB, time.time())).save(folder)
    old = (folder / CERTIFICATE).read_bytes()
    said: list[str] = []
    upkeep = Upkeep(above.realm, tmp_path / "nothing", [folder], said.append, look_s=0.2)
    ended_s = Folder(folder).span_s[1]
    upkeep.start()
    try:
        until(lambda: time.time() > ended_s + 1.0, "time stands still", 20.0)
        link, inbox = connect(Folder(folder).url, "hub")
        first(inbox, Up)
        link.stop(0.4)
        assert (folder / CERTIFICATE).read_bytes() != old
        assert any("renewed demo/corner-shop/hub at 127.0.0.1" in line for line in said)
    finally:
        upkeep.stop()


def test_broker_and_hub_renew_their_own_and_the_broker_shows_it_without_a_restart(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "hub", life_s=6.0).start()
    said: list[str] = []
    upkeep = Upkeep(shop.realm, shop.folder, (), said.append, look_s=0.2)
    upkeep.start()
    try:
        time.sleep(8.0)
        link, inbox = connect(url_of(shop.service, shop.port), shop.service.identity)
        first(inbox, Up)
        link.stop(0.4)
        assert any(line.startswith("identity: renewed demo/corner-shop/broker, demo/corner-shop/hub") for line in said)
        assert len(shop.identities.issued()) < 12
    finally:
        upkeep.stop()
        shop.stop()


def test_a_broker_whose_certificate_is_over_is_named(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "hub", life_s=1.0).start()
    kept = shop.service
    try:
        time.sleep(1.5)
        short(shop, 86_400.0)
        shop.identities.issue("probe-1", Role.PROBE, time.time())
        nodes = shop.identities.register.folder / "nodes"
        probe = tmp_path / "probe"
        shutil.copytree(nodes, probe)
        options = f"ca={kept.authority}&cert={probe / 'probe-1.crt'}&key={probe / 'probe-1.key'}"
        link, inbox = connect(f"mqtts://127.0.0.1:{shop.port}?{options}", "probe-1")
        down = first(inbox, Down)
        link.stop(0.4)
        assert isinstance(down, Down)
        assert "certificate has expired" in down.reason
        assert "the broker's certificate is over, or our clock is wrong" in down.reason
    finally:
        shop.stop()


def test_renewal_is_refused_before_its_time_and_to_who_was_revoked(above: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "uplink"
    saved = client.enrol(above.enrolment.invite(NODE, Role.HUB, time.time())).save(folder)
    with pytest.raises(PeerError, match="not due yet"):
        client.renew(saved)
    above.identities.revoke(NODE, time.time())
    with pytest.raises(PeerError, match="not in force; ask for a new code"):
        client.renew(saved)
