"""Flaws planted one by one in a site with a real mosquitto: the audit finds each, and nothing in the sound one."""

import http.server
import json
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from hostkit.config import dump_site
from hostkit.errors import ExitCode
from hostkit.hub.tags import TagRole, add_tag, tag_of
from hostkit.identity.access import Role
from hostkit.identity.audit import Target, audit
from hostkit.identity.audit_files import ON_THE_HUB
from hostkit.identity.audit_inside import WITH_CREDENTIAL
from hostkit.identity.audit_network import OUTSIDE
from hostkit.identity.identities import Handed
from hostkit.io import mqttwire
from tests.cli.command import footfall, refused
from tests.identity.place import HOST, PLACE, SITE, Shop
from tests.io.brokers import free_port

pytestmark = pytest.mark.needs("mosquitto")
CHECKS = (*OUTSIDE, *WITH_CREDENTIAL, *ON_THE_HUB)


@dataclass
class Audited:
    """A shop, the credential of a stolen probe, and what else a flaw needs."""

    shop: Shop
    handed: Handed
    http_port: int
    servers: list[http.server.ThreadingHTTPServer] = field(default_factory=list)

    @property
    def configuration(self) -> Path:
        return self.shop.identities.configuration

    def set(self, name: str, value: str | None) -> None:
        """Change or remove a line of mosquitto.conf."""
        lines = [line for line in self.configuration.read_text().splitlines() if line.split(" ")[0] != name]
        self.configuration.write_text("\n".join([*lines, *([f"{name} {value}"] if value is not None else []), ""]))

    def allow(self, line: str) -> None:
        """Add a right to the stolen probe's."""
        acl = self.shop.identities.register.acl
        user = f"user {self.handed.identity}\n"
        acl.write_text(acl.read_text().replace(user, f"{user}{line}\n"))

    def target(self) -> Target:
        return Target(
            host=HOST, port=self.shop.port, enrol_port=self.shop.enrol_port, http_ports=(self.http_port,),
            authority=self.handed.authority, certificate=self.handed.certificate, key=self.handed.key,
            data=self.shop.folder, site=SITE, listen_s=0.7,
        )  # fmt: skip


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Audited]:
    shop = Shop(tmp_path / "hub")
    handed = shop.identities.issue("probe-1", Role.PROBE, time.time())
    carried = tmp_path / "stolen"
    carried.mkdir()
    for path in (handed.certificate, handed.key):
        shutil.move(path, carried / path.name)
    handed = replace(handed, certificate=carried / "probe-1.crt", key=carried / "probe-1.key")
    made = Audited(shop, handed, free_port())
    yield made
    shop.stop()
    for server in made.servers:
        server.shutdown()
        server.server_close()


def say(audited: Audited, handed: Handed, topic: str, payload: bytes) -> None:
    """Publish, retained, as somebody of the site."""
    context = ssl.create_default_context(cafile=str(handed.authority))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(handed.certificate, handed.key)
    with mqttwire.connect(HOST, audited.shop.port, context=context, timeout_s=5) as link:
        assert link.hello(handed.identity) == 0
        link.publish(topic, payload, qos=1, retain=True)


def found(audited: Audited) -> list[str]:
    audited.shop.start()
    if "require_certificate true" in audited.configuration.read_text():
        say(audited, audited.shop.service, f"{PLACE}/probe-9/state", b"online")
    results = list(audit(audited.target(), CHECKS))
    return [one.check for result in results for one in result.findings]


def anonymous(audited: Audited) -> None:
    audited.set("allow_anonymous", "true")
    audited.set("require_certificate", "false")
    audited.set("use_identity_as_username", "false")


def passwords(audited: Audited) -> None:
    file = audited.shop.folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(file), "admin", "admin"], check=True)
    file.chmod(0o600)
    audited.set("require_certificate", "false")
    audited.set("use_identity_as_username", "false")
    audited.set("password_file", str(file))


