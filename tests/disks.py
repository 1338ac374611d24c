"""A small disk of its own, to be filled; only root can mount it, and with CI=true it must be there."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import CI


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount one of `size` (as tmpfs has it: "16k", "12m") at a new folder."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = f"a disk of its own cannot be mounted: {done.stderr.strip()}"
        pytest.fail(message) if CI else pytest.skip(message)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> Path:
    """Leave so many bytes free on the disk of a folder; give the file that takes the rest."""
    filler = folder / "filler"
    free = os.statvfs(folder)
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - leave)))
    return filler
