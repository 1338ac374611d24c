"""The probe's wire format: sighting records and batches. Refuses whatever fails its CRC, version or bounds.

The layout as text, for the probe's side: hostkit/contract/wire.md. Serial framing: hostkit/core/framing.py.
"""

import re
import struct
from binascii import crc32
from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from hostkit.errors import InputError, UsageError
from hostkit.model import ID_PATTERN, Provenance, Radio

MAGIC = b"FFLB"
VERSION = 1
READABLE_VERSIONS = (1,)  # this one and, once there are any, those of the last two releases
MAX_LISTENED = 64  # every 2.4 and 5 GHz channel and the BLE ones fit
MAX_RECORDS = 4096  # a probe sends about 40 in 1 KiB; only hosts write more
MAX_TIME_US = 4_102_444_800_000_000  # the year 2100: a time beyond it is damage
_U32 = 2**32 - 1


class Flag(IntFlag):
    """Bits of a sighting record's `flags`."""

    RANDOMISED = 1  # locally administered address
    BLE = 2
    RETRY = 4
    MALFORMED = 8  # elements ran past the frame's end; what was valid is kept
    REGISTERED = 16  # the address is in the registry given with the key (tags of staff and technicians): counts nobody


# Set in a sighting by the hub, never on the wire: nobody vouches for its time.
UNSYNCED = 128

# One record as it travels, 26 bytes, little-endian: a batch body is an array of these.
RECORD = np.dtype(
    [
        ("offset_us", "<u4"),  # since the batch's base time
        ("device_key", "<u8"),  # SipHash-2-4 of the address under the site key
        ("fingerprint", "<u4"),  # of the elements, static table only
        ("ssid_key", "<u4"),  # 0: wildcard
        ("sequence", "<u2"),  # 802.11 sequence number, 12 bits
        ("rssi_dbm", "i1"),
        ("noise_dbm", "i1"),  # 0: unknown
        ("channel", "u1"),
        ("flags", "u1"),
    ]
)

# One sighting inside the hub, absolute hub time; `probe` indexes the pipeline's probe list. 32 bytes.
SIGHTING = np.dtype(
    [
        ("time_us", "<i8"),
        ("device_key", "<u8"),
        ("fingerprint", "<u4"),
        ("ssid_key", "<u4"),
        ("sequence", "<u2"),
        ("probe", "<u2"),
        ("rssi_dbm", "i1"),
        ("noise_dbm", "i1"),
        ("channel", "u1"),
        ("flags", "u1"),
    ]
)

# Header fields in order, little-endian and unpadded. `Batch` has the same names; offsets go into errors.
LAYOUT = (
    ("magic", "4s"),
    ("version", "B"),
    ("provenance", "B"),
    ("listened_count", "B"),
    ("reserved", "B"),
    ("record_count", "H"),
    ("probe", "32s"),
    ("key_id", "I"),
    ("boot", "I"),
    ("seq", "I"),
    ("element_table", "I"),
    ("base_time_us", "q"),
    ("base_us", "Q"),
    ("sent_us", "Q"),
    ("seen", "I"),
    ("kept", "I"),
    ("dropped", "I"),
)
HEADER = struct.Struct("<" + "".join(code for _, code in LAYOUT))
OFFSETS = {
    name: struct.calcsize("<" + "".join(code for _, code in LAYOUT[:index])) for index, (name, _) in enumerate(LAYOUT)
}
_LISTENED = struct.Struct("<BBI")  # radio, channel, milliseconds
_CRC = struct.Struct("<I")
MAX_BATCH_BYTES = HEADER.size + MAX_LISTENED * _LISTENED.size + MAX_RECORDS * RECORD.itemsize + _CRC.size

