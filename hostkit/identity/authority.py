"""A site's certificate authority: who is whom for the broker. Its private key is used here only; nothing is written.

Keys are ECDSA P-256, which probes' mbedTLS has; an identity is `tenant/site/node`, the
certificate's common name (RFC 5280).
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hostkit.errors import UsageError
from hostkit.model import ID_PATTERN

CERTIFICATE, KEY, REGISTER, REVOKED = "authority.crt", "authority.key", "issued.json", "revoked.pem"

AUTHORITY_DAYS = 3650
LEAF_DAYS = 825  # the longest that Apple's TLS stacks take, and one visit of an installer in two years
SKEW = timedelta(hours=24)  # a probe's clock may be a day behind until the hub has told it the time
_NAME = re.compile(rf"{ID_PATTERN}/{ID_PATTERN}/{ID_PATTERN}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """One certificate: `role` is what its holder may do at the broker; times are Unix seconds."""

    identity: str
    role: str
    serial: str
    until_s: int
    revoked_s: int | None = None


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
            CERTIFICATE: self._certificate.public_bytes(serialization.Encoding.PEM),
            KEY: _key_pem(self._key),
            REGISTER: msgspec.json.format(msgspec.json.encode(self._issued)),
            REVOKED: self._revocations(datetime.fromtimestamp(now_s, UTC)),
        }

    @property
    def issued(self) -> tuple[Issued, ...]:
        """Everything ever issued, the oldest first."""
        return tuple(self._issued)

    def in_force(self, now_s: float) -> tuple[Issued, ...]:
        """Give the certificates that are neither revoked nor over."""
        return tuple(one for one in self._issued if one.revoked_s is None and one.until_s > now_s)

    def issue(self, identity: str, role: str, now_s: float, *, hosts: Sequence[str] = ()) -> Credential:
        """Make key and certificate for `identity`; with `hosts`, names and addresses, those of a server.

        The identity's earlier certificates stay in force, so that a node is never without one: revoke them after.
        """
        if not _NAME.fullmatch(identity):
            raise UsageError(f"{identity!a} is no identity", where="identity", next_step="use tenant/site/node")
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.fromtimestamp(now_s, UTC)
        issuer = self._certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        builder = _builder(identity, str(issuer), key.public_key(), now, timedelta(days=LEAF_DAYS))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        until_s = int(certificate.not_valid_after_utc.timestamp())
        serial = f"{certificate.serial_number:x}"
        self._issued.append(Issued(identity=identity, role=role, serial=serial, until_s=until_s))
        return Credential(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=_key_pem(key))

    def revoke(self, identity: str, now_s: float) -> int:
        """Take back every certificate of `identity`; tell how many."""
        gone = {one.serial for one in self.in_force(now_s) if one.identity == identity}
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
