"""The calibrations of a site: one JSON file each in `calibration/` beside its site.toml. Computes no figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from hostkit.errors import InputError, StorageError, UsageError

FOLDER = "calibration"
MAX_FILES = 10_000
MAX_BYTES = 1_000_000  # as of a site.toml

Positive = Annotated[float, Meta(gt=0)]
CalibId = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,48}$")]


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What site.toml said before a count was taken in."""

    median: Positive
    log_sd: Annotated[float, Meta(ge=0)]
    reference_counts: Annotated[int, Meta(ge=0)]


class CountRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reference count. `kind` door: who passed the door; inside: how many were there; `applied`: to site.toml."""

    id: CalibId
    kind: Literal["door", "inside"]
    from_s: float
    to_s: float
    people: Positive
    devices: Positive
    log_ratio: float
    variance: Annotated[float, Meta(ge=0)]
    source: str
    before: Before
    applied: bool = True
    undone: bool = False

    @property
    def in_force(self) -> bool:
        """Whether site.toml rests on it."""
        return self.applied and not self.undone


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A number of site.toml that a calibration set: `path_loss.exponent`, `rings.inside_dbm`, `probes.ID.offset_db`."""

    key: Annotated[str, Meta(pattern=r"^[a-z0-9_]+(\.[a-z0-9-]{1,32})?\.[a-z0-9_]+$")]
    before: float
    after: float


class FieldRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One calibration of radio by a technician. Errors are of held-out readings; no `changes`: not applied."""

    id: CalibId
    kind: Literal["link", "anchors", "walk", "zones"]
    at_s: float
    source: str
    unit: Literal["m", "dB", "wrong"]
    before: Annotated[float, Meta(ge=0)]
    after: Annotated[float, Meta(ge=0)]
    naive: Annotated[float, Meta(ge=0)] | None
    passed: bool
    changes: Annotated[tuple[Change, ...], Meta(max_length=1000)] = ()
    undone: bool = False


FIRST = "calibrate first: footfall calibrate --help"
FIELD_KINDS = ("link", "anchors", "walk", "zones")
_COUNT = msgspec.json.Decoder(CountRecord)
_FIELD = msgspec.json.Decoder(FieldRecord)
Record = CountRecord | FieldRecord
R = TypeVar("R", bound=Record)


def read_counts(site_path: Path) -> tuple[CountRecord, ...]:
    """Read every count of the site, oldest first. Raises InputError for a file that is none, or StorageError."""
    records = _read_all(site_path, ("count",), _COUNT)
    return tuple(sorted(records, key=lambda record: (record.from_s, record.id)))


def read_field(site_path: Path) -> tuple[FieldRecord, ...]:
    """Read every calibration of radio, oldest first. Raises InputError for a file that is none, or StorageError."""
    records = _read_all(site_path, FIELD_KINDS, _FIELD)
    return tuple(sorted(records, key=lambda record: (record.at_s, record.id)))


def encoded(site_path: Path, record: Record) -> tuple[Path, bytes]:
    """Where a calibration belongs and what to write there."""
    body = msgspec.json.format(msgspec.json.encode(record), indent=2)
    return site_path.parent / FOLDER / f"{record.id}.json", body


def free_id(wanted: str, records: Sequence[Record]) -> str:
    """Give `wanted`, or it with the next number that is free."""
    taken = {record.id for record in records}
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return wanted if wanted not in taken else next(one for one in numbered if one not in taken)


def in_force(site_path: Path) -> str | None:
    """Give the id of the newest calibration that site.toml rests on; None for none, and where one cannot be read."""
    try:
        counts = [(one.to_s, one.id) for one in read_counts(site_path) if one.in_force]
        field = [(one.at_s, one.id) for one in read_field(site_path) if one.changes and not one.undone]
    except (InputError, StorageError):
        return None
    return max((*counts, *field), default=(0.0, None))[1]


def find(id_: str, records: Sequence[R]) -> R:
    """Give the calibration of this id; UsageError if there is none."""
    for record in records:
        if record.id == id_:
            return record
    known = f"one of {', '.join(r.id for r in records[-5:])}" if records else FIRST
    raise UsageError("there is no such calibration", where=ascii(id_), next_step=f"give {known}" if records else known)


def _read_all(site_path: Path, kinds: Sequence[str], decoder: msgspec.json.Decoder[R]) -> list[R]:
    folder = site_path.parent / FOLDER
    paths = sorted(path for kind in kinds for path in folder.glob(f"{kind}-*.json"))
    if len(paths) > MAX_FILES:
        raise InputError(f"holds over {MAX_FILES} of them", where=str(folder), next_step="move the old ones away")
    return [_read(path, decoder) for path in paths]


def _read(path: Path, decoder: msgspec.json.Decoder[R]) -> R:
    try:
        record = decoder.decode(_bytes(path))
    except msgspec.DecodeError as error:
        step = "move it out of the folder"
        raise InputError(f"is no calibration ({error})", where=str(path), next_step=step) from error
    if record.id != path.stem:
        raise InputError(f"holds {record.id}", where=str(path), next_step="give the file its own name back")
    return record


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        step = "check the file and its rights"
        raise StorageError(f"cannot be read ({error.strerror})", where=str(path), next_step=step) from error
