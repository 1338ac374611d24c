"""Checks from outside, without any credential: ports, TLS, certificates, passwords, enrolment, pages."""

import http.client
import secrets
import socket
import ssl
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hostkit.errors import PeerError
from hostkit.identity.audit import Finding, Severity, SkippedError, Target
from hostkit.identity.authority import Authority
from hostkit.identity.backoff import FREE
from hostkit.identity.invitation import new_code
from hostkit.identity.messages import ENROL, Ask
from hostkit.io import mqttwire
from hostkit.io.files import write_files
from hostkit.io.mqtt import is_loopback

TIMEOUT_S = 3.0
PLAIN_PORTS = (1883, 9001)
NEAR_END_S = 30 * 86_400.0
MIN_RSA_BITS = 2048
MANY = 320  # connections; a site has some 64 probes
REFUSAL_S = 4.0  # a busy broker takes its time to refuse
PACE_S, PACE = 0.02, 20  # a listener queues some dozen that it has not yet accepted
OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
WEAK = "NULL:aNULL:EXPORT:LOW:RC4:3DES:DES:MD5:kRSA:@SECLEVEL=0"  # no secrecy, or none once the key is known
PASSWORDS = (
    ("admin", "admin"), ("admin", "password"), ("mqtt", "mqtt"), ("mosquitto", "mosquitto"), ("user", "password"),
    ("guest", "guest"), ("test", "test"), ("footfall", "footfall"), ("homeassistant", "homeassistant"),
    ("root", "root"),
)  # fmt: skip


def answers(target: Target) -> None:
    """Raise PeerError where nobody listens at all."""
    try:
        socket.create_connection((target.host, target.port), TIMEOUT_S).close()
    except OSError as error:
        raise PeerError(
            f"nobody answers ({error.strerror or error})", where=target.place, next_step="check host and --port"
        ) from error


def plain_port(target: Target) -> Iterator[Finding]:
    """MQTT without TLS."""
    for port in dict.fromkeys((target.port, *PLAIN_PORTS)):
        try:
            with mqttwire.connect(target.host, port, timeout_s=TIMEOUT_S) as link:
                code = link.hello("footfall-audit")
        except (OSError, ValueError):
            continue
        what = "lets anybody in without TLS or identity" if code == 0 else "speaks MQTT without TLS: all can be read"
        severity = Severity.CRITICAL if code == 0 else Severity.HIGH
        yield Finding(
            severity=severity, check="plain-port", what=what, where=f"{target.host}:{port}",
            next_step="remove that listener from mosquitto.conf, or bind it to 127.0.0.1",
        )  # fmt: skip


def anonymous(target: Target) -> Iterator[Finding]:
    """TLS without a certificate: who is let in, who is asked for a password."""
    with _connect(target, _open_context()) as link:
        code = _greeting(link)
        if code is None:
            return
        if code == 0:
            yield Finding(
                severity=Severity.CRITICAL, check="anonymous", what="lets anybody in without certificate or password",
                where=target.place, next_step="set allow_anonymous false and require_certificate true",
            )  # fmt: skip
        else:
            yield Finding(
                severity=Severity.MEDIUM, check="anonymous", what="does not ask for a client certificate",
                where=target.place, next_step="set require_certificate true and use_identity_as_username true",
            )  # fmt: skip


def foreign_certificate(target: Target) -> Iterator[Finding]:
    """A certificate somebody made himself."""
    made = Authority.create("stranger", time.time()).momentary("demo/stranger/hub", time.time())
    context = _open_context()
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "pair.pem")
        write_files({pair: made.certificate + made.key}, private=True)
        context.load_cert_chain(pair)
    with _connect(target, context) as link:
        if _greeting(link) == 0:
            yield Finding(
                severity=Severity.CRITICAL, check="foreign-certificate", what="takes a certificate of any authority",
                where=target.place, next_step="set cafile to the site's authority alone, no capath",
            )  # fmt: skip


def weak_password(target: Target) -> Iterator[Finding]:
    """Passwords everybody tries first."""
    names = [] if target.site is None else [f"{target.site.tenant}/{target.site.site}/hub", target.site.tenant]
    for user, password in (*PASSWORDS, *((name, name) for name in names)):
        with _connect(target, _open_context()) as link:
            code = _greeting(link, user=user, password=password)
        if code is None:
            return
        if code == 0:
            yield Finding(
                severity=Severity.CRITICAL, check="weak-password", what=f"takes the password of {user!r} that all try",
                where=target.place, next_step="remove the account, and use certificates",
            )  # fmt: skip
            return


