"""Checks on the hub itself: modes of what is secret, the broker's files against what the register says, its limits."""

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from hostkit.identity.access import Role, configuration
from hostkit.identity.audit import Finding, Severity, SkippedError, Target
from hostkit.identity.authority import CERTIFICATE, REVOKED
from hostkit.identity.identities import Identities
from hostkit.identity.realms import Realm, SiteRealm, UplinkRealm
from hostkit.secret import OTHERS

SECRET_MARKS = (b"PRIVATE KEY", b'"digest"', b"footfall-enrol://", b'"address"')
PERSISTENT = ("mosquitto.db", "mosquitto.db.new")
KEY_TOPICS = (b"/cmd/key", b"/cmd/ask-key")
MAX_FILE_BYTES = 64 << 20
MAX_FILES = 10_000
NEAR_END_S = 90 * 86_400.0
REQUIRED = (
    "allow_anonymous", "require_certificate", "use_identity_as_username", "use_username_as_clientid", "tls_version",
    "cafile", "crlfile", "certfile", "keyfile", "acl_file", "max_packet_size", "max_connections", "max_keepalive",
    "max_inflight_messages", "max_queued_messages",
)  # fmt: skip


def file_modes(target: Target) -> Iterator[Finding]:
    """Nobody else may read a secret, or write where the hub reads."""
    for path in _files(_data(target)):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
            yield _mode(Severity.CRITICAL, path, mode, "can be written by others")
        elif mode & OTHERS and path.is_file() and _secret(path):
            yield _mode(Severity.CRITICAL, path, mode, "holds a secret others can read")


def left_keys(target: Target) -> Iterator[Finding]:
    """Keys that were to be carried away."""
    left = sorted((_data(target) / "identity" / "nodes").glob("*.key"))
    if left:
        yield Finding(
            severity=Severity.LOW, check="left-keys", what=f"keys of {len(left)} nodes lie here", where=str(left[0]),
            next_step="carry them to their nodes, then delete them; or use `footfall hub enrol`",
        )  # fmt: skip


def broker_files(target: Target) -> Iterator[Finding]:
    """What mosquitto reads, against what init and the register say."""
    identities = Identities(_realm(target), _data(target))
    books = identities.register.read()
    written = identities.configuration.read_text("utf-8")
    due = configuration(identities.broker_files, books.served.port)
    said, wanted = _settings(written), _settings(due)
    for name in REQUIRED:
        if said.get(name) != wanted.get(name):
            yield _differs(f"{name} is {_words(said.get(name))}, not {_words(wanted[name])}", identities.configuration)
    if said.get("listener") != wanted["listener"]:
        yield _differs(f"listens at {_words(said.get('listener'))}", identities.configuration)
    holders = [(one.identity, Role(one.role)) for one in books.authority.in_force(time.time())]
    if identities.register.acl.read_text("utf-8") != identities.register.realm.rights(holders):
        yield _differs("the list of rights is not what the register says", identities.register.acl)
    revoked = x509.load_pem_x509_crl((identities.register.folder / REVOKED).read_bytes())
    listed = {f"{one.serial_number:x}" for one in revoked}
    missing = [one for one in books.authority.issued if one.revoked_s is not None and one.serial not in listed]
    if missing:
        yield _differs(
            f"{missing[0].identity} was revoked and is not in the list", identities.register.folder / REVOKED
        )


def persistent_keys(target: Target) -> Iterator[Finding]:
    """Key material in the broker's database."""
    for name in PERSISTENT:
        path = _data(target) / "broker" / name
        if path.is_file() and any(word in _head(path) for word in KEY_TOPICS):
            yield Finding(
                severity=Severity.CRITICAL, check="persistent-keys", what="the broker keeps a key on disk",
                where=str(path), next_step="stop the broker, delete the file, rotate the key",
            )  # fmt: skip


def authority_life(target: Target) -> Iterator[Finding]:
    """The authority outlives what it signed."""
    path = _data(target) / "identity" / CERTIFICATE
    left_s = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp() - time.time()
    if left_s < NEAR_END_S:
        yield Finding(
            severity=Severity.HIGH, check="authority-life", what=f"the authority is over in {left_s / 86_400:.0f} days",
            where=str(path), next_step="init another --data and enrol every node anew",
        )  # fmt: skip


def _data(target: Target) -> Path:
    if target.data is None or not (target.data / "identity").is_dir():
        raise SkippedError("not on the hub, or no --data with an authority")
    return target.data


def _realm(target: Target) -> Realm:
    return SiteRealm(target.site) if target.site else UplinkRealm()


def _files(data: Path) -> Iterator[Path]:
    for count, path in enumerate((data, *data.rglob("*"))):
        if count >= MAX_FILES:
            return
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            yield path


def _secret(path: Path) -> bool:
    return path.suffix in {".sqlite", ".db", ".key"} or any(mark in _head(path) for mark in SECRET_MARKS)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return b""


def _settings(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found[name] = (*found.get(name, ()), value.strip())
    return found


def _words(values: tuple[str, ...] | None) -> str:
    return "not set" if not values else " and ".join(values)[:80]


def _mode(severity: Severity, path: Path, mode: int, what: str) -> Finding:
    return Finding(
        severity=severity, check="file-modes", what=f"{what} (mode {mode:04o})", where=str(path),
        next_step=f"chmod {'700' if path.is_dir() else '600'} {path}",
    )  # fmt: skip


def _differs(what: str, path: Path) -> Finding:
    return Finding(
        severity=Severity.HIGH, check="broker-files", what=what, where=str(path),
        next_step="put it back as `footfall hub init` wrote it, then reload mosquitto",
    )  # fmt: skip


ON_THE_HUB = (file_modes, left_keys, broker_files, persistent_keys, authority_life)
