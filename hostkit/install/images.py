"""Images for probes: a release folder in ESP Web Tools' format, held against its SHA-256, and what goes where.

Images come from outside: every length is bounded, every checksum tried. Layout: ESP-IDF, "Partition Tables".
"""

import hashlib
import itertools
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hostkit.errors import InputError
from hostkit.install.chips import BY_IMAGE, CHIPS, Chip

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_IMAGE_BYTES = 16 << 20
TABLE_OFFSET, TABLE_BYTES = 0x8000, 0xC00
SECTOR_BYTES = 0x1000
_FETCH = "fetch the release again"
_MAGIC, _HEADER_BYTES, _MAX_SEGMENTS = 0xE9, 24, 16
_CHECKSUM_SEED = 0xEF
_NAME = re.compile(r"[\w.-]{1,128}")
_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC = b"\xaa\x50"
_DATA, _OTADATA = 1, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes and where they go."""

    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """Give the first byte behind it."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The image of one chip; `digest` names its contents."""

    chip: Chip
    version: str
    parts: tuple[Part, ...]
    digest: str

    @property
    def end(self) -> int:
        """Give the flash it needs, its partitions included."""
        table = self.table()
        return max([part.end for part in self.parts] + [one.end for one in table])

    def table(self) -> tuple["Partition", ...]:
        """Give its partitions; none where it brings no table."""
        for part in self.parts:
            if part.offset <= TABLE_OFFSET < part.end:
                return read_table(part.data[TABLE_OFFSET - part.offset :][:TABLE_BYTES])
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A line of a partition table."""

    label: str
    kind: int
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Give the first byte behind it."""
        return self.offset + self.size

    @property
    def kept(self) -> bool:
        """Tell whether an update must not touch it: everything that is data, but for which slot boots."""
        return self.kind == _DATA and self.subtype != _OTADATA


class _Part(msgspec.Struct):
    path: str
    offset: int
    sha256: str


class _Build(msgspec.Struct):
    chipFamily: str  # noqa: N815 - ESP Web Tools' word
    parts: list[_Part]


class _Manifest(msgspec.Struct):
    name: str
    version: str
    builds: list[_Build]


def load_catalogue(folder: Path) -> dict[str, Build]:
    """Read a release: build by chip family, every image whole and for the chip it is listed under.

    InputError names the file and what is wrong: no or a broken manifest, a file that is missing, cut short or changed,
    an image for another chip.
    """
    path = folder / MANIFEST
    try:
        raw = _read(path, MAX_MANIFEST_BYTES)
        manifest = msgspec.json.decode(raw, type=_Manifest)
    except msgspec.MsgspecError as error:
        raise InputError(f"is no catalogue ({str(error)[:100]})", where=str(path), next_step=_FETCH) from error
    builds: dict[str, Build] = {}
    for build in manifest.builds:
        if build.chipFamily not in CHIPS or build.chipFamily in builds or not build.parts:
            what = f"build for {build.chipFamily[:20]!r} is unknown, twice there or empty"
            raise InputError(what, where=str(path), next_step=_FETCH)
        builds[build.chipFamily] = _load(folder, manifest.version[:40], build)
    if not builds:
        raise InputError("lists no image", where=str(path), next_step=_FETCH)
    return builds


def _load(folder: Path, version: str, listed: _Build) -> Build:
    chip = CHIPS[listed.chipFamily]
    parts = []
    for part in listed.parts:
        path = folder / part.path
        if not _NAME.fullmatch(part.path) or not 0 <= part.offset < MAX_IMAGE_BYTES or part.offset % SECTOR_BYTES:
            raise InputError(
                f"part {part.path[:40]!r} at {part.offset} is not possible",
                where=str(folder / MANIFEST),
                next_step=_FETCH,
            )
        data = _read(path, MAX_IMAGE_BYTES)
        if hashlib.sha256(data).hexdigest() != part.sha256.lower():
            what = f"its {len(data):,} bytes are not those of the catalogue (cut short or changed)"
            raise InputError(what, where=str(path), next_step=_FETCH)
        if part.offset == chip.boot_offset:
            check_image(data, chip, str(path))
        parts.append(Part(offset=part.offset, data=data))
    parts.sort(key=lambda one: one.offset)
    if any(first.end > second.offset for first, second in itertools.pairwise(parts)):
        raise InputError(f"parts of {chip.family} overlap", where=str(folder / MANIFEST), next_step=_FETCH)
    if parts[0].offset != chip.boot_offset:
        what = f"no part of {chip.family} at {chip.boot_offset:#x}, where its boot loader begins"
        raise InputError(what, where=str(folder / MANIFEST), next_step=_FETCH)
    digest = hashlib.sha256(b"".join(struct.pack("<I", one.offset) + one.data for one in parts)).hexdigest()
    return Build(chip=chip, version=version, parts=tuple(parts), digest=digest)


