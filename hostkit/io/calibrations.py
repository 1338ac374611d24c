"""The reference counts of a site: one JSON file each in `calibration/` beside its site.toml. Computes no figure."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hostkit.errors import InputError, StorageError, UsageError

FOLDER = "calibration"
MAX_FILES = 10_000
MAX_BYTES = 1_000_000  # as of a site.toml

Positive = Annotated[float, Meta(gt=0)]


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What site.toml said before a count was taken in."""

    median: Positive
    log_sd: Annotated[float, Meta(ge=0)]
    reference_counts: Annotated[int, Meta(ge=0)]


class CountRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reference count. `kind` door: who passed the door; inside: how many were there."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,48}$")]
    kind: Literal["door", "inside"]
    from_s: float
    to_s: float
    people: Positive
    devices: Positive
    log_ratio: float
    variance: Annotated[float, Meta(ge=0)]
    source: str
    before: Before
    undone: bool = False


_DECODER = msgspec.json.Decoder(CountRecord)


def read_counts(site_path: Path) -> tuple[CountRecord, ...]:
    """Read every count of the site, oldest first. Raises InputError for a file that is none, or StorageError."""
    folder = site_path.parent / FOLDER
    paths = sorted(folder.glob("count-*.json"))
    if len(paths) > MAX_FILES:
        raise InputError(f"holds over {MAX_FILES} counts", where=str(folder), next_step="move the old ones away")
    records = [_read(path) for path in paths]
    return tuple(sorted(records, key=lambda record: (record.from_s, record.id)))


def encoded(site_path: Path, record: CountRecord) -> tuple[Path, bytes]:
    """Where a count belongs and what to write there."""
    body = msgspec.json.format(msgspec.json.encode(record), indent=2)
    return site_path.parent / FOLDER / f"{record.id}.json", body


def free_id(wanted: str, records: tuple[CountRecord, ...]) -> str:
    """Give `wanted`, or it with the next number that is free."""
    taken = {record.id for record in records}
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(one for one in numbered if one not in taken)


def find(id_: str, records: tuple[CountRecord, ...]) -> CountRecord:
    """Give the count of this id; UsageError if there is none."""
    for record in records:
        if record.id == id_:
            return record
    known = f"one of {', '.join(r.id for r in records[-5:])}" if records else "count first: footfall calibrate count"
    raise UsageError("there is no such count", where=ascii(id_), next_step=f"give {known}" if records else known)


def _read(path: Path) -> CountRecord:
    try:
        record = _DECODER.decode(_bytes(path))
    except msgspec.DecodeError as error:
        raise InputError(f"is no count ({error})", where=str(path), next_step="move it out of the folder") from error
    if record.id != path.stem:
        raise InputError(f"holds the count {record.id}", where=str(path), next_step="give the file its own name back")
    return record


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        step = "check the file and its rights"
        raise StorageError(f"cannot be read ({error.strerror})", where=str(path), next_step=step) from error
