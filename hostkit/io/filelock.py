"""One writer at a time among processes of this machine, by a lock on a file. Waits a little, then says who."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hostkit.errors import StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

WAIT_S = 10.0
_POLL_S = 0.02
_MAX_WHO = 200  # bytes
_BEHIND = 1 << 20


@contextmanager
def locked(path: Path, *, who: str = "", wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold `path`'s lock; it goes with the process, however that ends. StorageError after `wait_s` or without right.

    `who` is told to others that want it meanwhile.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        step = "free some space" if error.errno == errno.ENOSPC else "run as the user the folder belongs to"
        raise StorageError(f"cannot be opened ({error.strerror})", where=str(path), next_step=step) from error
    try:
        _acquire(descriptor, path, wait_s)
        _write(descriptor, who)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, wait_s: float) -> None:
    give_up = time.monotonic() + wait_s
    while True:
        try:
            _try(descriptor)
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() > give_up:
                what = f"is held by {_read(descriptor) or 'another process'}"
                raise StorageError(what, where=str(path), next_step="wait for it, or end it") from error
            time.sleep(_POLL_S)
        else:
            return


def _write(descriptor: int, who: str) -> None:
    """Write who has it; that a full disk does not take it is no harm."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, who.encode()[:_MAX_WHO])


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    said = os.read(descriptor, _MAX_WHO).decode("utf-8", "replace")
    return "".join(char for char in said if char.isprintable())


def _try(descriptor: int) -> None:
    """Take the lock or raise: BlockingIOError on POSIX, PermissionError on Windows. Closing the file gives it back."""
    if sys.platform == "win32":
        os.lseek(descriptor, _BEHIND, os.SEEK_SET)  # what is locked there cannot be read either
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
