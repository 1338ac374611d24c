"""Frames whose senders are known: folders of single devices, one capture with labels, a ready table. Keeps no address.

Every reader keys addresses under a key of its own that is gone when it returns.
"""

import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.core.dot11 import CaptureReader, Opened
from hostkit.core.wire import SIGHTING, Flag, sightings_from
from hostkit.errors import InputError
from hostkit.io.capture import open_capture
from hostkit.io.csvtable import first_column

SAME_FRAME_US = 50_000  # same address and sequence number within this: one transmission heard twice
GROUP_SHARE = 0.05  # of addresses; stations have none with the group bit, damage makes a few
SESSION_GAP_US = 120_000_000  # captures of one device closer than this are one recording
BREAK_US = 6 * 3_600_000_000  # a longer silence within a capture is a clock that was set
CAPTURE_MAGIC = (
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
    b"FR\x01",  # a probe's heard frames, from a mark on
)
PCAP_HEADER_BYTES = 24
OF_ONE_FRAME = (0, 3)  # ids of SSID and DS parameter set: what is asked for and where, not what asks

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """SIGHTING rows (N,) in order of time, each transmission once per probe, and what is known of each.

    `label` (N,) indexes `devices`; `session` (N,) numbers the recordings of one device made at one time; `elements`
    (N,) is a hash of all elements but SSID and channel. `notes` are remarks about the input.
    """

    sightings: NDArray[np.void]
    label: NDArray[np.int64]
    session: NDArray[np.int64]
    elements: NDArray[np.uint32]
    devices: tuple[str, ...]
    probes: int
    notes: tuple[str, ...]

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Labelled":
        """Take some rows, in the order given."""
        return replace(
            self,
            sightings=self.sightings[rows],
            label=self.label[rows],
            session=self.session[rows],
            elements=self.elements[rows],
        )


def read_folder(path: Path, on_progress: Progress = lambda done, total: None) -> Labelled:
    """Read a folder whose every sub-folder or top-level capture is one device.

    Other files are ignored and counted. InputError where there is no capture, where a device's folder holds folders
    of captures itself, where a capture is damaged or none holds a probe request.
    """
    captures, ignored = _captures(path)
    if not captures:
        raise InputError(
            f"no capture in it ({ignored} other files)",
            where=str(path),
            next_step="give a folder of captures (pcap, pcapng), a sub-folder or file for each device",
        )
    parts, key = [], secrets.token_bytes(16)
    total = sum(one.stat().st_size for files in captures.values() for one in files)
    done = 0
    notes = [f"{path}: {ignored} files are no captures or empty; they were ignored"] if ignored else []
    for label, files in enumerate(captures.values()):
        for file in files:
            reader = CaptureReader(open_capture(file).data, key, name=str(file))
            parts.append(_Part.of(list(_walk(reader)), label))
            notes += _damage(file, reader)
            done += file.stat().st_size
            on_progress(done, total)
    return _joined(path, parts, tuple(captures), notes)


def read_labelled(capture: Path, labels: Path) -> Labelled:
    """Read one capture and a CSV table without header whose first column names the sender of each packet.

    Row i labels packet i, whatever kind of packet it is; a line more than packets is a header. Only probe requests
    need a label. InputError for a table of another length, with both numbers.
    """
    names = first_column(labels)
    reader = CaptureReader(open_capture(capture).data, secrets.token_bytes(16), name=str(capture))
    opened = list(_walk(reader))
    packets = reader.counts.packets
    header = len(names) == packets + 1
    if len(names) - header != packets:
        raise InputError(
            f"{len(names):,} labels for {packets:,} packets",
            where=str(labels),
            next_step=f"give a line for every packet of {capture}, probe request or not",
        )
    senders = [names[one.packet + header] for one in opened]
    if "" in senders:
        line = opened[senders.index("")].packet + header + 1
        raise InputError("probe request without a label", where=f"{labels}: line {line}", next_step="name its sender")
    devices, label = np.unique(np.array(senders, np.str_), return_inverse=True)
    return _joined(capture, [_Part.of(opened, label)], tuple(devices.tolist()), _damage(capture, reader))


def elements_hash(elements: bytes) -> int:
    """CRC-32 of a frame's whole elements but SSID and DS parameter set, nothing masked."""
    kept, at = 0, 0
    while len(elements) - at >= 2 and len(elements) - at - 2 >= elements[at + 1]:
        end = at + 2 + elements[at + 1]
        if elements[at] not in OF_ONE_FRAME:
            kept = zlib.crc32(elements[at:end], kept)
        at = end
    return kept


def trust_local_bits(
    sightings: NDArray[np.void], group: NDArray[np.bool_], notes: list[str], where: Path
) -> NDArray[np.void]:
    """Give the rows, all as randomised where the addresses' group bits say that something overwrote their bits.

    `group` (N,): the row's address has the group bit.
    """
    keys, first = np.unique(sightings["device_key"], return_index=True)
    if group[first].sum() > GROUP_SHARE * len(keys):
        notes.append(
            f"{where}: {group[first].sum():,} of {len(keys):,} addresses have the group bit, as after anonymising; "
            "all are taken as randomised"
        )
        sightings = sightings.copy()
        sightings["flags"] |= np.uint8(Flag.RANDOMISED)
    return sightings


