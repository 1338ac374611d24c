"""BLE sniffer captures and scan reports to FRAME rows. Keeps advertisements only; no address or name leaves it."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hostkit.core.container import ContainerReader
from hostkit.core.dot11 import FRAME
from hostkit.errors import InputError

try:
    from hostkit.core import _ble
except ImportError as error:
    raise ImportError("the BLE kernel is not built; run: python setup.py build_ext --inplace") from error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ADVERT = _ble.ADVERT  # FRAME's fields, then those of BLE
SHAPE_VERSION = _ble.shape_version()
NO_COMPANY = 0xFFFF
TX_UNKNOWN_DBM = 127
ADDRESS_BYTES = 6
_NEEDED = "link type 256 or 272"
_RECORD_AGAIN = "capture with an nRF Sniffer, or with an Ubertooth (ubertooth-btle -q FILE)"


class AddressKind(IntEnum):
    """Whose an ADVERT row's `address` was (Core Specification Vol 6 Part B 1.3)."""

    PUBLIC = 0
    STATIC = 1  # random, kept at least until the device restarts
    RESOLVABLE = 2  # private, changes about every 15 minutes
    NON_RESOLVABLE = 3  # private
    RESERVED = 4


STABLE_ADDRESSES = (AddressKind.PUBLIC, AddressKind.STATIC)  # the others cannot be registered


class Pdu(IntEnum):
    """`pdu` of an ADVERT row, as the standard numbers the advertising PDUs (Vol 6 Part B table 2.3)."""

    ADV_IND = 0
    ADV_DIRECT_IND = 1
    ADV_NONCONN_IND = 2
    SCAN_RSP = 4
    ADV_SCAN_IND = 6
    ADV_EXT_IND = 7  # and AUX_ADV_IND and its like on a secondary channel


class Kind(IntFlag):
    """Bits of `element_mask` in a row of BLE: the AD structures seen."""

    OTHER = 1 << 0
    FLAGS = 1 << 1
    SERVICES_16 = 1 << 2
    SERVICES_32 = 1 << 3
    SERVICES_128 = 1 << 4
    NAME = 1 << 5  # there is one; the name itself is never read
    TX_POWER = 1 << 6
    SERVICE_DATA = 1 << 7
    MANUFACTURER = 1 << 8
    APPEARANCE = 1 << 9
    SOLICITATION = 1 << 10
    IBEACON = 1 << 16
    EDDYSTONE_UID = 1 << 17
    EDDYSTONE_URL = 1 << 18
    EDDYSTONE_TLM = 1 << 19
    EDDYSTONE_EID = 1 << 20


class BleStatus(IntFlag):
    """Bits of `status` in a row of BLE."""

    BACKWARDS = 2  # earlier than the row before it
    SHAPELESS = 8  # a scan response, or no AD: its fingerprint does not tell what made it


@dataclass(frozen=True, slots=True, kw_only=True)
class BleSkipped:
    """Packets not kept, by reason; the first that holds counts."""

    other_link_type: int  # an interface of a mixed capture that is neither 256 nor 272
    bad_header: int  # the sniffer's own: cut, unknown or still whitened
    bad_crc: int  # by the sniffer, or computed where it did not check
    too_short: int  # for what the PDU's headers declare, with CRC
    other_access_address: int  # a connection
    other_pdu: int  # scan and connect requests
    no_address: int  # extended advertising without AdvA
    no_rssi: int
    no_time: int  # simple packet block, or a time outside 1970..2099

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, name) for name in _ble.SKIP_REASONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class BleCounts:
    """What a reader has met so far; `packets == frames + skipped.total`."""

    packets: int
    frames: int
    malformed: int  # AD that runs over; what was valid is kept
    randomised: int  # sent from a private address
    shapeless: int  # in `frames`, left out by `read`
    extended: int  # ADV_EXT_IND and its like, in `frames`
    backwards: int
    truncated: int  # 1: the file ended inside a packet, which is not in `packets`
    skipped: BleSkipped


_COUNTED = ("packets", "frames", "malformed", "randomised", "shapeless", "extended", "backwards", "truncated")


