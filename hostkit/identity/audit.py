"""What an attacker on the shop's network would find: the checks, in order, and what they say. Repairs nothing.

Each check tries one thing. What it tries is harmless to a sound set-up; where something lets it in, the hub may count a
few refused messages, and where enrolment is open, this address waits as after wrong codes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID

from hostkit.errors import ConfigError, HostkitError
from hostkit.identity.access import Role
from hostkit.model import Site


class Severity(StrEnum):
    """How much it matters; a note alone is no failure."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One flaw: what it is, where, and what to do."""

    severity: Severity
    check: str
    what: str
    where: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check done; `skipped` says why it could not be."""

    check: str
    findings: tuple[Finding, ...] = ()
    skipped: str | None = None


class SkippedError(Exception):
    """A check cannot be done here."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom to look at, and with what in hand. `authority` verifies the server; `certificate` and `key` are the stolen
    node's; `data` is the hub's folder, on the hub itself.
    """

    host: str
    port: int
    enrol_port: int
    http_ports: tuple[int, ...]
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    role: Role = Role.PROBE
    data: Path | None = None
    site: Site | None = None
    listen_s: float = 3.0

    @cached_property
    def identity(self) -> str:
        """Whose certificate it is; SkippedError without one, ConfigError where it is none of ours."""
        if self.certificate is None:
            raise SkippedError("no node's credential was given (--as)")
        try:
            subject = x509.load_pem_x509_certificate(self.certificate.read_bytes()).subject
            return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        except (OSError, ValueError, IndexError) as error:
            raise ConfigError("is no certificate", where=str(self.certificate), next_step="give --as DIR") from error

    @property
    def place(self) -> str:
        """Give host and port."""
        return f"{self.host}:{self.port}"


_Examined = TypeVar("_Examined")


def audit(target: _Examined, checks: Sequence[Callable[[_Examined], Iterable[Finding]]]) -> Iterator[Result]:
    """Do the checks one after another."""
    for check in checks:
        name = check.__name__.replace("_", "-")
        try:
            yield Result(check=name, findings=tuple(check(target)))
        except SkippedError as reason:
            yield Result(check=name, skipped=str(reason))
        except HostkitError as error:
            yield Result(check=name, skipped=str(error))
        except (OSError, ValueError) as error:
            yield Result(check=name, skipped=f"{type(error).__name__}: {error}"[:200])


def failed(results: Iterable[Result]) -> bool:
    """Tell whether something was found that is more than a note."""
    return any(one.severity is not Severity.NOTE for result in results for one in result.findings)