_PROVENANCES = (Provenance.LIVE, Provenance.REPLAY, Provenance.SIMULATED)
_RADIOS = (Radio.WIFI, Radio.BLE)
_KNOWN_FLAGS = sum(Flag)
_MAX_SEQUENCE = 4095  # 12 bits (IEEE 802.11-2020, 9.2.4.4)
_RANGES = {  # least and most each field may be
    "key_id": (1, _U32),  # no key, no capture: 0 is never sent
    "boot": (0, _U32),
    "seq": (1, _U32),
    "element_table": (0, _U32),
    "base_time_us": (0, MAX_TIME_US),
    "base_us": (0, MAX_TIME_US),
    "sent_us": (0, MAX_TIME_US),
    "seen": (0, _U32),
    "kept": (0, _U32),
    "dropped": (0, _U32),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listened:
    """How long one radio was open on one channel during a batch; BLE channel 0 means 37 to 39 in turn."""

    radio: Radio
    channel: int
    listened_ms: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What one probe heard from `base_us` to `sent_us`, and how well it listened.

    `base_time_us` is the base by the probe's view of UTC (µs since 1970), 0 while it has no time. `base_us` is the
    same instant and `sent_us` the closing of the batch on the probe's own clock (µs since its boot, never stepped):
    from these and the arrivals the hub fits its clock. `seq` counts from 1 in each `boot`. `seen`, `kept` and
    `dropped` count frames since boot, modulo 2**32. `records` has dtype RECORD; decoded, it views the input.
    """

    provenance: Provenance
    probe: str
    key_id: int
    boot: int
    seq: int
    element_table: int
    base_time_us: int
    base_us: int
    sent_us: int
    seen: int
    kept: int
    dropped: int
    records: NDArray[np.void] = field(repr=False)  # device keys stay out of logs
    listened: tuple[Listened, ...] = ()


def encode_batch(batch: Batch) -> bytes:
    """Pack `batch`; raises UsageError where a field breaks the contract that `decode_batch` enforces."""
    if fault := _fault(batch):
        raise UsageError(
            fault[1], where=f"batch {batch.boot}/{batch.seq} of {batch.probe!r}", next_step="split or fix it"
        )
    header = HEADER.pack(
        MAGIC,
        VERSION,
        _PROVENANCES.index(batch.provenance),
        len(batch.listened),
        0,
        len(batch.records),
        batch.probe.encode("ascii"),
        *(getattr(batch, name) for name in _RANGES),
    )
    listened = b"".join(_LISTENED.pack(_RADIOS.index(of.radio), of.channel, of.listened_ms) for of in batch.listened)
    body = header + listened + batch.records.tobytes()
    return body + _CRC.pack(crc32(body))


def decode_batch(data: bytes | bytearray | memoryview, *, origin: str = "batch") -> Batch:
    """Unpack one whole batch; raises InputError with `where` = "<origin> at byte N" for every violation.

    `records` is a read-only view of `data`: no copy is made and nothing beyond `data` is read.
    """
    view = memoryview(data)
    _check_frame(view, origin)
    fields = dict(zip(OFFSETS, HEADER.unpack_from(view), strict=True))
    end = HEADER.size + fields["listened_count"] * _LISTENED.size
    listened = tuple(_LISTENED.iter_unpack(view[HEADER.size : end]))
    for index, (radio, _, _) in enumerate(listened):
        if radio >= len(_RADIOS):
            raise _refusal(origin, HEADER.size + index * _LISTENED.size, f"radio {radio} is unknown")
    records = np.frombuffer(view, RECORD, fields["record_count"], end)
    records.flags.writeable = False
    batch = Batch(
        provenance=_PROVENANCES[fields["provenance"]],
        probe=bytes(fields["probe"]).rstrip(b"\0").decode("ascii", "replace"),
        records=records,
        listened=tuple(Listened(radio=_RADIOS[radio], channel=ch, listened_ms=ms) for radio, ch, ms in listened),
        **{name: fields[name] for name in _RANGES},
    )
    if fault := _fault(batch):
        raise _refusal(origin, *fault)
    return batch


def sightings_of_batch(batch: Batch, probe_index: int, shift_us: int) -> NDArray[np.void]:
    """Give the batch's records as SIGHTING: time = `base_time_us` + offset + `shift_us`.

    `shift_us` is the probe's fitted clock correction; where `base_time_us` is 0 it is the hub time of `base_us`.
    """
    sightings = np.empty(len(batch.records), SIGHTING)
    for name in RECORD.names or ():
        if name != "offset_us":
            sightings[name] = batch.records[name]
    sightings["time_us"] = batch.records["offset_us"] + np.int64(batch.base_time_us + shift_us)
    sightings["probe"] = probe_index
    return sightings


def _check_frame(view: memoryview, origin: str) -> None:
    """Check what must hold before any field can be trusted: magic, version, sizes, CRC and enumerations."""
    least = HEADER.size + _CRC.size
    if len(view) < least:
        raise _refusal(origin, len(view), f"ends after {len(view)} bytes, the shortest batch has {least}")
    magic, version, provenance, listened_count, reserved, record_count = HEADER.unpack_from(view)[:6]
    if magic != MAGIC:
        raise _refusal(origin, 0, f"starts with {magic.hex()}, not {MAGIC.hex()}")
    if version not in READABLE_VERSIONS:
        what = f"wire version {version}, this release reads {', '.join(map(str, READABLE_VERSIONS))}"
        raise _refusal(origin, OFFSETS["version"], what, "update the older side")
    if listened_count > MAX_LISTENED:
        raise _refusal(origin, OFFSETS["listened_count"], f"{listened_count} listened channels, at most {MAX_LISTENED}")
    if record_count > MAX_RECORDS:
        raise _refusal(origin, OFFSETS["record_count"], f"{record_count} records, at most {MAX_RECORDS}")
    size = least + listened_count * _LISTENED.size + record_count * RECORD.itemsize
    if len(view) != size:
        raise _refusal(origin, min(size, len(view)), f"is {len(view)} bytes long, its counts say {size}")
    (crc,) = _CRC.unpack_from(view, size - _CRC.size)
    if crc != crc32(view[: size - _CRC.size]):
        raise _refusal(origin, size - _CRC.size, "CRC-32 does not match")
    if provenance >= len(_PROVENANCES):
        raise _refusal(origin, OFFSETS["provenance"], f"provenance {provenance} is unknown")
    if reserved:
        raise _refusal(origin, OFFSETS["reserved"], f"reserved byte is {reserved}, not 0")


def _fault(batch: Batch) -> tuple[int, str] | None:
    """Find the first contract violation among the fields as (byte offset, what); None if there is none."""
    if not re.fullmatch(ID_PATTERN, batch.probe):
        return OFFSETS["probe"], f"probe id {batch.probe!r} is not of [a-z0-9-]{{1,32}}"
    for name, (least, most) in _RANGES.items():
        value: int = getattr(batch, name)
        if not least <= value <= most:
            return OFFSETS[name], f"{name} is {value}, not in {least}..{most}"
    span_us = batch.sent_us - batch.base_us
    if not 0 <= span_us <= _U32:
        return OFFSETS["sent_us"], f"sent {span_us} us after its base, not in 0..{_U32}"
    return _listened_fault(batch.listened, span_us) or _records_fault(batch, span_us)


def _listened_fault(listened: tuple[Listened, ...], span_us: int) -> tuple[int, str] | None:
    if len(listened) > MAX_LISTENED:
        return OFFSETS["listened_count"], f"{len(listened)} listened channels, at most {MAX_LISTENED}"
    known: set[tuple[Radio, int]] = set()
    for index, entry in enumerate(listened):
        where = HEADER.size + index * _LISTENED.size
        if not 0 <= entry.channel <= 255:
            return where + 1, f"channel {entry.channel} is not in 0..255"
        if (entry.radio, entry.channel) in known:
            return where, f"{entry.radio} channel {entry.channel} is listed twice"
        known.add((entry.radio, entry.channel))
        if not 0 <= entry.listened_ms <= span_us // 1000 + 1:  # 1 ms: rounding
            return where + 2, f"listened {entry.listened_ms} ms of {span_us // 1000} ms"
    return None


def _records_fault(batch: Batch, span_us: int) -> tuple[int, str] | None:
    records = batch.records
    if records.dtype != RECORD or records.ndim != 1:
        return HEADER.size, f"records are {records.dtype}, not a row of RECORD"
    if len(records) > MAX_RECORDS:
        return OFFSETS["record_count"], f"{len(records)} records, at most {MAX_RECORDS}"
    for name, most in (("offset_us", span_us), ("sequence", _MAX_SEQUENCE)):
        beyond = np.flatnonzero(records[name] > most)
        if beyond.size:
            return _record_at(batch, int(beyond[0]), name), f"{name} is {records[name][beyond[0]]}, at most {most}"
    unknown = np.flatnonzero(records["flags"] & ~np.uint8(_KNOWN_FLAGS))
    if unknown.size:
        return _record_at(
            batch, int(unknown[0]), "flags"
        ), f"flags are {records['flags'][unknown[0]]:#04x}, unknown bits"
    return None


def _record_at(batch: Batch, index: int, name: str) -> int:
    """Give the byte offset of a record's field within the batch."""
    assert RECORD.fields is not None
    return HEADER.size + len(batch.listened) * _LISTENED.size + index * RECORD.itemsize + RECORD.fields[name][1]


def _refusal(
    origin: str, offset: int, what: str, next_step: str = "discard it; the probe keeps it until it is acknowledged"
) -> InputError:
    return InputError(what, where=f"{origin} at byte {offset}", next_step=next_step)


def records_of(frames: NDArray[np.void], base_us: int) -> NDArray[np.void]:
    """Give the wire records of FRAME rows heard after `base_us`."""
    records = np.zeros(len(frames), dtype=RECORD)
    for name in RECORD.names or ():
        if name != "offset_us":
            records[name] = frames[name]
    records["offset_us"] = frames["time_us"] - base_us
    return records


def sightings_from(frames: NDArray[np.void], probe: int, shift_us: int | NDArray[np.int64]) -> NDArray[np.void]:
    """Give SIGHTING rows of FRAME rows heard by `probe`, their clock moved by `shift_us` (one, or one a row)."""
    sightings = np.empty(len(frames), SIGHTING)
    for name in ("device_key", "fingerprint", "ssid_key", "sequence", "rssi_dbm", "noise_dbm", "channel", "flags"):
        sightings[name] = frames[name]
    sightings["time_us"] = frames["time_us"] + shift_us
    sightings["probe"] = probe
    return sightings
