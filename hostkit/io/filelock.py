"""One writer at a time among processes of this machine, by a lock on a file. Waits a little, then says who."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostkit.errors import StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

WAIT_S = 10.0
_POLL_S = 0.02


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path`'s lock; it goes with the process, however that ends. StorageError after `WAIT_S` or without right."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot be opened ({error.strerror})", where=str(path), next_step="run as the user the folder belongs to"
        ) from error
    try:
        _acquire(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path) -> None:
    give_up = time.monotonic() + WAIT_S
    while True:
        try:
            _try(descriptor)
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() > give_up:
                raise StorageError(
                    "is held by another process", where=str(path), next_step="wait for it, or end it"
                ) from error
            time.sleep(_POLL_S)
        else:
            return


def _try(descriptor: int) -> None:
    """Take the lock or raise: BlockingIOError on POSIX, PermissionError on Windows. Closing the file gives it back."""
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
