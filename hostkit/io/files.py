"""Result files, all or none: written beside their place and moved there. Refuses to leave half a file behind."""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from hostkit.errors import StorageError, UsageError

NEXT_STEPS = {
    errno.ENOSPC: "free some space or choose another place",
    errno.EDQUOT: "free some space or choose another place",
    errno.EACCES: "choose a place you may write to",
    errno.EPERM: "choose a place you may write to",
    errno.EROFS: "choose a place you may write to",
    errno.ENOENT: "make the directory first",
    errno.ENOTDIR: "a part of the path is a file, choose another place",
    errno.EISDIR: "give the name of a file",
}


def write_files(contents: Mapping[Path, bytes], *, private: bool = False) -> None:
    """Write every file, replacing what was there, and make the directories they need; `private`: for the owner alone.

    If one fails, nothing is replaced and StorageError names it. Devices and pipes are written to where they are.
    """
    staged: dict[Path, Path] = {}
    made: list[Path] = []
    path = Path()
    try:
        for path in contents:
            made += _make_directories(path.parent)
            if _replaceable(path):
                staged[path] = _stage(path, contents[path], private=private)
        for path in contents:
            if path not in staged:
                path.write_bytes(contents[path])
        while staged:
            path, temporary = staged.popitem()
            os.replace(temporary, path.resolve())
        made.clear()
    except OSError as error:
        raise storage_error(str(path), error) from error
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
        for directory in reversed(made):
            directory.rmdir()


def check_directory(path: Path) -> None:
    """Raise UsageError if something else than a directory is at `path`."""
    if path.exists() and not path.is_dir():
        raise UsageError("is a file, a directory is needed", where=str(path), next_step="choose another name")


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """Give what changes when a file is written or replaced; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def storage_error(where: str, error: OSError) -> StorageError:
    """Say what the operating system refused, and what to do about it."""
    step = NEXT_STEPS.get(error.errno or 0, "check the disk and the path")
    return StorageError(f"cannot be written ({error.strerror or error})", where=where, next_step=step)


def _make_directories(path: Path) -> list[Path]:
    missing = [directory for directory in (*reversed(path.parents), path) if not directory.exists()]
    for directory in missing:
        directory.mkdir(exist_ok=True)
    return missing


def _replaceable(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return stat.S_ISREG(mode)


def _stage(path: Path, content: bytes, *, private: bool) -> Path:
    """Write `content` to disk under a temporary name in the directory of `path`."""
    temporary = path.resolve().with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "xb", opener=_private_opener if private else None) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno != errno.EEXIST:
            temporary.unlink(missing_ok=True)
        raise
    return temporary


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
