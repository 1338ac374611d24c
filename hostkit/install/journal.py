"""What has been done to each board, on disk: one JSON file a probe, replaced whole at every change. Keeps no secret."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from hostkit.errors import HostkitError, InputError
from hostkit.io.filelock import locked
from hostkit.io.files import storage_error, write_files

VERSION = 1
MAX_BYTES = 1 << 20


class State(StrEnum):
    """How far a step is. `RUNNING` read from disk means that the program was cut off in it."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a step failed: the three parts of an error, and its exit code."""

    where: str
    what: str
    next_step: str
    exit_code: int

    @classmethod
    def of(cls, error: HostkitError) -> "Trouble":
        """Take the parts of an error."""
        return cls(where=error.where, what=error.what, next_step=error.next_step, exit_code=error.exit_code)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.next_step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A step of one board. `inputs` is what it was done with; `facts` is what it found, for the steps after it."""

    step: str
    state: State
    inputs: str = ""
    at_s: float = 0.0
    seconds: float = 0.0
    trouble: Trouble | None = None
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    version: int
    probe: str
    steps: tuple[Entry, ...]


class Journal:
    """Entries by probe and step. Without a folder it forgets with the process. One thread a probe."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._entries: dict[str, dict[str, Entry]] = {}

    def path(self, probe: str) -> Path | None:
        """Give the file of a probe."""
        return self.folder / f"{probe}.json" if self.folder else None

    @contextmanager
    def locked(self, probes: Iterable[str]) -> Iterator[None]:
        """Keep other runs from these probes. StorageError says which run has one; the lock goes with its process."""
        with ExitStack() as held:
            for probe in probes if self.folder else ():
                held.enter_context(self._lock(probe))
                self._entries.pop(probe, None)  # the other run may have written since it was read
            yield

    def _lock(self, probe: str) -> AbstractContextManager[None]:
        assert self.folder
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(str(self.folder), error) from error
        who = f"another run (process {os.getpid()}, since {datetime.now():%H:%M:%S})"
        return locked(self.folder / f".{probe}.lock", who=who, wait_s=0.0)

    def entries(self, probe: str) -> Mapping[str, Entry]:
        """Give a probe's steps so far, by name. InputError if its file is no journal."""
        if probe not in self._entries:
            path = self.path(probe)
            self._entries[probe] = _read(path, probe) if path and path.exists() else {}
        return self._entries[probe]

    def put(self, probe: str, *changed: Entry) -> None:
        """Keep entries, in place of earlier ones of their steps. StorageError if the disk does not take them."""
        entries = {**self.entries(probe), **{entry.step: entry for entry in changed}}
        path = self.path(probe)
        if path:
            page = _Page(version=VERSION, probe=probe, steps=tuple(entries.values()))
            write_files({path: msgspec.json.format(msgspec.json.encode(page)) + b"\n"})
        self._entries[probe] = entries

    def forget(self, probe: str) -> None:
        """Begin a probe anew; its file is replaced at the next `put`."""
        self._entries[probe] = {}


def _read(path: Path, probe: str) -> dict[str, Entry]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too long")
        page = msgspec.json.decode(path.read_bytes(), type=_Page)
        if page.version != VERSION or page.probe != probe:
            raise ValueError("of another version or probe")
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise InputError(
            f"is no journal of {probe} ({str(error)[:80]})",
            where=str(path),
            next_step="delete the file to begin this board anew",
        ) from error
    return {entry.step: entry for entry in page.steps}
