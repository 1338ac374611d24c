"""Capture files as read-only mapped bytes. Refuses what is not a regular file; knows nothing of what is inside."""

import errno
import mmap
import os
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from hostkit.errors import InputError, StorageError


class CaptureFile:
    """A mapped file. `release` gives pages that were read back, so that memory does not grow with the file."""

    __slots__ = ("_released", "data")

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data  # closed with its last reader: a mapping cannot be closed under one
        self._released = 0

    def release(self, position: int) -> None:
        """Drop whole pages before `position` from memory; they can still be read again."""
        end = position - position % mmap.PAGESIZE
        if end > self._released:
            self.data.madvise(mmap.MADV_DONTNEED, self._released, end - self._released)
            self._released = end


def open_capture(path: Path) -> CaptureFile:
    """Map the capture at `path` for reading. Raises InputError or StorageError that name the next step."""
    try:
        with path.open("rb") as file:
            _check(path, os.fstat(file.fileno()))
            return CaptureFile(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise _explain(path, error) from error


def capture_size(path: Path) -> int:
    """Bytes of the capture at `path`. Raises InputError if it is not there or no file."""
    try:
        status = path.stat()
    except OSError as error:
        raise _explain(path, error) from error
    _check(path, status)
    return status.st_size


def _check(path: Path, status: os.stat_result) -> None:
    where = str(path)
    if S_ISDIR(status.st_mode):
        raise InputError("is a directory", where=where, next_step="name the capture files in it")
    if not S_ISREG(status.st_mode):
        raise InputError("is not a regular file", where=where, next_step="save the capture to a file first")
    if status.st_size == 0:
        raise InputError("is empty", where=where, next_step="capture anew, the program that wrote it saved nothing")


def _explain(path: Path, error: OSError) -> InputError | StorageError:
    where = str(path)
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return InputError("no such file", where=where, next_step="check the path")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return StorageError("may not be read", where=where, next_step="give yourself the right to read it")
    return StorageError(f"cannot be read ({error.strerror})", where=where, next_step="check the path and the disk")
