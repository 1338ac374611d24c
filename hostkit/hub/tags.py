"""Tags of staff and technicians: a list in the hub's folder, for its owner alone. What they send counts nobody.

A tag's address is in that file and nowhere else: probes get, with a site key, what that key makes of it, and flag it.
What is flagged, or named so under a key that is held, is left out before anything is told apart, written or counted.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from hostkit.contract.messages import MOST_REGISTERED, Id
from hostkit.core.address import format_address, is_group, is_randomised, parse_address
from hostkit.core.ble import address_kind, check_registrable
from hostkit.core.pseudonym import SiteKey
from hostkit.core.wire import Batch, Flag
from hostkit.errors import ConfigError, InputError, UsageError
from hostkit.io.filelock import locked
from hostkit.io.files import stamp_of, write_files
from hostkit.io.memory import scrub
from hostkit.secret import read_secret

TAGS = "tags.json"
KEYS = 2  # held at a time: running and next
LOOK_S = 1.0  # between looks at the file
_SEE = "see: footfall hub tag list"


class TagRole(StrEnum):
    """Who carries it."""

    STAFF = "staff"
    TAG = "tag"  # a beacon to calibrate with


class Tag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registered tag. `repr` hides its address; `random`: it is a static random one, not its maker's."""

    name: Id
    role: TagRole
    address: Annotated[str, Meta(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")]
    random: bool = False

    @property
    def kind(self) -> str:
        """Give the kind of its address."""
        return address_kind(parse_address(self.address, where=self.name), is_random=self.random).name.lower()

    def __repr__(self) -> str:
        return f"Tag(name={self.name!r}, role={self.role!r})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tags: Annotated[tuple[Tag, ...], Meta(max_length=MOST_REGISTERED)]


def tag_of(name: str, role: TagRole, text: str, *, random: bool) -> Tag:
    """Make a tag of the address in `text`. InputError, without the address, for one that is none or will change."""
    where, step = f"address of {name}", "give its one address as aa:bb:cc:dd:ee:ff"
    lines = [line for row in text.splitlines() if (line := row.partition("#")[0].strip())]
    try:
        (line,) = lines
        address = parse_address(line, where=where)
    except (ValueError, InputError):
        raise InputError("is no address", where=where, next_step=step) from None
    if random:
        check_registrable(address, is_random=True, where=where)
    elif not any(address) or is_group(address):
        raise InputError("is nobody's own address", where=where, next_step=step)
    elif is_randomised(address):
        step = "if a scanner calls it static random, say --random; else register a tag or card that keeps its address"
        raise InputError("is randomised: it changes and cannot be registered", where=where, next_step=step)
    tag = Tag(name=name, role=role, address=format_address(address), random=random)
    try:
        return msgspec.convert(msgspec.to_builtins(tag), Tag)
    except msgspec.ValidationError as error:
        raise UsageError("is no name", where=ascii(name[:40]), next_step="use 1 to 32 of a-z, 0-9 and -") from error


def read_tags(data: Path) -> tuple[Tag, ...]:
    """Read the list in a hub's folder; ConfigError where it is damaged or others may read it."""
    path = data / TAGS
    if not path.exists():
        return ()
    try:
        return msgspec.json.decode(read_secret(path), type=_File).tags
    except msgspec.DecodeError as error:
        step = "register the tags anew (footfall hub tag add), after you removed it"
        raise ConfigError("is no list of tags", where=str(path), next_step=step) from error


def add_tag(data: Path, tag: Tag) -> None:
    """Register a tag. UsageError for a name or an address that is registered, and beyond MOST_REGISTERED."""
    with locked(_lock(data)):
        tags = read_tags(data)
        for one in tags:
            if one.name == tag.name:
                raise UsageError("is registered already", where=tag.name, next_step="choose another name, or remove it")
            if one.address == tag.address:
                raise UsageError(
                    f"is registered already, as {one.name}", where=f"address of {tag.name}", next_step=_SEE
                )
        if len(tags) >= MOST_REGISTERED:
            step = "remove one that is gone: footfall hub tag remove NAME"
            raise UsageError(f"{MOST_REGISTERED} tags are registered", where=str(data / TAGS), next_step=step)
        _write(data, (*tags, tag))


def remove_tag(data: Path, name: str) -> None:
    """Take a tag off the list; UsageError where there is none of this name."""
    with locked(_lock(data)):
        tags = read_tags(data)
        kept = tuple(one for one in tags if one.name != name)
        if len(kept) == len(tags):
            raise UsageError("there is no such tag", where=ascii(name[:40]), next_step=_SEE)
        _write(data, kept)


class Registry:
    """The list as a running hub knows it. `heard` counts what was left out for it."""

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self._data, self._say = data, say
        self._stamp: tuple[int, int, int] | None = None
        self._looked_s = float("-inf")
        self._tags: tuple[Tag, ...] = ()
        self._named: dict[int, NDArray[np.uint64]] = {}  # by key id
        self.heard = 0

    def look(self, now_s: float) -> bool:
        """Read the list if it changed; tell whether other tags are on it now. A bad one is told and the last kept."""
        if now_s < self._looked_s + LOOK_S:
            return False
        self._looked_s = now_s
        if (stamp := stamp_of(self._data / TAGS)) == self._stamp:
            return False
        self._stamp = stamp
        try:
            tags = read_tags(self._data)
        except ConfigError as error:
            self._say(f"{error}; the hub goes on with the tags it knows")
            return False
        changed, self._tags = tags != self._tags, tags
        if changed:
            self._named.clear()
            self._say(f"tags: {len(tags)} registered; what they send counts nobody")
        return changed

    def named(self, key_id: int, key: memoryview) -> NDArray[np.uint64]:
        """Give the device keys (T,) of the tags under a site key, made once a key."""
        if key_id not in self._named:
            if len(self._named) >= KEYS:
                self._named.clear()  # those of keys that are gone with them
            raw = bytes(key)
            site = SiteKey(raw=raw)
            addresses = [parse_address(tag.address, where=tag.name) for tag in self._tags]
            self._named[key_id] = np.array([site.pseudonym(address) for address in addresses], np.uint64)
            scrub(raw)
        return self._named[key_id]

    def without_tags(self, batch: Batch, key: memoryview | None) -> Batch:
        """Give the batch without what tags sent; `key` is the batch's, None once it is wiped."""
        theirs = (batch.records["flags"] & Flag.REGISTERED) != 0
        if key is not None and self._tags:  # a probe may not have the list yet
            theirs |= (batch.records["device_key"][:, None] == self.named(batch.key_id, key)).any(axis=1)
        if not theirs.any():
            return batch
        self.heard += int(np.count_nonzero(theirs))
        return replace(batch, records=batch.records[~theirs])


def _lock(data: Path) -> Path:
    if not data.is_dir():
        raise ConfigError("is no hub's folder", where=str(data), next_step="give the --data of `hub run`")
    return data / f".{TAGS}.lock"


def _write(data: Path, tags: tuple[Tag, ...]) -> None:
    write_files({data / TAGS: msgspec.json.format(msgspec.json.encode(_File(tags)))}, private=True)
