"""A code becomes a credential once, over real TLS, known to the broker at once; all else is refused by name."""

import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostkit.errors import ConfigError, InputError, PeerError, UsageError
from hostkit.identity import client, codes
from hostkit.identity.access import Role
from hostkit.identity.authority import make_request
from hostkit.identity.backoff import FIRST_WAIT_S, FREE, LONGEST_WAIT_S, MAX_PEERS, Backoff
from hostkit.identity.endpoint import MAX_OF_PEER
from hostkit.identity.enrolment import Enrolment, RefusedError
from hostkit.identity.invitation import Invitation, parse_invitation
from hostkit.identity.realms import UplinkRealm
from hostkit.identity.upkeep import Upkeep
from hostkit.io.mqtt import Down, Up
from tests.identity.place import HOST, PLACE, Shop, accepts, connect, first, payloads, until, url_of

NOW_S = time.time()
DAY_S = 86_400.0
quiet = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path / "hub")
    yield made
    made.stop()


@pytest.mark.needs("mosquitto")
def test_a_probe_enrols_speaks_and_its_code_is_worth_nothing_after(shop: Shop, tmp_path: Path) -> None:
    shop.start().serve()
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, time.time())
    saved = client.enrol(invitation).save(tmp_path / "probe")
    hub, heard = connect(url_of(shop.service, shop.port), shop.service.identity, f"{PLACE}/+/obs")
    probe, own = connect(saved.url, saved.place.identity, f"{PLACE}/probe-1/ack")
    try:
        first(heard, Up)
        first(own, Up)
        probe.publish(f"{PLACE}/probe-1/obs", b"batch")
        probe.publish(f"{PLACE}/probe-2/obs", b"forged")
        assert payloads(heard) == [b"batch"]
    finally:
        probe.stop(0.4)
        hub.stop(0.4)
    with pytest.raises(PeerError, match="this code was used"):
        client.enrol(invitation)
    assert any("demo/corner-shop/probe-1 enrols from 127.0.0.1" in line for line in shop.said)
    assert not [line for line in shop.said if invitation.code[4:] in line.replace("-", "")]


@pytest.mark.needs("mosquitto")
@quiet
def test_a_new_code_puts_the_old_board_out_while_it_is_connected(shop: Shop, tmp_path: Path) -> None:
    shop.start().serve()
    old = client.enrol(shop.enrolment.invite("probe-1", Role.PROBE, time.time())).save(tmp_path / "old")
    stolen, told = connect(old.url, old.place.identity)
    first(told, Up)
    new = client.enrol(shop.enrolment.invite("probe-1", Role.PROBE, time.time())).save(tmp_path / "new")
    board, up = connect(new.url, new.place.identity)
    first(up, Up)
    first(told, Down)
    time.sleep(1.0)
    assert not stolen.connected
    assert board.connected
    stolen.stop(0.4)
    board.stop(0.4)


def test_a_chip_that_cannot_make_a_key_is_given_one(shop: Shop) -> None:
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, NOW_S)
    granted = shop.enrolment.redeem(invitation.code, None, NOW_S)
    assert granted.key
    assert granted.key.startswith("-----BEGIN PRIVATE KEY-----")
    register = shop.identities.register.folder
    assert not [path for path in register.rglob("*") if path.is_file() and granted.key.encode() in path.read_bytes()]


def test_the_same_key_may_fetch_its_answer_again_but_no_other(shop: Shop) -> None:
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, NOW_S)
    _, csr = make_request()
    shop.enrolment.redeem(invitation.code, csr, NOW_S)
    shop.enrolment.redeem(invitation.code, csr, NOW_S + 1)
    with pytest.raises(RefusedError, match="probe-1: this code was used; if that was not you, revoke"):
        shop.enrolment.redeem(invitation.code, make_request()[1], NOW_S + 2)
    for _ in range(10):
        try:
            shop.enrolment.redeem(invitation.code, csr, NOW_S + 3)
        except RefusedError:
            break
    else:
        raise AssertionError("one key fills the register")


def test_codes_expire_and_wrong_tries_void_them(shop: Shop) -> None:
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, NOW_S, valid_s=600)
    with pytest.raises(RefusedError, match="is over"):
        shop.enrolment.redeem(invitation.code, None, NOW_S + 600)
    wrong = invitation.code[:-1] + ("A" if invitation.code[-1] != "A" else "B")
    for _ in range(codes.MAX_WRONG):
        with pytest.raises(RefusedError, match="is not known"):
            shop.enrolment.redeem(wrong, None, NOW_S)
    with pytest.raises(RefusedError, match="too often and is void"):
        shop.enrolment.redeem(invitation.code, None, NOW_S)
    assert not shop.enrolment.awaited(NOW_S)
    again = shop.enrolment.invite("probe-1", Role.PROBE, NOW_S)
    assert shop.enrolment.awaited(NOW_S)
    shop.enrolment.redeem(again.code.lower(), None, NOW_S)


