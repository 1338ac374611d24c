"""ble.c as the probe compiles it: warnings, sanitizers over damaged PDUs, and the paths a 64-bit hub never takes."""

import random
import subprocess
from pathlib import Path

import pytest

from hostkit.core import _ble
from hostkit.core.ble import SHAPE_VERSION
from tests import ble_builders as b
from tests.builders import KEY
from tests.core.test_dot11_native import CEXT, PORTABLE, SANITIZERS, STRICT

DRIVER = Path(__file__).with_name("ble_driver.c")
SEED = 20240301
FIELDS = ("element_mask", "flags", "element_count", "company", "service", "tx_dbm", "address", "pdu")


def random_pdu(rng: random.Random) -> bytes:
    """Any kind, AD of every class, then often damaged."""
    kinds = [1, 2, 3, 5, 7, 9, 0x0A, 0x16, 0x16, 0x20, 0x21, 0x30, 0xFF, 0xFF, rng.randrange(256)]
    heads = [b"\x4c\0\x02\x15", b"\x4c\0\x10\x05", b"\xaa\xfe\x00", b"\xaa\xfe\x20", b"\x06\0", b""]
    ad = b"".join(
        b.structure(rng.choice(kinds), rng.choice(heads) + rng.randbytes(rng.randrange(24)))
        for _ in range(rng.randrange(5))
    )
    if rng.random() < 0.2:
        fields = {bit: rng.randbytes(size) for bit, size in enumerate((6, 6, 1, 2, 3, 18, 1)) if rng.random() < 0.6}
        pdu = bytearray(b.extended(ad, fields=fields, cut=rng.choice([0, 0, 1, 5])))
    else:
        pdu = bytearray(b.advert(ad, address=rng.randbytes(6), is_random=rng.random() < 0.7, kind=rng.randrange(9)))
    for _ in range(rng.choice([0, 0, 1, 3])):
        pdu[rng.randrange(len(pdu))] = rng.choice([0, 1, 0x7F, 0xFF, rng.randrange(256)])
    return bytes(pdu[: rng.randrange(len(pdu) + 1)] if rng.random() < 0.2 else pdu)


def expected(pdu: bytes) -> str:
    """What the driver must print, from the hub's kernel."""
    rows, verdict = _ble.parse_pdu(pdu, KEY)
    out = f"{verdict} {_ble.crc24(pdu):06x} "
    if not verdict:
        row = rows[0]
        rest = " ".join(str(int(row[name])) for name in FIELDS[1:])
        out += f"{int(row['device_key']):016x} {int(row['fingerprint']):08x} {int(row['element_mask']):08x} {rest}"
    record = b""
    if len(pdu) >= 8:
        record = _ble.record(pdu[2:8], pdu[0] >> 6, pdu[0] & 7, pdu[8:], KEY, 0x01020304, -50)
    return f"{out} {record.hex()}"


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        pytest.param("gcc", SANITIZERS, marks=pytest.mark.needs("gcc"), id="gcc sanitized"),
        pytest.param("clang", SANITIZERS, marks=pytest.mark.needs("clang"), id="clang sanitized"),
        pytest.param("gcc", (*SANITIZERS, *PORTABLE), marks=pytest.mark.needs("gcc"), id="gcc portable"),
    ],
)
def test_every_build_reads_the_same(tmp_path: Path, compiler: str, flags: tuple[str, ...]) -> None:
    rng = random.Random(SEED)
    pdus = [random_pdu(rng) for _ in range(8_000)] + [b"", b"\0", b"\7\xff" + b"\xff" * 255, b"\0\xff" + b"\1" * 255]
    program = tmp_path / "driver"
    sources = [str(DRIVER), str(CEXT / "ble.c"), str(CEXT / "dot11.c")]
    subprocess.run([compiler, *STRICT, *flags, f"-I{CEXT}", *sources, "-o", str(program)], check=True)
    data = b"".join(len(pdu).to_bytes(2, "little") + pdu for pdu in pdus)
    done = subprocess.run([str(program)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    version, *lines = done.stdout.decode().splitlines()
    assert int(version, 16) == SHAPE_VERSION
    assert lines == [expected(pdu) for pdu in pdus]


def test_ble_includes_nothing_but_string_and_dot11() -> None:
    lines = (CEXT / "ble.c").read_text().splitlines() + (CEXT / "ble.h").read_text().splitlines()
    included = {line.split(None, 1)[1] for line in lines if line.startswith("#include")}
    assert included == {'"ble.h"', '"dot11.h"', "<string.h>"}
