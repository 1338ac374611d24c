"""An authority's books on disk: certificates, codes and what the broker reads of them. One writer at a time.

`DIR/identity` holds authority, register and codes, `DIR/broker` what mosquitto is started with. The authority's key is
written once and only read after; under systemd it may come as a credential instead. Times are Unix seconds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hostkit.errors import ConfigError, UsageError
from hostkit.identity.access import Role
from hostkit.identity.authority import CERTIFICATE, KEY, LEAF_S, REGISTER, REVOKED, Authority
from hostkit.identity.codes import Code, current
from hostkit.identity.realms import Realm
from hostkit.io.filelock import locked
from hostkit.io.files import write_files
from hostkit.secret import read_secret

CODES, SERVED = "codes.json", "served.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Where broker and enrolment are found, and how long a certificate lives."""

    hosts: tuple[str, ...]
    port: int
    enrol_port: int
    life_s: float = LEAF_S


@dataclass(slots=True, kw_only=True)
class Books:
    """What a change works on; `files` are written along with it."""

    authority: Authority
    served: Served
    codes: list[Code]
    files: dict[Path, bytes] = field(default_factory=dict)


def served_in(data: Path) -> Served:
    """Read where the authority in `data` says it is; ConfigError without one."""
    path = data / "identity" / SERVED
    try:
        return msgspec.json.decode(path.read_bytes(), type=Served)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError("holds no authority", where=str(data), next_step="give the --data of `hub init`") from error


class Register:
    """The books of `realm` in `data`."""

    def __init__(self, realm: Realm, data: Path) -> None:
        self.realm, self.data = realm, data.absolute()
        self.folder = self.data / "identity"
        self.acl = self.data / "broker" / "acl"

    @property
    def exists(self) -> bool:
        """Tell whether there is an authority here."""
        return (self.folder / CERTIFICATE).exists()

    def found(self, served: Served, now_s: float) -> Books:
        """Make books for `write`; UsageError where there are some: their certificates would be worth nothing."""
        if self.exists:
            raise UsageError("there is an authority already", where=str(self.folder), next_step="choose another --data")
        authority = Authority.create(self.realm.name, now_s)
        books = Books(authority=authority, served=served, codes=[])
        books.files[self.folder / KEY] = authority.files(now_s)[KEY]
        books.files[self.folder / SERVED] = msgspec.json.format(msgspec.json.encode(served))
        return books

    def read(self) -> Books:
        """Load; ConfigError where there is nothing to be used, or others may read the key."""
        try:
            files = {name: (self.folder / name).read_bytes() for name in (CERTIFICATE, REGISTER)}
            files[KEY] = read_secret(self.folder / KEY)
            codes = self.folder / CODES
            return Books(
                authority=Authority.load(files),
                served=msgspec.json.decode((self.folder / SERVED).read_bytes(), type=Served),
                codes=msgspec.json.decode(read_secret(codes), type=list[Code]) if codes.exists() else [],
            )
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"no authority to be used here ({str(error)[:120]!a})",
                where=str(self.folder),
                next_step="run `footfall hub init` or `footfall collector init`, or restore its backup",
            ) from error

    @contextmanager
    def changing(self, now_s: float) -> Iterator[Books]:
        """Load, let the block change, write; nothing is written if it raises."""
        if not self.folder.is_dir():
            self.read()
        with locked(self.folder / ".lock"):
            books = self.read()
            yield books
            self.write(books, now_s)

    def refresh(self, now_s: float) -> bool:
        """Write the list of rights anew where it is not what the register and this release say; tell whether it was."""
        with locked(self.folder / ".lock"):
            books = self.read()
            if self.acl.exists() and self.acl.read_text("utf-8", "replace") == self._rights(books, now_s):
                return False
            self.write(books, now_s)
            return True

    def _rights(self, books: Books, now_s: float) -> str:
        return self.realm.rights([(one.identity, Role(one.role)) for one in books.authority.in_force(now_s)])

    def write(self, books: Books, now_s: float) -> None:
        """Write what changed, and what follows from it: the list of the revoked and the broker's list of rights."""
        made = books.authority.files(now_s)
        kept = {self.folder / name: made[name] for name in (CERTIFICATE, REGISTER, REVOKED)}
        kept[self.folder / CODES] = msgspec.json.format(msgspec.json.encode(current(books.codes, now_s)))
        write_files({**kept, **books.files, self.acl: self._rights(books, now_s).encode()}, private=True)