def transmissions(sightings: NDArray[np.void], *, by_probe: bool) -> NDArray[np.int64]:
    """Index of the first row of each transmission, in order of time; `by_probe`: at each probe that heard it."""
    names = ["time_us", "sequence", "device_key"]
    if by_probe:
        names.insert(1, "probe")
    order = np.lexsort([sightings[name] for name in names])
    rows = sightings[order]
    changed = np.diff(rows["time_us"], prepend=-(1 << 62)) >= SAME_FRAME_US
    for name in names[1:]:
        changed[1:] |= rows[name][1:] != rows[name][:-1]
    return np.sort(order[changed])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """The probe requests of one capture."""

    sightings: NDArray[np.void]
    label: NDArray[np.int64]
    elements: NDArray[np.uint32]
    group: NDArray[np.bool_]

    @classmethod
    def of(cls, opened: Sequence[Opened], label: int | NDArray[np.int64]) -> "_Part":
        frames = np.concatenate([one.rows for one in opened]) if opened else None
        return cls(
            sightings=np.empty(0, SIGHTING) if frames is None else sightings_from(frames, 0, 0),
            label=np.broadcast_to(np.asarray(label, np.int64), len(opened)),
            elements=np.array([elements_hash(one.elements) for one in opened], np.uint32),
            group=np.array([one.group_address for one in opened], np.bool_),
        )


def _captures(path: Path) -> tuple[dict[str, list[Path]], int]:
    """Captures by device, and how many files are none."""
    devices: dict[str, list[Path]] = {}
    ignored = 0
    for entry in sorted(path.iterdir()):
        files = sorted(entry.rglob("*")) if entry.is_dir() else [entry]
        files = [file for file in files if not file.is_dir()]
        mine = [file for file in files if is_capture(file)]
        ignored += len(files) - len(mine)
        deep = [file for file in mine if file.parent not in {entry, path}]
        if deep and len(deep) == len(mine):
            raise InputError(
                "holds folders of captures, and a device's folder holds its captures",
                where=str(entry),
                next_step=f"name the folder of devices itself: {deep[0].parent.parent}",
            )
        if mine:
            devices[entry.name if entry.is_dir() else entry.stem] = mine
    return devices, ignored


def is_capture(path: Path) -> bool:
    """Tell whether a file begins as a capture and holds more than a pcap header."""
    if not path.is_file() or path.stat().st_size <= PCAP_HEADER_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(4).startswith(CAPTURE_MAGIC)


def _walk(reader: CaptureReader) -> Iterator[Opened]:
    while opened := reader.read_opened():
        yield opened


def _damage(path: Path, reader: CaptureReader) -> list[str]:
    counts = reader.counts
    if not counts.damaged + counts.truncated:
        return []
    return [f"{path}: damaged or cut short; the {counts.frames:,} probe requests that are whole were used"]


def _joined(path: Path, parts: list[_Part], devices: tuple[str, ...], notes: list[str]) -> Labelled:
    """Join captures in order of time, each transmission once."""
    sightings = np.concatenate([part.sightings for part in parts])
    if not len(sightings):
        raise InputError("no probe request in it", where=str(path), next_step="give captures of probe requests")
    back = sum(int((np.diff(part.sightings["time_us"]) < -1_000_000).sum()) for part in parts)
    if back:
        notes.append(f"{path}: the clock was set back {back} times by more than a second; frames are in order of time")
    sightings = trust_local_bits(sightings, np.concatenate([part.group for part in parts]), notes, path)
    label = np.concatenate([part.label for part in parts])
    if silent := len(devices) - len(np.unique(label)):
        notes.append(f"{path}: {silent} of {len(devices)} devices sent no probe request; they are not counted")
    of = Labelled(
        sightings=sightings,
        label=label,
        session=_sessions(sightings["time_us"], label, np.repeat(np.arange(len(parts)), [len(p.label) for p in parts])),
        elements=np.concatenate([part.elements for part in parts]),
        devices=devices,
        probes=1,
        notes=tuple(notes),
    )
    of = of.where(np.argsort(sightings["time_us"], kind="stable"))
    return of.where(transmissions(of.sightings, by_probe=True))


def _sessions(time_us: NDArray[np.int64], label: NDArray[np.int64], capture: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the recordings: captures of one device that overlap or nearly do, cut where the clock was set."""
    session = np.empty(len(time_us), np.int64)
    number = -1
    for device in np.unique(label):
        mine = np.flatnonzero(label == device)
        mine = mine[np.lexsort((time_us[mine], capture[mine]))]
        starts = np.flatnonzero(
            (np.diff(capture[mine], prepend=-1) != 0) | (np.diff(time_us[mine], prepend=time_us[mine[0]]) > BREAK_US)
        )
        runs = sorted(np.split(mine, starts[1:]), key=lambda run: int(time_us[run[0]]))
        end_us = -(1 << 62)
        for run in runs:
            number += int(time_us[run[0]] - end_us > SESSION_GAP_US)
            session[run] = number
            end_us = max(end_us, int(time_us[run[-1]]))
    return session
