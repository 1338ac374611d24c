"""A file of lines for the owner alone, each on disk before the next: a flat battery costs the last at most."""

import errno
import os
from pathlib import Path
from typing import Self

from hostkit.errors import InputError, StorageError

MAX_BYTES = 8_000_000  # a hundred probes at two hundred points, ten times over


class Journal:
    """Lines appended to a file, by one process at a time: the caller's affair. StorageError where the disk refuses.

    What a crash left of a last line is cut off when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        except OSError as error:
            raise _storage_error(path, error) from error
        try:
            self._end = _whole(_head_of(self._file))
            os.ftruncate(self._file, self._end)
        except OSError as error:
            os.close(self._file)
            raise _storage_error(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, line: bytes) -> None:
        """Add a line, which holds no line end, and wait until it is on the disk."""
        data = line + b"\n"
        if self._end + len(data) > MAX_BYTES:
            step = "end here; what is in it counts"
            raise StorageError(f"has {MAX_BYTES} bytes", where=str(self._path), next_step=step)
        try:
            os.lseek(self._file, self._end, os.SEEK_SET)
            if os.write(self._file, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise _storage_error(self._path, error) from error
        self._end += len(data)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


def read_lines(path: Path) -> list[bytes]:
    """Read every whole line. InputError where there is no such file or it is too long."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), next_step="check the path") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"is over {MAX_BYTES} bytes", where=str(path), next_step="give a file that calibrate kept")
    return data[: _whole(data)].splitlines()


def _head_of(file: int) -> bytes:
    parts = []
    while part := os.read(file, MAX_BYTES):
        parts.append(part)
    return b"".join(parts)


def _whole(data: bytes) -> int:
    """Bytes up to the last line end."""
    return data.rfind(b"\n") + 1


def _storage_error(path: Path, error: OSError) -> StorageError:
    what = f"cannot be written ({error.strerror or error})"
    return StorageError(what, where=str(path), next_step="free some space, or see to the folder's rights")
