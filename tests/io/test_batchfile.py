"""Files of batches: what is written is read, what is damaged is named with file and byte."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.core.wire import MAX_BATCH_BYTES, decode_batch, encode_batch
from hostkit.errors import InputError, StorageError
from hostkit.io.batchfile import read_batches, write_batches

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "wire" / "batches.json").read_text("utf-8"))
BATCHES = [decode_batch(bytes.fromhex(vector["hex"])) for vector in VECTORS]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool.batches"
    assert write_batches(path, BATCHES) == len(BATCHES)
    return path


def test_batches_come_back_in_order(spool: Path) -> None:
    assert [encode_batch(batch) for batch in read_batches(spool)] == [encode_batch(batch) for batch in BATCHES]


def test_no_batches_are_a_file_too(tmp_path: Path) -> None:
    assert write_batches(tmp_path / "x.batches", []) == 0
    assert list(read_batches(tmp_path / "x.batches")) == []


def test_a_file_cut_anywhere_gives_its_whole_batches_and_says_where_it_ends(spool: Path) -> None:
    whole = spool.read_bytes()
    starts = [8]
    for batch in BATCHES:
        starts.append(starts[-1] + 4 + len(encode_batch(batch)))
    for size in range(8, len(whole)):
        spool.write_bytes(whole[:size])
        got = []
        if size in starts:
            assert len(list(read_batches(spool))) == starts.index(size)
            continue
        with pytest.raises(InputError) as caught:
            got.extend(batch.seq for batch in read_batches(spool))
        assert str(caught.value) == (
            f"{spool} at byte {size}: ends inside a batch; copy the file again; what came before is whole"
        )


def _flip(data: bytes) -> bytes:
    return data[:60] + bytes([data[60] ^ 1]) + data[61:]


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda data: b"", " at byte 0: starts with nothing, not 4646424154434831; give a .batches file"),
        (
            lambda data: b"PK" + data,
            " at byte 0: starts with 504b464642415443, not 4646424154434831; give a .batches file",
        ),
        (
            lambda data: data[:8] + struct.pack("<I", MAX_BATCH_BYTES + 1) + data[12:],
            f" at byte 8: announces a batch of {MAX_BATCH_BYTES + 1} bytes, at most {MAX_BATCH_BYTES}; "
            "the file is damaged from here; what came before is whole",
        ),
        (
            _flip,
            ", batch of byte 12 at byte 94: CRC-32 does not match; "
            "discard it; the probe keeps it until it is acknowledged",
        ),
    ],
    ids=["empty", "other", "length", "bit"],
)
def test_damage_is_named(spool: Path, damage: Callable[[bytes], bytes], line: str) -> None:
    spool.write_bytes(damage(spool.read_bytes()))
    with pytest.raises(InputError) as caught:
        list(read_batches(spool))
    assert str(caught.value) == f"{spool}{line}"


def test_what_the_disk_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError) as missing:
        list(read_batches(tmp_path / "none.batches"))
    assert str(missing.value) == (
        f"{tmp_path}/none.batches: cannot read: No such file or directory; check the name and your permission"
    )
    with pytest.raises(StorageError) as full:
        write_batches(Path("/dev/full"), BATCHES)
    assert str(full.value) == ("/dev/full: cannot write: No space left on device; free space or choose another folder")