class BleReader(ContainerReader):
    """Reads a pcap or pcapng capture of link type 272 (nRF Sniffer) or 256 (Ubertooth) from memory, front to back.

    `key` is the 16-byte site key, `name` what errors call the capture. Frames with a bad CRC are skipped: each would
    be a device that never was. Refusals as of CaptureReader: InputError.
    """

    def __init__(self, data: "ReadableBuffer", key: bytes, *, name: str = "capture", is_last: bool = True) -> None:
        self._reader = _ble.Reader(data, key, is_last)
        head = bytes(memoryview(data)[:8])
        super().__init__(self._reader, head, name, needed=_NEEDED, record_again=_RECORD_AGAIN)

    def read_adverts(self, max_frames: int = 65536) -> NDArray[np.void]:
        """Give the next rows (dtype ADVERT) in file order, at most `max_frames`; an empty array at the end."""
        if max_frames < 1:
            raise ValueError("max_frames must be positive")
        rows = self._reader.read(max_frames)
        if not len(rows):
            self.refuse_fault()
        return rows

    def read(self, max_frames: int = 65536) -> NDArray[np.void]:
        """Give the next rows (dtype FRAME) whose fingerprint tells what sent them; an empty array at the end."""
        while len(adverts := self.read_adverts(max_frames)):
            frames = frames_of(adverts)
            if len(frames):
                return frames
        return np.empty(0, FRAME)

    @property
    def counts(self) -> BleCounts:
        """What was read so far."""
        totals, skipped = self._reader.totals
        reasons = BleSkipped(**dict(zip(_ble.SKIP_REASONS, skipped, strict=True)))
        return BleCounts(skipped=reasons, **dict(zip(_COUNTED, totals, strict=True)))


def frames_of(adverts: NDArray[np.void]) -> NDArray[np.void]:
    """Give FRAME rows of ADVERT rows without the SHAPELESS, for association."""
    shaped = adverts[(adverts["status"] & BleStatus.SHAPELESS) == 0]
    frames = np.empty(len(shaped), FRAME)
    for name in FRAME.names or ():
        frames[name] = shaped[name]
    return frames


def parse_advert(pdu: bytes, key: bytes) -> np.void:
    """Give the ADVERT row of one advertising PDU, header first, without CRC; InputError where it is none.

    Time, RSSI, noise and channel are 0: the PDU does not know them.
    """
    rows, verdict = _ble.parse_pdu(pdu, key)
    if verdict:
        why = _ble.SKIP_REASONS[verdict - 1].replace("_", " ")
        raise InputError(f"not an advertisement ({why})", where="PDU", next_step="pass advertising PDUs only")
    row: np.void = rows[0]
    return row


def record_of(
    address: bytes, key: bytes, *, is_random: bool, event_type: int, ad: bytes, offset_us: int, rssi_dbm: int
) -> bytes:
    """Give the 26-byte wire record of one scan report by the probe's own code; b"" where a probe keeps none.

    `address` most significant octet first; `event_type` as HCI numbers it: 0 ADV_IND, 1 ADV_DIRECT_IND,
    2 ADV_SCAN_IND, 3 ADV_NONCONN_IND, 4 SCAN_RSP (Vol 4 Part E 7.7.65.2). The channel is 0: a report has none.
    """
    return _ble.record(address, int(is_random), event_type, ad, key, offset_us, rssi_dbm)


def address_kind(address: bytes, *, is_random: bool) -> AddressKind:
    """Tell the kind of a 6-byte address, most significant octet first; ValueError for another length."""
    return AddressKind(_ble.address_kind(address, is_random))


def check_registrable(address: bytes, *, is_random: bool, where: str) -> None:
    """Raise InputError naming `where` unless a tag of this address can be registered: it must keep its address."""
    kind = address_kind(address, is_random=is_random)
    if kind not in STABLE_ADDRESSES:
        raise InputError(
            f"a {kind.name.lower().replace('_', '-')} private address changes and cannot be registered",
            where=where,
            next_step="register a tag or card with a public or static address",
        )
