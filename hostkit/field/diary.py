"""What a live calibration gathers, kept as it comes: after a crash the same command goes on. Holds no address, no key.

`calibration/<kind>-live.jsonl` beside site.toml: a line of what is to be stood on, then one for each stand or undo.
Once it is in the book the file bears the calibration's name; `--from` reads it like any table.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from hostkit.errors import InputError
from hostkit.field.courses import Course, Head, Taken
from hostkit.field.hearing import Level
from hostkit.io.calibrations import FOLDER
from hostkit.io.filelock import locked
from hostkit.io.files import storage_error
from hostkit.io.journal import Journal, read_lines

SUFFIX = ".jsonl"
MOST_PARTS = 10
Dbm = Annotated[float, Meta(ge=-128, le=20)]
Heard = tuple[Annotated[int, Meta(ge=0, le=1_000_000)], Dbm | None]  # frames, level


class Stood(msgspec.Struct, frozen=True, kw_only=True, tag="stand", forbid_unknown_fields=True):
    """What was heard at a stand: for each part, for each of its probes."""

    number: Annotated[int, Meta(ge=0)]
    levels: Annotated[tuple[tuple[Heard, ...], ...], Meta(min_length=1, max_length=MOST_PARTS)]


class Undone(msgspec.Struct, frozen=True, kw_only=True, tag="undo", forbid_unknown_fields=True):
    """The stand before was taken out again."""


L = TypeVar("L")
_LINE = msgspec.json.Decoder(Stood | Undone)
_HEAD = msgspec.json.Decoder(Head)


class Diary:
    """A file of a session that is under way; `taken` is what an earlier run left in it."""

    def __init__(self, path: Path, journal: Journal, taken: tuple[Taken, ...]) -> None:
        self.path, self.taken = path, taken
        self._journal = journal

    def take(self, one: Taken) -> None:
        """Keep a stand. StorageError where the disk refuses."""
        levels = tuple(tuple((level.frames, level.rssi_dbm) for level in part) for part in one.levels)
        self._journal.append(msgspec.json.encode(Stood(number=one.stand, levels=levels)))

    def undo(self) -> None:
        """Keep that the last stand was taken out again."""
        self._journal.append(msgspec.json.encode(Undone()))


def live_path(site_path: Path, kind: str) -> Path:
    """Where a session of a kind is kept while it is under way."""
    return site_path.parent / FOLDER / f"{kind}-live{SUFFIX}"


def is_diary(path: Path) -> bool:
    """Whether a file that `--from` names was kept by a live session."""
    return path.suffix == SUFFIX


@contextmanager
def diary(site_path: Path, course: Course) -> Iterator[Diary]:
    """Open the session's file, or go on with it. InputError where it is of another plan or other points."""
    path = live_path(site_path, course.kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        taken: tuple[Taken, ...] = ()
        lines = read_lines(path) if path.exists() else []
        if len(lines) > 1:
            if read_head(path, lines) != course.head:
                step = f"finish it with --from {path}, or remove it"
                raise InputError("a session of other points or probes is in it", where=str(path), next_step=step)
            taken = taken_of(path, lines, course)
        else:  # nothing was heard yet
            path.unlink(missing_ok=True)
        with Journal(path) as journal:
            if not path.stat().st_size:
                journal.append(msgspec.json.encode(course.head))
            yield Diary(path, journal, taken)


def read_head(path: Path, lines: Sequence[bytes]) -> Head:
    """Read what a session's stands are. InputError for a file that is no session's."""
    return line_of(path, 1, lines[0] if lines else b"", _HEAD)


def taken_of(path: Path, lines: Sequence[bytes], course: Course) -> tuple[Taken, ...]:
    """Read the stands of a session. InputError names the line that is none of the course."""
    taken: list[Taken] = []
    for number, line in enumerate(lines[1:], start=2):
        one = line_of(path, number, line, _LINE)
        if isinstance(one, Undone):
            del taken[-1:]
            continue
        known = one.number < len(course.stands) and len(one.levels) == course.parts
        if not known or any(len(part) != len(course.stands[one.number].probes) for part in one.levels):
            step = "finish with the site.toml it was begun with, or remove the line"
            raise InputError("is of other probes or points", where=f"{path}: line {number}", next_step=step)
        levels = tuple(tuple(Level(frames=n, rssi_dbm=dbm) for n, dbm in part) for part in one.levels)
        taken.append(Taken(stand=one.number, levels=levels))
    return tuple(taken)


def line_of(path: Path, number: int, line: bytes, decoder: msgspec.json.Decoder[L]) -> L:
    """Read a line. InputError names it."""
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        where, step = f"{path}: line {number}", "remove the line, or the file to begin anew"
        raise InputError(f"is none that a session kept ({error})", where=where, next_step=step) from error


def close_under(path: Path, name: str) -> Path:
    """Give a session's file the name of the calibration it became. StorageError."""
    kept = path.with_name(f"{name}{SUFFIX}")
    try:
        path.rename(kept)
        path.with_suffix(".lock").unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(str(path), error) from error
    return kept