def check_image(data: bytes, chip: Chip, where: str) -> None:
    """Walk an image: magic, chip, segments, checksum, hash. InputError says which is wrong."""
    if len(data) < _HEADER_BYTES or data[0] != _MAGIC:
        raise InputError("is no image of an ESP32", where=where, next_step=_FETCH)
    owner = BY_IMAGE.get(int.from_bytes(data[12:14], "little"))
    if owner is not chip:
        what = f"is for {owner.family if owner else 'an unknown chip'}, not for {chip.family}"
        raise InputError(what, where=where, next_step="take the image of the chip, or " + _FETCH)
    at, checksum = _HEADER_BYTES, _CHECKSUM_SEED
    for _ in range(min(data[1], _MAX_SEGMENTS)):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        segment = data[at + 8 : at + 8 + size]
        if len(segment) < size or not data[at + 4 : at + 8]:
            raise InputError("is cut short in a segment", where=where, next_step=_FETCH)
        checksum ^= _folded(segment)
        at += 8 + size
    at += 16 - at % 16  # the checksum is the last byte of a row of 16
    wrong = data[at - 1 : at] != bytes([checksum])
    if data[23] == 1:
        wrong |= data[at : at + 32] != hashlib.sha256(data[:at]).digest()
    if wrong:
        raise InputError("its checksum is wrong", where=where, next_step=_FETCH)


def _folded(data: bytes) -> int:
    """XOR of all bytes."""
    wide = int.from_bytes(data, "little")
    bits = 8 << max(len(data) - 1, 0).bit_length()
    while bits > 8:
        bits //= 2
        wide = (wide >> bits) ^ (wide & ((1 << bits) - 1))
    return wide


def read_table(data: bytes) -> tuple[Partition, ...]:
    """Read a partition table; empty where there is none."""
    table = []
    for at in range(0, len(data) - _ENTRY.size + 1, _ENTRY.size):
        magic, kind, subtype, offset, size, label, _ = _ENTRY.unpack_from(data, at)
        if magic != _ENTRY_MAGIC:
            break
        text = "".join(char if char.isprintable() else "?" for char in label.rstrip(b"\0").decode("ascii", "replace"))
        table.append(Partition(label=text, kind=kind, subtype=subtype, offset=offset, size=size))
    return tuple(table)


def parts_for_update(build: Build) -> tuple[Part, ...]:
    """Give what an update writes: the image without the partitions that hold data, and a slot choice that is blank."""
    table = build.table()
    parts = [
        Part(offset=start, data=part.data[start - part.offset : end - part.offset])
        for part in build.parts
        for start, end in _outside(part.offset, part.end, [(one.offset, one.end) for one in table if one.kind == _DATA])
    ]
    blank = [Part(offset=one.offset, data=b"\xff" * one.size) for one in table if one.kind == _DATA and not one.kept]
    return tuple(sorted(parts + blank, key=lambda part: part.offset))


def _outside(start: int, end: int, holes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    left = []
    for low, high in sorted(holes):
        if low >= end or high <= start:
            continue
        if low > start:
            left.append((start, low))
        start = high
    return [*left, (start, end)] if start < end else left


def _read(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise InputError(f"is over {limit:,} bytes", where=str(path), next_step=_FETCH)
        return path.read_bytes()
    except OSError as error:
        step = "name a release folder (scripts/release makes one)" if path.name == MANIFEST else _FETCH
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), next_step=step) from error
