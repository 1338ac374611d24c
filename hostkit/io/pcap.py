"""Capture files on disk, mapped into memory. Reads only."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostkit.core.dot11 import CaptureReader
from hostkit.errors import InputError


@contextmanager
def open_capture(path: Path, key: bytes) -> Iterator[CaptureReader]:
    """Give a CaptureReader over the file at `path`; InputError where it cannot be opened or is no capture."""
    try:
        with path.open("rb") as file:
            empty = not path.stat().st_size
            data = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", where=str(path), next_step=_next_step(error)) from error
    yield CaptureReader(data, key, name=str(path))


def _next_step(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "check the name"
    if isinstance(error, PermissionError):
        return "make it readable for this user"
    if isinstance(error, IsADirectoryError):
        return "name the capture files inside it"
    return "check the disk"
