"""The enrolling side, on any system: an invitation in, a credential out; and its renewal with the credential itself.

First the authority's certificate is fetched and compared with the invitation's pin, then everything is said over TLS
verified by it: the code is never shown to a stranger. The key is made here and does not leave.
"""

import http.client
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from hostkit.errors import ConfigError, PeerError
from hostkit.identity.authority import make_request
from hostkit.identity.invitation import Invitation, pin_of
from hostkit.identity.messages import AUTHORITY, ENROL, RENEW, Ask, Granted, Refused
from hostkit.io.files import write_files
from hostkit.secret import secret_path

TIMEOUT_S = 10.0
OPENS_S = 3.0  # the port opens so long after a code was made, on a busy hub
_NOT_NOW = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
MAX_ANSWER_BYTES = 65_536
CA, CERTIFICATE, KEY, PLACE = "ca.crt", "client.crt", "client.key", "enrolment.json"


class NoAnswerError(PeerError):
    """Nobody answered, or not to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a credential counts and is renewed; `enrolment.json` beside it."""

    identity: str
    role: str
    host: str
    port: int
    enrol_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A credential, PEM, and its place."""

    place: Place
    authority: bytes
    certificate: bytes
    until_s: int
    key: bytes = field(repr=False)

    def save(self, folder: Path) -> "Folder":
        """Write it, private, all or none."""
        place = msgspec.json.format(msgspec.json.encode(self.place))
        files = {CA: self.authority, CERTIFICATE: self.certificate, KEY: self.key, PLACE: place}
        write_files({folder / name: content for name, content in files.items()}, private=True)
        return Folder(folder)


class Folder:
    """A credential on disk. Raises ConfigError where it is not one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> Place:
        """Where it counts."""
        try:
            return msgspec.json.decode((self.path / PLACE).read_bytes(), type=Place)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                "holds no enrolment", where=str(self.path), next_step="run `footfall enrol` with its --to"
            ) from error

    @property
    def url(self) -> str:
        """The broker as `--broker` and `--uplink` take it."""
        place = self.place
        host = f"[{place.host}]" if ":" in place.host else place.host
        files = f"ca={self.path / CA}&cert={self.path / CERTIFICATE}&key={self.path / KEY}"
        return f"mqtts://{host}:{place.port}?{files}"

    @property
    def span_s(self) -> tuple[float, float]:
        """From when to when its certificate counts."""
        return certificate_span_s(self.path / CERTIFICATE)


def certificate_span_s(path: Path) -> tuple[float, float]:
    """Give when a certificate, PEM, begins and ends, Unix seconds; ConfigError for anything else."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError("is no certificate", where=str(path), next_step="enrol anew") from error
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def days_left(certificates: Sequence[Path], now_s: float) -> float | None:
    """Give for how many days the first of them still counts, 0 for over; None without any that can be read."""
    ends = []
    for path in certificates:
        with suppress(ConfigError):
            ends.append(max(0.0, certificate_span_s(path)[1] - now_s) / 86_400)
    return min(ends, default=None)


def enrol(invitation: Invitation) -> Enrolled:
    """Redeem an invitation. PeerError where it is refused or whoever answers is not who it names."""
    authority = _awaited(invitation)
    context = _verified(authority)
    key, csr = make_request()
    ask = msgspec.json.encode(Ask(code=invitation.code, csr=csr.decode()))
    try:
        granted = _granted(invitation.host, invitation.port, context, ENROL, ask)
    except NoAnswerError:  # the code may be used already: only this very key is answered again
        granted = _granted(invitation.host, invitation.port, context, ENROL, ask)
    place = Place(
        identity=granted.identity,
        role=granted.role,
        host=invitation.host,
        port=granted.port,
        enrol_port=invitation.port,
    )
    return _checked(granted, place, key, authority)


def renew(folder: Folder) -> int:
    """Renew the certificate in `folder` with itself; give its new end, Unix seconds.

    PeerError where it is refused or nobody listens: the authority listens when a third of its life is left.
    """
    place = folder.place
    key_path = secret_path(folder.path / KEY)
    authority = (folder.path / CA).read_bytes()
    context = _verified(authority)
    try:
        context.load_cert_chain(folder.path / CERTIFICATE, key_path)
    except OSError as error:
        raise ConfigError(
            f"cannot be used ({error.strerror or error})", where=str(folder.path), next_step="enrol anew"
        ) from error
    granted = _granted(place.host, place.enrol_port, context, RENEW, b"")
    renewed = _checked(granted, place, key_path.read_bytes(), authority)
    write_files({folder.path / CERTIFICATE: renewed.certificate}, private=True)
    return renewed.until_s


def _awaited(invitation: Invitation) -> bytes:
    """Fetch the authority; where nobody answers, again for OPENS_S: the port opens only once the code is made."""
    until_s = time.monotonic() + OPENS_S
    while True:
        try:
            return authority_of(invitation)
        except NoAnswerError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(OPENS_S / 10)


def authority_of(invitation: Invitation) -> bytes:
    """Fetch the authority's certificate from a server not yet trusted, and compare it with the pin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    pem = _exchange(invitation.host, invitation.port, context, AUTHORITY, None)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        if pin_of(certificate.public_bytes(serialization.Encoding.DER)) == invitation.pin:
            return certificate.public_bytes(serialization.Encoding.PEM)
    except ValueError:
        pass
    raise PeerError(
        "is not the hub the invitation names: somebody may be in between, or its authority was made anew",
        where=_where(invitation.host, invitation.port),
        next_step="ask for a new invitation and check the address; the code was not sent",
    )