def plain(audited: Audited) -> None:
    text = audited.configuration.read_text()
    tls = [line for line in text.splitlines() if line.split(" ")[0] in {"cafile", "crlfile", "certfile", "keyfile"}]
    for name in ("cafile", "crlfile", "certfile", "keyfile", "require_certificate", "use_identity_as_username"):
        audited.set(name, None)
    audited.set("tls_version", None)
    assert tls


def rsa_certificate(audited: Audited, *, bits: int = 2048, days: float = 400, host: str = HOST) -> None:
    """Another server certificate, of an authority of its own."""
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    files = audited.shop.identities.broker_files
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def weak_ciphers(audited: Audited) -> None:
    audited.set("ciphers", "ALL:NULL:@SECLEVEL=0")


def old_tls(audited: Audited) -> None:
    audited.set("tls_version", "tlsv1.1")
    audited.set("ciphers", "ALL:@SECLEVEL=0")


def over_soon(audited: Audited) -> None:
    books = audited.shop.identities.register.read()
    identity = f"{SITE.tenant}/{SITE.site}/broker"
    made = books.authority.issue(identity, "broker", time.time(), hosts=[HOST], life_s=86_400)
    files = audited.shop.identities.broker_files
    files.certificate.write_bytes(made.certificate)
    files.key.write_bytes(made.key)


def retained_key(audited: Audited) -> None:
    acl = audited.shop.identities.register.acl
    before = acl.read_text()
    audited.allow(f"topic write {PLACE}/probe-1/cmd/key")
    audited.shop.start()
    say(audited, audited.handed, f"{PLACE}/probe-1/cmd/key", b'{"key":"00112233"}')
    audited.shop.stop()
    acl.write_text(before)


def rename(audited: Audited) -> None:
    books = audited.shop.identities.register.read()
    identity = f"{SITE.tenant}/{SITE.site}/broker"
    made = books.authority.issue(identity, "broker", time.time(), hosts=["elsewhere.local"])
    files = audited.shop.identities.broker_files
    files.certificate.write_bytes(made.certificate)
    files.key.write_bytes(made.key)


def pattern(audited: Audited) -> None:
    acl = audited.shop.identities.register.acl
    acl.write_text(acl.read_text() + "\npattern write footfall/v1/+/+/+/obs\n")


def mode(audited: Audited, name: str, bits: int) -> None:
    (audited.shop.folder / name).chmod(bits)


