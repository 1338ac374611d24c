"""A ready mix as a CSV table of sightings with labels. Addresses are keyed as they are read."""

import secrets
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.address import parse_address
from hostkit.core.dot11 import device_keys, parse_frames
from hostkit.core.wire import SIGHTING, Flag
from hostkit.errors import InputError
from hostkit.evaluate.labelled import Labelled, elements_hash, transmissions, trust_local_bits
from hostkit.io.csvtable import Table, read_table

COLUMNS = {
    "time_s": float,
    "probe": str,
    "address": str,
    "rssi_dbm": float,
    "channel": float,
    "sequence": float,
    "elements_hex": str,
    "label": str,
}
MAX_TIME_S = 4_102_444_800  # the year 2100
RANGES = {"time_s": (0, MAX_TIME_S), "rssi_dbm": (-128, 0), "channel": (0, 255), "sequence": (0, 4095)}
MAX_ELEMENT_BYTES = 2304  # of one MMPDU (IEEE 802.11-2020, 9.2.4.7)
MAX_PROBES = 64
HEADER = bytes.fromhex("40000000") + b"\xff" * 6 + bytes(6) + b"\xff" * 6 + bytes(2)  # of a probe request


def read_sightings(path: Path) -> Labelled:
    """Read SIGHTINGS.csv: one row a frame and probe that heard it, any order. InputError names the line at fault."""
    table = read_table(path, COLUMNS)
    if not len(table):
        raise InputError("no sighting in it", where=str(path), next_step=f"give rows of {', '.join(COLUMNS)}")
    rows = np.zeros(len(table), SIGHTING)
    numbers = {name: _number(table, name) for name in RANGES}
    rows["time_us"] = np.rint(numbers["time_s"] * 1e6)
    for name in ("rssi_dbm", "channel", "sequence"):
        rows[name] = np.rint(numbers[name])
    probes, rows["probe"] = table.codes("probe")
    if len(probes) > MAX_PROBES:
        raise InputError(f"{len(probes)} probes, at most {MAX_PROBES}", where=str(path), next_step="split the table")
    keys, randomised, group = _addresses(table)
    rows["device_key"] = keys
    fingerprint, malformed, raw = _elements(table)
    rows["fingerprint"] = fingerprint
    rows["flags"] = malformed | randomised
    devices, label = table.codes("label")
    notes: list[str] = []
    of = Labelled(
        sightings=trust_local_bits(rows, group, notes, path),
        label=label,
        session=label,
        elements=raw,
        devices=tuple(devices),
        probes=len(probes),
        notes=tuple(notes),
    )
    of = of.where(np.argsort(rows["time_us"], kind="stable"))
    return of.where(transmissions(of.sightings, by_probe=True))


def _number(table: Table, name: str) -> NDArray[np.float64]:
    low, high = RANGES[name]
    column = table.floats(name)
    bad = (column < low) | (column > high)
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(
            f"{name} is {column[at]:g}, not in {low} to {high}", where=table.where(at), next_step="correct it"
        )
    return column


def _addresses(table: Table) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.bool_]]:
    """Of each row: device key, Flag.RANDOMISED or 0, whether the address has the group bit."""
    texts, code = table.codes("address")
    first = np.unique(code, return_index=True)[1]
    parsed = [parse_address(text, where=table.where(row)) for text, row in zip(texts, first.tolist(), strict=True)]
    octet = np.array([address[0] for address in parsed], np.uint8)
    randomised = np.where(octet & 2, np.uint8(Flag.RANDOMISED), np.uint8(0))
    return device_keys(parsed, secrets.token_bytes(16))[code], randomised[code], (octet & 1 == 1)[code]


def _elements(table: Table) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint32]]:
    """Of each row: the product's fingerprint, its flag for malformed elements, the hash of the unmasked elements."""
    texts, code = table.codes("elements_hex")
    first = np.unique(code, return_index=True)[1]
    bodies = [_octets(text, table.where(row)) for text, row in zip(texts, first.tolist(), strict=True)]
    frames = [HEADER + body for body in bodies]
    lengths = np.array([len(frame) for frame in frames], np.int64)
    parsed = parse_frames(b"".join(frames), np.cumsum(lengths) - lengths, lengths, bytes(16))
    raw = np.array([elements_hash(body) for body in bodies], np.uint32)
    return parsed["fingerprint"][code], (parsed["flags"] & np.uint8(Flag.MALFORMED))[code], raw[code]


def _octets(text: str, where: str) -> bytes:
    if len(text) > 2 * MAX_ELEMENT_BYTES:
        raise InputError(f"elements of {len(text) // 2} bytes", where=where, next_step="give those of one frame")
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise InputError(
            "elements_hex is not hexadecimal", where=where, next_step="write two hexadecimal digits an octet"
        ) from error