def old_tls(target: Target) -> Iterator[Finding]:
    """TLS 1.0 and 1.1."""
    for version in OLD:
        context = _open_context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the question
            context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
        if _shakes_hands(target, context):
            yield Finding(
                severity=Severity.HIGH, check="old-tls", what=f"speaks {version.name.replace('v1_', ' 1.')}",
                where=target.place, next_step="set tls_version tlsv1.2",
            )  # fmt: skip


def weak_ciphers(target: Target) -> Iterator[Finding]:
    """Ciphers without secrecy, or without forward secrecy."""
    context = _open_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(WEAK)
    if cipher := _shakes_hands(target, context):
        yield Finding(
            severity=Severity.HIGH, check="weak-ciphers", what=f"agrees to {cipher}", where=target.place,
            next_step="remove the line `ciphers` from mosquitto.conf",
        )  # fmt: skip


def certificate(target: Target) -> Iterator[Finding]:
    """The server's certificate: of the authority, of that name, not over, of a sound key."""
    with _connect(target, _open_context()) as link:
        assert isinstance(link.socket, ssl.SSLSocket)
        der = link.socket.getpeercert(binary_form=True)
    shown = x509.load_der_x509_certificate(der or b"")
    yield from _key_and_life(target, shown)
    if target.authority is None:
        raise SkippedError("no authority given: whether it is the right one was not checked (--ca)")
    context = ssl.create_default_context(cafile=str(target.authority))
    try:
        _connect(target, context).socket.close()
    except ssl.SSLCertVerificationError as error:
        if "expired" not in error.verify_message:
            yield Finding(
                severity=Severity.HIGH, check="certificate", what=f"does not verify: {error.verify_message}",
                where=target.place, next_step="init with --host as nodes call it, or find out who answers there",
            )  # fmt: skip


def _key_and_life(target: Target, shown: x509.Certificate) -> Iterator[Finding]:
    key = shown.public_key()
    weak = isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS
    if weak or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        yield Finding(
            severity=Severity.HIGH, check="certificate", what="its key is weak", where=target.place,
            next_step="make it anew with `footfall hub init`",
        )  # fmt: skip
    left_s = shown.not_valid_after_utc.timestamp() - time.time()
    if left_s < NEAR_END_S:
        state = "is over" if left_s <= 0 else f"is over in {left_s / 86_400:.0f} days"
        yield Finding(
            severity=Severity.HIGH if left_s <= 0 else Severity.MEDIUM, check="certificate", what=state,
            where=target.place, next_step="let `footfall hub run` run on the hub: it renews it",
        )  # fmt: skip


def oversize(target: Target) -> Iterator[Finding]:
    """A CONNECT that claims to be far larger than any message: what is read before anybody is known."""
    context = _own_context(target) if target.certificate else _open_context()
    with _connect(target, context) as link:
        if target.certificate and link.hello(target.identity) != 0:
            raise SkippedError("the certificate is not let in")
        first = 0x30 if target.certificate else 0x10
        link.socket.sendall(bytes([first, 0xFF, 0xFF, 0xFF, 0x3F]) + b"\0\1x" * 2000)  # 128 MB are announced
        link.socket.settimeout(1.5)
        try:
            link.socket.recv(1)
        except TimeoutError:
            yield Finding(
                severity=Severity.HIGH, check="oversize", what="waits for a message of 128 MB", where=target.place,
                next_step="set max_packet_size 2097152",
            )  # fmt: skip
        except OSError:
            return


def many_connections(target: Target) -> Iterator[Finding]:
    """Silent connections until it takes no more; they are closed within seconds."""
    taken: list[socket.socket] = []
    try:
        for number in range(MANY):
            taken.append(socket.create_connection((target.host, target.port), TIMEOUT_S))
            if number % PACE == 0:
                time.sleep(PACE_S)
        give_up = time.monotonic() + REFUSAL_S
        while sum(map(_alive, taken)) == MANY and time.monotonic() < give_up:
            time.sleep(0.1)
        if sum(map(_alive, taken)) == MANY:
            yield Finding(
                severity=Severity.MEDIUM, check="many-connections", what=f"takes {MANY} connections of one stranger",
                where=target.place,
                next_step="set max_connections 256; mosquitto 2.0.11 forgets it when reloaded: restart or update it",
            )  # fmt: skip
    except OSError:
        if len(taken) < 10:
            raise
    finally:
        for one in taken:
            one.close()


