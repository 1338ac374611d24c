"""Wi-Fi captures and bare frames to FRAME rows. Keeps probe requests only; no address leaves the kernel."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hostkit.core.container import ContainerReader
from hostkit.errors import InputError

try:
    from hostkit.core import _dot11
except ImportError as error:
    raise ImportError("the parser kernel is not built; run: python setup.py build_ext --inplace") from error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Int64s: TypeAlias = NDArray[np.int64]

FRAME = _dot11.FRAME
FINGERPRINT_VERSION = _dot11.fingerprint_version()
SKIP_REASONS = _dot11.SKIP_REASONS
ADDRESS_BYTES = 6
LINK_RADIOTAP = 127


class Status(IntFlag):
    """Bits of a FRAME row's `status`."""

    CUT = 1  # the capture's snapshot length cut the frame: its fingerprint compares with nothing
    BACKWARDS = 2  # earlier than the frame before it
    TUNED_CHANNEL = 4  # no DS element: `channel` is where the radio listened


class Space(IntEnum):
    """What an ElementRule's `code` numbers."""

    ELEMENT = 0
    EXTENSION = 1  # the extended id after element id 255
    VENDOR = 2  # OUI << 8 | vendor type, of element id 221


class Treatment(IntEnum):
    """How an element enters the fingerprint."""

    STABLE = 0  # id, length and body; of a vendor's element OUI, type, length and a hash of the body
    MASKED = 1  # id, length and body under a bit mask
    PRESENCE = 2  # id only
    TYPE = 3  # id, OUI and vendor type only
    DROP = 4  # not at all


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRule:
    """One row of the static element table; elements without a row are STABLE and bit 0.

    The table itself is C (cext/dot11_table.h), since the probe's build has no other language; this is a view of it.
    """

    space: Space
    code: int
    select: int  # bits of `code` that count
    treatment: Treatment
    bit: int  # of `element_mask`; 0 where several share it
    clear: bytes  # 64 octets: the bits that MASKED clears, by octet of the element with its header