def test_a_newer_code_voids_the_unused_one(shop: Shop) -> None:
    first_one = shop.enrolment.invite("probe-1", Role.PROBE, NOW_S)
    shop.enrolment.invite("probe-1", Role.PROBE, NOW_S)
    with pytest.raises(RefusedError, match="is not known"):
        shop.enrolment.redeem(first_one.code, None, NOW_S)


def test_codes_are_kept_hashed_and_private(shop: Shop) -> None:
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, NOW_S)
    path = shop.identities.register.folder / "codes.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert invitation.code[4:] not in path.read_text()
    assert invitation.code not in repr(invitation)


def test_who_is_invited_must_be_of_the_site(shop: Shop) -> None:
    for node, role in (("probe-9", Role.PROBE), ("hub", Role.HUB), ("broker", Role.READER), ("a/b", Role.READER)):
        with pytest.raises(UsageError):
            shop.enrolment.invite(node, role, NOW_S)
    for valid_s in (0.0, 59.0, 31 * DAY_S):
        with pytest.raises(UsageError, match="a minute to thirty days"):
            shop.enrolment.invite("probe-1", Role.PROBE, NOW_S, valid_s=valid_s)


def test_another_hub_behind_the_address_never_sees_the_code(shop: Shop, tmp_path: Path) -> None:
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, NOW_S)
    thief = Shop(tmp_path / "thief").serve()
    try:
        with pytest.raises(PeerError, match="the code was not sent"):
            client.enrol(replace(invitation, port=thief.enrol_port))
        assert thief.said == []
    finally:
        thief.stop()


def test_a_host_the_certificate_does_not_name_is_refused(shop: Shop) -> None:
    shop.serve()
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, time.time(), host=HOST)
    with pytest.raises(UsageError, match=r"not for 'localhost'; use one of 127\.0\.0\.1"):
        shop.enrolment.invite("probe-2", Role.PROBE, time.time(), host="localhost")
    invitation = replace(invitation, host="localhost")
    with pytest.raises(PeerError, match=r"localhost:\d+: its certificate is not valid here"):
        client.enrol(invitation)
    assert shop.enrolment.codes()[0].open(time.time())


def test_guessing_waits_longer_each_time(shop: Shop) -> None:
    shop.serve()
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, time.time())
    guess = replace(invitation, code="A" * 20)
    for _ in range(FREE):
        with pytest.raises(PeerError, match="is not known"):
            client.enrol(guess)
    for one in (guess, invitation):
        with pytest.raises(PeerError, match=r"too many wrong codes from 127\.0\.0\.1; try again in \d s"):
            client.enrol(one)
    assert sum("refused: code: this code is not known" in line for line in shop.said) == FREE


