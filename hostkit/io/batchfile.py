"""Files of batches (`.batches`): what a probe's spool or the simulator left. Refuses what the wire format refuses.

A file is the 8 bytes of MAGIC, then for each batch its length (u32, little-endian) and its bytes.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from hostkit.core.wire import MAX_BATCH_BYTES, Batch, decode_batch, encode_batch
from hostkit.errors import InputError, StorageError

MAGIC = b"FFBATCH1"
_LENGTH = struct.Struct("<I")


def write_batches(path: Path, batches: Iterable[Batch]) -> int:
    """Write `batches` to `path`, replacing it, and return how many; raises StorageError where the disk refuses."""
    count = 0
    try:
        with path.open("wb") as file:
            file.write(MAGIC)
            for batch in batches:
                packed = encode_batch(batch)
                file.write(_LENGTH.pack(len(packed)) + packed)
                count += 1
    except OSError as error:
        raise StorageError(
            f"cannot write: {error.strerror}", where=str(path), next_step="free space or choose another folder"
        ) from error
    return count


def read_batches(path: Path) -> Iterator[Batch]:
    """Read the batches of `path` one by one, holding one at a time; raises InputError with file and byte."""
    try:
        with path.open("rb") as file:
            yield from _read(file, str(path))
    except OSError as error:
        raise InputError(
            f"cannot read: {error.strerror}", where=str(path), next_step="check the name and your permission"
        ) from error


def _read(file: BinaryIO, name: str) -> Iterator[Batch]:
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise InputError(
            f"starts with {magic.hex() or 'nothing'}, not {MAGIC.hex()}",
            where=f"{name} at byte 0",
            next_step="give a .batches file",
        )
    at = len(MAGIC)
    while prefix := file.read(_LENGTH.size):
        length = _LENGTH.unpack(prefix)[0] if len(prefix) == _LENGTH.size else MAX_BATCH_BYTES
        if len(prefix) == _LENGTH.size and length > MAX_BATCH_BYTES:
            raise InputError(
                f"announces a batch of {length} bytes, at most {MAX_BATCH_BYTES}",
                where=f"{name} at byte {at}",
                next_step="the file is damaged from here; what came before is whole",
            )
        data = file.read(length)
        if len(prefix) < _LENGTH.size or len(data) < length:
            raise InputError(
                "ends inside a batch",
                where=f"{name} at byte {at + len(prefix) + len(data)}",
                next_step="copy the file again; what came before is whole",
            )
        yield decode_batch(data, origin=f"{name}, batch of byte {at + _LENGTH.size}")
        at += _LENGTH.size + length