ELEMENT_TABLE = tuple(
    ElementRule(space=Space(space), code=code, select=select, treatment=Treatment(treatment), bit=bit, clear=clear)
    for space, code, select, treatment, bit, clear in _dot11.element_rules()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Packets not kept, by reason, in the order the reasons are tried."""

    too_short: int  # for its radiotap header, FCS or 802.11 header
    unknown_version: int  # 802.11 protocol version other than 0
    not_management: int
    other_subtype: int  # a management frame, not a probe request
    encrypted: int  # a probe request with the Protected Frame bit: damaged, or nobody's to read
    bad_radiotap: int
    bad_fcs: int  # or a receive error of an ESP32
    no_rssi: int  # no antenna signal in dBm
    no_time: int  # simple packet block, or a time outside 1970..2099
    other_link_type: int  # an interface of a mixed capture that is not radiotap

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, name) for name in SKIP_REASONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureCounts:
    """What a reader has met so far; `packets == frames + skipped.total`."""

    packets: int
    frames: int
    malformed: int
    retries: int
    randomised: int
    cut: int
    backwards: int
    truncated: int  # 1: the capture ended inside a packet, which is not in `packets`
    damaged: int  # places in ESP32 records that were stepped over
    damaged_bytes: int  # their octets
    skipped: Skipped


_COUNTED = (
    *("packets", "frames", "malformed", "retries", "randomised", "cut", "backwards"),
    *("truncated", "damaged", "damaged_bytes"),
)

_NEEDED = f"link type {LINK_RADIOTAP} (radiotap)"
_RECORD_AGAIN = "capture in monitor mode with radiotap headers (tcpdump -I -y IEEE802_11_RADIO)"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opened:
    """One kept frame: its row (1,), the index of its packet in the capture, its elements, SSID included.

    `group_address`: the transmitter address has the group bit, which no station's has (IEEE 802-2014, 8.2.2).
    """

    packet: int
    rows: NDArray[np.void]
    elements: bytes
    group_address: bool


class Classifier(Protocol):
    """Gives the fingerprint to use in place of that of a description (core.volatile)."""

    def classify(self, description: bytes) -> int:
        """Give 32 bits; asked once for each description that is new."""
        ...


class CaptureReader(ContainerReader):
    """Reads a capture from memory, front to back: pcap or pcapng of link type 127 (radiotap), or ESP32 records.

    `key` is the 16-byte site key, `name` what errors call the capture, `volatile` what maps static fingerprints to
    classes. What cannot be a capture is refused at once, what is damaged further on when `read` comes to it, after
    the frames before the damage: InputError. Damage in ESP32 records is stepped over and counted.
    """

    def __init__(
        self,
        data: "ReadableBuffer",
        key: bytes,
        *,
        name: str = "capture",
        volatile: Classifier | None = None,
        is_last: bool = True,
    ) -> None:
        self._reader = _dot11.Reader(data, key, is_last, volatile.classify if volatile else None)
        head = bytes(memoryview(data)[:8])
        super().__init__(self._reader, head, name, needed=_NEEDED, record_again=_RECORD_AGAIN)

    def read(self, max_frames: int = 65536) -> NDArray[np.void]:
        """Give the next rows (dtype FRAME) in file order, at most `max_frames`; an empty array at the end."""
        if max_frames < 1:
            raise ValueError("max_frames must be positive")
        rows = self._reader.read(max_frames)
        if not len(rows):
            self.refuse_fault()
        return rows

    def read_opened(self) -> "Opened | None":
        """Give the next row and what only evaluations may know of its frame; None at the end."""
        rows = self.read(1)
        if not len(rows):
            return None
        elements, group_address = self._reader.last_elements
        return Opened(packet=self._reader.packets - 1, rows=rows, elements=elements, group_address=group_address)

    def read_packets(self, max_packets: int = 65536) -> tuple[NDArray[np.void], NDArray[np.int8]]:
        """Give a row for each of the next packets, and why it is none: an index of SKIP_REASONS, -1 where it is one."""
        if max_packets < 1:
            raise ValueError("max_packets must be positive")
        rows, reasons = self._reader.read_packets(max_packets)
        if not len(rows):
            self.refuse_fault()
        return rows, reasons

    @property
    def counts(self) -> CaptureCounts:
        """What was read so far."""
        totals, skipped = self._reader.totals
        reasons = Skipped(**dict(zip(SKIP_REASONS, skipped, strict=True)))
        return CaptureCounts(skipped=reasons, **dict(zip(_COUNTED, totals, strict=True)))


def device_keys(addresses: Sequence[bytes], key: bytes) -> NDArray[np.uint64]:
    """Give the device key of each 6-byte address; ValueError for another length."""
    if any(len(address) != ADDRESS_BYTES for address in addresses):
        raise ValueError(f"an address has {ADDRESS_BYTES} bytes")
    return _dot11.device_keys(b"".join(addresses), key)


def parse_frames(data: "ReadableBuffer", offsets: Int64s, lengths: Int64s, key: bytes) -> NDArray[np.void]:
    """Give FRAME rows of bare 802.11 probe requests without FCS at `offsets` of `data`, in order.

    Time, RSSI and noise are 0: the frame does not know them. InputError names the first that is no probe request
    or lies outside `data`.
    """
    rows, bad = _dot11.parse_frames(data, offsets, lengths, key)
    if bad >= 0:
        raise InputError("not a whole probe request", where=f"frame {bad}", next_step="pass probe requests only")
    return rows


def parse_frame(body: bytes, key: bytes) -> np.void:
    """Give the FRAME row of one bare probe request; as `parse_frames`."""
    row: np.void = parse_frames(body, np.zeros(1, np.int64), np.array([len(body)]), key)[0]
    return row


def record_of(body: bytes, key: bytes, *, offset_us: int, rssi_dbm: int, noise_dbm: int = 0, channel: int) -> bytes:
    """Give the 26-byte wire record of one bare probe request by the probe's own code; b"" for any other frame."""
    return _dot11.record(body, key, offset_us, rssi_dbm, noise_dbm, channel)