def test_back_off_doubles_forgets_and_is_bounded() -> None:
    backoff = Backoff()
    waits = []
    at_s = 0.0
    for _ in range(30):
        backoff.wrong("thief", at_s)
        waits.append(backoff.wait_s("thief", at_s))
        at_s += waits[-1]
    assert waits[: FREE + 1] == [0.0] * (FREE - 1) + [FIRST_WAIT_S, 2 * FIRST_WAIT_S]
    assert max(waits) == waits[-1] == LONGEST_WAIT_S
    assert backoff.wait_s("another", at_s) == 0.0
    assert backoff.wait_s("thief", at_s + 3601) == 0.0
    for number in range(3 * MAX_PEERS):
        backoff.wrong(str(number), at_s)
    assert len(backoff._peers) == MAX_PEERS


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /v1/enrol HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /v1/renew HTTP/1.1\r\n\r\n", b"401"),
        (b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 3\r\n\r\n\xff{}", b"400"),
        (b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", b"400"),
        (b"POST /v1/enrol HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b'POST /v1/enrol HTTP/1.1\r\nContent-Length: 26\r\n\r\n{"code":"x","hosts":["y"]}', b"400"),
        (b"\x00\x01\x02\r\n\r\n", b"400"),
        (b"A" * 20_000, b""),
    ],
)
def test_what_is_no_request_of_ours_is_answered_briefly_or_not(shop: Shop, said: bytes, status: bytes) -> None:
    shop.serve()
    context = ssl._create_unverified_context()
    with socket.create_connection((HOST, shop.enrol_port)) as plain, context.wrap_socket(plain) as link:
        link.settimeout(5)
        link.sendall(said)
        try:
            answer = link.recv(4096)
        except ConnectionResetError:
            answer = b""
    assert answer[9:12] == status


def test_a_request_that_is_no_key_is_refused_and_the_code_stays(shop: Shop) -> None:
    shop.serve()
    invitation = shop.enrolment.invite("probe-1", Role.PROBE, time.time())
    with pytest.raises(InputError, match="prime256v1"):
        shop.enrolment.redeem(invitation.code, b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", NOW_S)
    assert client.enrol(invitation).place.identity == "demo/corner-shop/probe-1"


def test_many_idle_strangers_keep_no_probe_out_and_hold_little(shop: Shop) -> None:
    shop.serve()
    stranger = ("127.0.0.2", 0)
    before = len(os.listdir("/proc/self/fd"))
    idle = [socket.create_connection((HOST, shop.enrol_port), source_address=stranger) for _ in range(300)]
    try:
        client.enrol(shop.enrolment.invite("probe-1", Role.PROBE, time.time()))
        held = len(os.listdir("/proc/self/fd")) - before - len(idle)
        assert held < 2 * MAX_OF_PEER, "strangers hold the hub's file descriptors"
    finally:
        for one in idle:
            one.close()


@pytest.mark.parametrize(
    "text",
    ["", "footfall-enrol://", "http://a:1/b/c", "footfall-enrol://h/AAAA/BBBB", "footfall-enrol://[:1/a/b", "x" * 9999],
)
def test_what_is_no_invitation_is_one_line_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(UsageError, match="is no invitation") as refused:
        parse_invitation(text)
    assert len(text) < 20 or text not in str(refused.value)


def test_an_invitation_reads_back_however_it_was_typed() -> None:
    made = Invitation(host="::1", port=8885, pin="A2" * 16, code="ABCD" * 5)
    assert parse_invitation(str(made)) == made
    assert parse_invitation(f"  {str(made).lower()}\n") == made


@pytest.mark.needs("mosquitto")
def test_a_hub_enrols_at_the_collector_the_same_way(tmp_path: Path) -> None:
    above = Shop(tmp_path / "collector", UplinkRealm()).start().serve()
    try:
        saved = client.enrol(above.enrolment.invite("acme/main", Role.HUB, time.time())).save(tmp_path / "uplink")
        rows, place = "footfall/v1/acme/main/hub/visits", "footfall/v1/acme"
        collector, heard = connect(url_of(above.service, above.port), "collector", "footfall/v1/+/+/+/visits")
        hub, told = connect(saved.url, saved.place.identity, f"{place}/main/hub/ack", f"{place}/other/hub/ack")
        first(heard, Up)
        first(told, Up)
        hub.publish(rows, b"rows")
        hub.publish(f"{place}/other/hub/visits", b"forged")
        assert payloads(heard) == [b"rows"]
        collector.publish(f"{place}/main/hub/ack", b"ack")
        collector.publish(f"{place}/other/hub/ack", b"not theirs")
        assert payloads(told) == [b"ack"]
        hub.stop(0.4)
        collector.stop(0.4)
    finally:
        above.stop()


def test_the_enrolling_side_needs_nothing_of_posix() -> None:
    script = (
        "import sys\n"
        "for name in ('fcntl', 'pwd', 'grp', 'termios'): sys.modules[name] = None\n"
        "import hostkit.identity.client, hostkit.cli.enrol\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rights_that_are_not_the_registers_are_put_right_and_said(shop: Shop) -> None:
    acl = shop.identities.register.acl
    due = acl.read_text()
    acl.write_text(f"{due}\nuser thief\ntopic readwrite #\n")
    upkeep = Upkeep(shop.realm, shop.folder, (), shop.said.append)
    upkeep.start()
    try:
        until(lambda: acl.read_text() == due, "the thief keeps his rights")
    finally:
        upkeep.stop()
    assert "list of rights was not as it should be" in shop.said[0]


def test_two_processes_never_lose_each_others_entry(shop: Shop) -> None:
    nodes = [f"reader-{number}" for number in range(12)]
    threads = [threading.Thread(target=shop.identities.issue, args=(node, Role.READER, time.time())) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    issued = {one.identity.rpartition("/")[2] for one in shop.identities.issued()}
    assert set(nodes) <= issued


def test_a_credential_in_systemds_folder_comes_first_and_a_readable_key_is_refused(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shop.identities.register.folder / "authority.key"
    good = key.read_bytes()
    key.chmod(0o640)
    with pytest.raises(ConfigError, match=r"holds a secret that others may read \(mode 0640\); chmod 600"):
        shop.identities.issue("kiosk", Role.READER, NOW_S)
    key.unlink()
    given = tmp_path / "credentials"
    given.mkdir()
    (given / "authority.key").write_bytes(good)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    shop.identities.issue("kiosk", Role.READER, NOW_S)
    assert not key.exists(), "what systemd guards is not written to the disk"


def test_the_port_opens_and_shuts_with_the_codes_and_an_answer_under_way_is_finished(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, redeem = threading.Event(), Enrolment.redeem

    def redeemed(enrolment: Enrolment, *asked: Any) -> Any:
        under_way.set()
        return redeem(enrolment, *asked)

    monkeypatch.setattr(Enrolment, "redeem", redeemed)
    upkeep = Upkeep(shop.realm, shop.folder, (), shop.said.append)
    upkeep.start()
    try:
        time.sleep(0.3)
        assert not accepts(shop.enrol_port)
        invitation = shop.enrolment.invite("probe-1", Role.PROBE, time.time())
        until(lambda: accepts(shop.enrol_port), "the port stays shut")
        stopper = threading.Thread(target=lambda: under_way.wait(60) and upkeep.stop())
        stopper.start()
        assert client.enrol(invitation).place.identity == "demo/corner-shop/probe-1"
        stopper.join()
        until(lambda: not accepts(shop.enrol_port), "the port stays open")
    finally:
        upkeep.stop()
