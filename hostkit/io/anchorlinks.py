"""What probes heard of each other's beacons, night by night: `calibration/links-<day>.json` beside site.toml.

One file a night, and `calibration/links-reference.json`: the night that the calibration in force was made of. The hub
writes the nights, `footfall calibrate anchors` the reference. Computes no figure.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, field

from hostkit.errors import InputError, StorageError

FOLDER = "calibration"  # as in calibrations.py
REFERENCE = "reference"
MAX_NIGHTS = 400  # kept; older ones go
MAX_BYTES = 1_000_000  # 32 probes have 992 links
_DAY = r"^\d{4}-\d{2}-\d{2}$"

Id = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}$")]  # model.ID_PATTERN
Dbm = Annotated[float, Meta(ge=-128, le=0)]


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beacons of `sender` as `receiver` heard them: how many frames, median and median absolute deviation."""

    sender: Id = field(name="from")
    receiver: Id = field(name="to")
    n: Annotated[int, Meta(ge=1)]
    median_dbm: Dbm
    mad_db: Annotated[float, Meta(ge=0, le=128)]


class Anchor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a probe that took part stood that night: x, y, height in metres on `floor`."""

    id: Id
    floor: str
    position_m: tuple[float, float, float]


class LinksRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One night. `day` is the site-local day it ended on, `at_s` when (Unix seconds); `probes` sent, links or not."""

    day: Annotated[str, Meta(pattern=_DAY)]
    at_s: float
    probes: Annotated[tuple[Anchor, ...], Meta(max_length=32)]
    links: Annotated[tuple[Link, ...], Meta(max_length=992)]


_DECODER = msgspec.json.Decoder(LinksRecord)


def read_links(site_path: Path) -> tuple[LinksRecord, ...]:
    """Read every night that is kept, oldest first. InputError for a file that is none, StorageError."""
    return tuple(_read(path) for path in _nights(site_path)[-MAX_NIGHTS:])


def read_reference(site_path: Path) -> LinksRecord | None:
    """Read the night that the calibration in force was made of; None while there is none."""
    path = _path(site_path, REFERENCE)
    return _read(path) if path.exists() else None


def night_file(site_path: Path, record: LinksRecord) -> tuple[Path, bytes]:
    """Where a night belongs and what to write there."""
    return _path(site_path, record.day), _encoded(record)


def reference_file(site_path: Path, record: LinksRecord) -> tuple[Path, bytes]:
    """Where the reference belongs and what to write there, together with the site.toml that is made of it."""
    return _path(site_path, REFERENCE), _encoded(record)


def forget_old(site_path: Path) -> None:
    """Delete the nights beyond the newest MAX_NIGHTS."""
    for path in _nights(site_path)[:-MAX_NIGHTS]:
        path.unlink(missing_ok=True)


def _nights(site_path: Path) -> list[Path]:
    return sorted((site_path.parent / FOLDER).glob("links-[0-9]*.json"))


def _path(site_path: Path, name: str) -> Path:
    return site_path.parent / FOLDER / f"links-{name}.json"


def _encoded(record: LinksRecord) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record), indent=2)


def _read(path: Path) -> LinksRecord:
    try:
        with path.open("rb") as file:
            return _DECODER.decode(file.read(MAX_BYTES))
    except msgspec.DecodeError as error:
        step = "move it out of the folder"
        raise InputError(f"is no night of links ({error})", where=str(path), next_step=step) from error
    except OSError as error:
        step = "check the file and its rights"
        raise StorageError(f"cannot be read ({error.strerror})", where=str(path), next_step=step) from error