def enrolment(target: Target) -> Iterator[Finding]:
    """The enrolment port, if it is open: no code, a guessed one, many."""
    try:
        socket.create_connection((target.host, target.enrol_port), TIMEOUT_S).close()
    except OSError as error:
        raise SkippedError(f"port {target.enrol_port} is shut, as it is while nobody is awaited") from error
    where = f"{target.host}:{target.enrol_port}"
    statuses = []
    for ask in (b"{}", *(msgspec.json.encode(Ask(code=new_code())) for _ in range(FREE + 2))):
        statuses.append(_post(target.host, target.enrol_port, ENROL, ask))
    if http.client.OK in statuses:
        yield Finding(
            severity=Severity.CRITICAL, check="enrolment", what="gives a credential without a right code", where=where,
            next_step="stop what listens there, revoke what it gave",
        )  # fmt: skip
    elif http.client.TOO_MANY_REQUESTS not in statuses:
        yield Finding(
            severity=Severity.HIGH, check="enrolment", what="lets codes be guessed without end", where=where,
            next_step="find out what listens there: footfall makes guessers wait",
        )  # fmt: skip


def open_page(target: Target) -> Iterator[Finding]:
    """Pages with figures that ask nobody who he is, beyond loopback."""
    host = target.host
    if is_loopback(host):
        host = "127.0.0.2"  # on Linux reaches what is bound to every address, not what is bound to 127.0.0.1
    for port in target.http_ports:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
        if status < http.client.BAD_REQUEST:
            yield Finding(
                severity=Severity.MEDIUM, check="open-page", what="shows a page to anybody, unencrypted",
                where=f"{target.host}:{port}", next_step="bind it to 127.0.0.1 behind a proxy with TLS and login",
            )  # fmt: skip


def _open_context() -> ssl.SSLContext:
    """Take any server: that is what is being asked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _own_context(target: Target) -> ssl.SSLContext:
    context = _open_context()
    if target.certificate:
        context.load_cert_chain(target.certificate, target.key)
    return context


def _connect(target: Target, context: ssl.SSLContext) -> mqttwire.Link:
    return mqttwire.connect(target.host, target.port, context=context, timeout_s=TIMEOUT_S)


def _greeting(link: mqttwire.Link, *, user: str | None = None, password: str | None = None) -> int | None:
    """Say hello; None where TLS has refused us: in 1.3 that is told after the handshake."""
    try:
        return link.hello(f"footfall-audit-{secrets.token_hex(4)}", user=user, password=password)
    except (OSError, ValueError):
        return None


def _shakes_hands(target: Target, context: ssl.SSLContext) -> str | None:
    """Give the cipher agreed on; a server that asks for our certificate agrees on a cipher before it refuses us."""
    plain = socket.create_connection((target.host, target.port), TIMEOUT_S)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=target.host)
    with plain:
        while True:
            try:
                session.do_handshake()
                return (session.cipher() or ("?", "", 0))[0]
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                try:
                    data = plain.recv(65_536)
                except OSError:
                    return None
                if not data:
                    return None
                incoming.write(data)
                if chosen := _server_hello(data):
                    return chosen
            except ssl.SSLError:
                return None


def _server_hello(data: bytes) -> str | None:
    """Name the cipher of a ServerHello, if that is what came: the server agreed. RFC 5246, 7.4.1.3."""
    session_at = 43
    if len(data) <= session_at or data[0] != 22 or data[5] != 2:
        return None
    at = session_at + 1 + data[session_at]
    return f"cipher 0x{data[at : at + 2].hex().upper()}"


def _alive(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def _post(host: str, port: int, path: str, body: bytes) -> int:
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=_open_context())
    try:
        connection.request("POST", path, body)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


OUTSIDE = (
    plain_port, anonymous, foreign_certificate, weak_password, old_tls, weak_ciphers, certificate, enrolment, open_page,
    oversize, many_connections,
)  # fmt: skip
