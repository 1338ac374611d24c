"""A site's certificate authority: who is whom for the broker. Its private key is used here only; nothing is written.

Keys are ECDSA P-256, which probes' mbedTLS has; an identity is `tenant/site/node`, the
certificate's common name (RFC 5280).
"""

import hashlib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hostkit.errors import InputError, UsageError
from hostkit.model import ID_PATTERN

CERTIFICATE, KEY, REGISTER, REVOKED = "authority.crt", "authority.key", "issued.json", "revoked.pem"

AUTHORITY_DAYS = 3650
LEAF_S = 825 * 86_400.0  # the longest that Apple's TLS stacks take; renewed when a third is left
RENEW_PART = 3
SKEW = timedelta(hours=24)  # a probe's clock may be a day behind until the hub has told it the time
_NAME = re.compile(rf"{ID_PATTERN}(/{ID_PATTERN}/{ID_PATTERN})?")  # one word: a service that is of no site


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One certificate: `role` is what its holder may do at the broker; times are Unix seconds."""

    identity: str
    role: str
    serial: str
    until_s: int
    since_s: int = 0
    public: str = ""  # SHA-256 of its public key
    revoked_s: int | None = None

    def due(self, now_s: float) -> bool:
        """Tell whether it should be renewed: a third of its life is left."""
        return self.revoked_s is None and self.until_s - now_s < (self.until_s - self.since_s) / RENEW_PART


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a node needs to be let in, PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Credential()"


class Authority:
    """Signs for one site; knows every certificate it ever made. Writes nothing: `files` is what is to be kept."""

    def __init__(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, issued: Sequence[Issued] = ()
    ) -> None:
        self._certificate, self._key = certificate, key
        self._issued = list(issued)

    @classmethod
    def create(cls, name: str, now_s: float) -> Self:
        """Make a new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.fromtimestamp(now_s, UTC)
        certificate = (
            _builder(name, name, key.public_key(), now, timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Self:
        """Make it of what `files` gave; ValueError for what is not that."""
        certificate = x509.load_pem_x509_certificate(files[CERTIFICATE])
        key = serialization.load_pem_private_key(files[KEY], None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ValueError("key and certificate do not match")
        return cls(certificate, key, msgspec.json.decode(files[REGISTER], type=list[Issued]))

    def files(self, now_s: float) -> dict[str, bytes]:
        """Give certificate, key, register and the list of what is revoked, which the broker reads."""
        return {
            CERTIFICATE: self.certificate,
            KEY: _key_pem(self._key),
            REGISTER: msgspec.json.format(msgspec.json.encode(self._issued)),
            REVOKED: self._revocations(datetime.fromtimestamp(now_s, UTC)),
        }

    @property
    def certificate(self) -> bytes:
        """Its own certificate, PEM: whom everybody is to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def issued(self) -> tuple[Issued, ...]:
        """Everything ever issued, the oldest first."""
        return tuple(self._issued)

    def in_force(self, now_s: float) -> tuple[Issued, ...]:
        """Give the certificates that are neither revoked nor over."""
        return tuple(one for one in self._issued if one.revoked_s is None and one.until_s > now_s)

    def issue(
        self, identity: str, role: str, now_s: float, *, hosts: Sequence[str] = (), life_s: float = LEAF_S
    ) -> Credential:
        """Make a key and its certificate; see `certify`."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certify(identity, role, key.public_key(), now_s, hosts=hosts, life_s=life_s)
        return Credential(certificate=certificate, key=_key_pem(key))

    def certify(
        self,
        identity: str,
        role: str,
        key: ec.EllipticCurvePublicKey,
        now_s: float,
        *,
        hosts: Sequence[str] = (),
        life_s: float = LEAF_S,
    ) -> bytes:
        """Certify that `key` is `identity`'s, PEM; with `hosts`, names and addresses, as a server.

        The identity's earlier certificates stay in force, so that a node is never without one: revoke them after.
        """
        certificate = self._sign(identity, key, now_s, hosts, life_s)
        until_s = int(certificate.not_valid_after_utc.timestamp())
        serial = f"{certificate.serial_number:x}"
        self._issued.append(
            Issued(
                identity=identity, role=role, serial=serial, until_s=until_s, since_s=int(now_s), public=key_digest(key)
            )
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def renew(
        self, certificate: x509.Certificate, now_s: float, *, hosts: Sequence[str] = (), life_s: float = LEAF_S
    ) -> bytes:
        """Certify the same key for longer, PEM. UsageError for a certificate that is not ours or was revoked.

        Its holder has proved that the key is his; whether it is over is for the caller to judge.
        """
        serial = f"{certificate.serial_number:x}"
        held = next((one for one in self._issued if one.serial == serial), None)
        key = certificate.public_key()
        if held is None or held.revoked_s is not None or not isinstance(key, ec.EllipticCurvePublicKey):
            what = "was revoked" if held and held.revoked_s is not None else "is not of this authority"
            raise UsageError(what, where="certificate", next_step="enrol anew with a code of `footfall hub enrol`")
        return self.certify(held.identity, held.role, key, now_s, hosts=hosts, life_s=life_s)

    def momentary(self, identity: str, now_s: float) -> Credential:
        """Make a credential of `identity` that is in no register, so that no right goes with it, for a minute."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(identity, key.public_key(), now_s, (), 60.0)
        return Credential(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))

    def sign(self, purpose: str, message: bytes) -> bytes:
        """Sign a message for one purpose, ECDSA P-256 with SHA-256, DER; `signed_by` is the other side."""
        return self._key.sign(_purposed(purpose, message), ec.ECDSA(hashes.SHA256()))

    def _sign(
        self, identity: str, key: ec.EllipticCurvePublicKey, now_s: float, hosts: Sequence[str], life_s: float
    ) -> x509.Certificate:
        if not _NAME.fullmatch(identity):
            raise UsageError(f"{identity!a} is no identity", where="identity", next_step="use tenant/site/node")
        issuer = self._certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        now = datetime.fromtimestamp(now_s, UTC)
        builder = _builder(identity, str(issuer), key, now, timedelta(seconds=life_s))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())

    def revoke(self, identity: str, now_s: float, *, but: str = "") -> int:
        """Take back every certificate of `identity`, `but` those of the key with that digest; tell how many."""
        gone = {
            one.serial for one in self.in_force(now_s) if one.identity == identity and (not but or one.public != but)
        }
        self._issued = [replace(one, revoked_s=int(now_s)) if one.serial in gone else one for one in self._issued]
        return len(gone)

    def _revocations(self, now: datetime) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._certificate.subject)
        builder = builder.last_update(now - SKEW).next_update(now + timedelta(days=AUTHORITY_DAYS))
        for one in self._issued:
            if one.revoked_s is not None:
                entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial, 16))
                entry = entry.revocation_date(datetime.fromtimestamp(one.revoked_s, UTC))
                builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def key_digest(key: ec.EllipticCurvePublicKey) -> str:
    """Name a public key: SHA-256 of it."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def signed_by(certificate: bytes, purpose: str, message: bytes, signature: bytes) -> bool:
    """Tell whether the authority with this certificate, PEM, signed the message for that purpose."""
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(signature, _purposed(purpose, message), ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _purposed(purpose: str, message: bytes) -> bytes:
    """No certificate begins so (DER: 0x30), so that neither signature can be taken for the other."""
    return b"footfall " + purpose.encode() + b"\n" + message


def requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    """Give the key of a certificate request (PKCS #10, PEM) that its holder signed; InputError for anything else.

    Its name is not looked at: who somebody is, the code says.
    """
    try:
        asked = x509.load_pem_x509_csr(request)
        key = asked.public_key()
        if (
            isinstance(key, ec.EllipticCurvePublicKey)
            and isinstance(key.curve, ec.SECP256R1)
            and asked.is_signature_valid
        ):
            return key
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise InputError(
        "is no signed request for an ECDSA P-256 key", where="csr", next_step="make the key on the curve prime256v1"
    )


def make_request() -> tuple[bytes, bytes]:
    """Make a key and the request for its certificate, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "to be named")])
    request = x509.CertificateSigningRequestBuilder().subject_name(nobody).sign(key, hashes.SHA256())
    return _key_pem(key), request.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, now: datetime, span: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + span)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host):
        raise UsageError(f"{host!a} is no host name or address", where="--host", next_step="write it as hub.local")
    return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