def _verified(authority: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.decode("ascii"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def distrusted(error: ssl.SSLCertVerificationError) -> str:
    """Say what helps where a hub's certificate does not hold."""
    if error.verify_code in _NOT_NOW:
        return "check the clocks here and at the hub; footfall hub run renews that certificate while it runs"
    return "ask at the hub for a new code with a --host its certificate names; if this is not your hub, go no further"


def _granted(host: str, port: int, context: ssl.SSLContext, path: str, body: bytes) -> Granted:
    answer = _exchange(host, port, context, path, body)
    try:
        return msgspec.json.decode(answer, type=Granted)
    except msgspec.DecodeError as error:
        raise _not_ours(host, port) from error


def _exchange(host: str, port: int, context: ssl.SSLContext, path: str, body: bytes | None) -> bytes:
    """POST `body`, or GET without one."""
    method = "GET" if body is None else "POST"
    length = {} if body is None else {"Content-Length": str(len(body))}
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request(method, path, body or None, {"Connection": "close", **length})
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES)
    except ssl.SSLCertVerificationError as error:
        raise PeerError(
            f"its certificate is not valid here ({error.verify_message})",
            where=_where(host, port),
            next_step=distrusted(error),
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(host, port, error, renewing=path == RENEW) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise _refused(host, port, content)
    return content


def _unreachable(host: str, port: int, error: Exception, *, renewing: bool) -> PeerError:
    said = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error or type(error).__name__)
    if renewing and isinstance(error, ssl.SSLError | ConnectionResetError | http.client.RemoteDisconnected):
        return PeerError(
            f"did not take our certificate ({said}): it may be over or revoked",
            where=_where(host, port),
            next_step="ask for a new code (`footfall hub enrol`, `footfall collector enrol`) and run `footfall enrol`",
        )
    return NoAnswerError(
        f"nobody answers ({said})",
        where=_where(host, port),
        next_step="it listens only while a code is open: is it over or used (footfall hub enrol --list)? does "
        "`footfall hub run` run, and are you in its network?",
    )


def _refused(host: str, port: int, content: bytes) -> PeerError:
    try:
        said = msgspec.json.decode(content, type=Refused)
    except msgspec.DecodeError:
        return _not_ours(host, port)
    return PeerError(_shown(said.what), where=_where(host, port), next_step=_shown(said.next_step))


def _checked(granted: Granted, place: Place, key: bytes, authority: bytes) -> Enrolled:
    """See that the certificate is of this authority and of our key."""
    try:
        certificate = x509.load_pem_x509_certificate(granted.certificate.encode())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
        own = serialization.load_pem_private_key(key, None).public_key()
        matches = certificate.public_key() == own
    except (ValueError, TypeError, InvalidSignature) as error:
        raise _not_ours(place.host, place.enrol_port) from error
    if not matches:
        raise _not_ours(place.host, place.enrol_port)
    return Enrolled(
        place=place, authority=authority, certificate=granted.certificate.encode(), key=key, until_s=granted.until_s
    )


def _not_ours(host: str, port: int) -> PeerError:
    return PeerError("is no enrolment of ours", where=_where(host, port), next_step="check address and version")


def _where(host: str, port: int) -> str:
    return f"{host}:{port}"


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:300]