class Page(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


def page(audited: Audited, host: str = "0.0.0.0") -> None:
    serve_for(audited, http.server.ThreadingHTTPServer((host, audited.http_port), Page))


def no_back_off(audited: Audited, status: int = 401) -> None:
    handler = type("Desk", (Page,), {"status": status})
    server = http.server.ThreadingHTTPServer((HOST, audited.shop.enrol_port), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = audited.shop.identities.broker_files
    context.load_cert_chain(files.certificate, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    serve_for(audited, server)


def serve_for(audited: Audited, server: http.server.ThreadingHTTPServer) -> None:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    audited.servers.append(server)


def codes(audited: Audited) -> None:
    audited.shop.enrolment.invite("probe-2", Role.PROBE, time.time())
    mode(audited, "identity/codes.json", 0o644)


def tags(audited: Audited) -> None:
    add_tag(audited.shop.folder, tag_of("anna", TagRole.STAFF, "00:1b:c5:0a:00:07", random=False))
    mode(audited, "tags.json", 0o644)


def left(audited: Audited) -> None:
    audited.shop.identities.issue("kiosk", Role.READER, time.time())


# Each: what is done to a sound site, and the check that must speak of it.
FLAWS: dict[str, tuple[Callable[[Audited], None], str]] = {
    "anonymous clients": (anonymous, "anonymous"),
    "a password all try": (passwords, "weak-password"),
    "a plain listener": (plain, "plain-port"),
    "TLS 1.1": (old_tls, "old-tls"),
    "ciphers without secrecy": (weak_ciphers, "weak-ciphers"),
    "a certificate of somebody else": (rsa_certificate, "certificate"),
    "a certificate for another name": (rename, "certificate"),
    "a certificate that is nearly over": (over_soon, "certificate"),
    "a probe reads other probes": (lambda one: one.allow(f"topic read {PLACE}/+/state"), "reading"),
    "a probe reads $SYS": (lambda one: one.allow("topic read $SYS/#"), "reading"),
    "a probe writes as another": (lambda one: one.allow(f"topic write {PLACE}/+/obs"), "writing"),
    "a probe writes to another tenant": (lambda one: one.allow("topic write footfall/v1/+/+/probe-1/obs"), "writing"),
    "a pattern that begins with a plus": (pattern, "writing"),
    "a key retained": (retained_key, "reading"),
    "client ids are believed": (lambda one: one.set("use_username_as_clientid", None), "impersonation"),
    "messages of any size": (lambda one: one.set("max_packet_size", None), "limits"),
    "connections without end": (lambda one: one.set("max_connections", None), "many-connections"),
    "silence of any length": (lambda one: one.set("max_keepalive", None), "limits"),
    "a queue that drops": (lambda one: one.set("max_queued_messages", None), "broker-files"),
    "no list of the revoked": (lambda one: one.set("crlfile", None), "broker-files"),
    "the authority's key readable": (lambda one: mode(one, "identity/authority.key", 0o644), "file-modes"),
    "codes readable": (codes, "file-modes"),
    "addresses of tags others read": (tags, "file-modes"),
    "a folder all may write to": (lambda one: mode(one, "broker", 0o777), "file-modes"),
    "a page for anybody": (page, "open-page"),
    "codes guessed without end": (no_back_off, "enrolment"),
    "a credential for any code": (lambda one: no_back_off(one, 200), "enrolment"),
    "keys never carried away": (left, "left-keys"),
}


def test_nothing_is_found_in_a_sound_site_with_codes_open(audited: Audited) -> None:
    audited.shop.enrolment.invite("probe-2", Role.PROBE, time.time())
    audited.shop.start().serve()
    page(audited, HOST)
    results = list(audit(audited.target(), CHECKS))
    assert [one for result in results for one in result.findings] == []
    assert [result for result in results if result.skipped] == []
    assert audited.shop.enrolment.codes()[0].wrong == 0


@pytest.mark.parametrize("name", FLAWS)
def test_a_planted_flaw_is_found(audited: Audited, name: str) -> None:
    plant, check = FLAWS[name]
    plant(audited)
    assert check in found(audited)


def test_the_command_says_what_and_what_next_and_its_code_tells(audited: Audited, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(dump_site(SITE))
    audited.shop.start()
    place = (HOST, "--port", str(audited.shop.port), "--ca", str(audited.handed.authority))
    sound = footfall("hub", "audit", *place, "--as", audited.handed.certificate, "--http-port", str(audited.http_port))
    assert sound.returncode == ExitCode.OK, sound.stdout
    assert "0 findings" in sound.stdout
    assert "file-modes: not checked; not on the hub" in sound.stderr
    audited.allow(f"topic write {PLACE}/+/obs")
    audited.shop.stop()
    audited.shop.start()
    flawed = footfall("hub", "audit", "--data", audited.shop.folder, "--site", site, "--json", "--http-port", "1")
    assert flawed.returncode == ExitCode.FOUND
    said = json.loads(flawed.stdout)
    assert [one["check"] for one in said["findings"]] == ["broker-files"]
    assert said["findings"][0]["severity"] == "high"
    assert said["findings"][0]["next_step"]
    assert {one["check"] for one in said["checks"] if one["skipped"]} >= {"writing", "reading"}
    audited.shop.stop()
    refused(footfall("hub", "audit", *place), ExitCode.PEER, "nobody answers")
    refused(footfall("hub", "audit"), ExitCode.USAGE, "no host is named")
    refused(footfall("hub", "audit", "--data", tmp_path), ExitCode.CONFIG, "holds no authority")
