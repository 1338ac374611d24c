"""Agreement of the parser with tshark, field by field. Compares addresses and SSIDs as keys that end with the run."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from hostkit.core.dot11 import ELEMENT_TABLE, FRAME, SKIP_REASONS, CaptureReader, Space, Status
from hostkit.core.pseudonym import KEY_BYTES, SiteKey
from hostkit.core.wire import Flag
from hostkit.errors import InputError
from hostkit.io.capture import CaptureFile, capture_size, open_capture
from hostkit.io.tshark import dissected, tshark_version

CHUNK_PACKETS = 4096
MAX_EXAMPLES = 3  # of each field
SUFFIXES = (".pcap", ".pcapng", ".cap")
EMPTY_PCAP_BYTES = 24  # sniffers leave one for a channel on which they heard nothing, of any link type
PCAP_MAGICS = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1")
KEPT = "kept"
SECRET = ("address", "ssid")  # their values are never shown

OnProgress: TypeAlias = Callable[[int, int], None]
Value: TypeAlias = str | int | None
Values: TypeAlias = dict[str, Value]

_FIELDS = (
    *("frame.encap_type", "frame.time_epoch", "wlan.fc.version", "wlan.fc.type_subtype", "radiotap.flags.badfcs"),
    *("wlan.ta", "wlan.seq", "wlan.fc.retry", "wlan.fc.protected", "radiotap.dbm_antsignal", "radiotap.dbm_antnoise"),
    *("radiotap.channel.freq", "wlan.ds.current_channel", "wlan.ssid", "wlan.tag.number", "wlan.tag.length"),
    *("wlan.ext_tag.number", "_ws.malformed", "_ws.expert.message"),
)
_PROBE_REQUEST = 4
_MAX_SSID_OCTETS = 32
_RUNS_OVER = "longer than remaining payload"  # tshark's words for an element past the frame's end
_NESTED = "Unexpected Element ID"  # its words for an element where only subelements may be
_STOPPED = "Malformed Packet"  # its words for a dissector that read past an element; bad content alone does not stop it
_BARE = "IE Tag (Element ID Extension)"  # its words for an extension without an id
_BY_ID = {rule.code: rule.bit for rule in ELEMENT_TABLE if rule.space == Space.ELEMENT}
_BY_EXTENSION = {rule.code: rule.bit for rule in ELEMENT_TABLE if rule.space == Space.EXTENSION}
_VENDOR_BITS = sum(1 << rule.bit for rule in ELEMENT_TABLE if rule.space == Space.VENDOR)
_SSID, _SSID_LIST, _VENDOR, _EXTENSION = 0, 84, 221, 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One disagreement; `tshark` and `footfall` are None where the value would name a phone or a network."""

    capture: str
    packet: int  # from 1, as tshark numbers
    field: str
    tshark: Value
    footfall: Value


@dataclass(slots=True, kw_only=True)
class ParseEvaluation:
    """How often each field of each packet agreed."""

    tshark: str  # its version
    captures: int = 0
    packets: int = 0
    frames: int = 0  # kept by both
    agreed: Counter[str] = field(default_factory=Counter)
    disagreed: Counter[str] = field(default_factory=Counter)
    not_compared: Counter[str] = field(default_factory=Counter)  # frames, by the reason: NOT_COMPARED
    examples: list[Example] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, capture: Path, packet: int, name: str, theirs: Value, ours: Value) -> None:
        """Count one field of one packet."""
        if theirs == ours:
            self.agreed[name] += 1
            return
        self.disagreed[name] += 1
        if self.disagreed[name] <= MAX_EXAMPLES:
            shown = (None, None) if name in SECRET else (theirs, ours)
            self.examples.append(
                Example(capture=str(capture), packet=packet, field=name, tshark=shown[0], footfall=shown[1])
            )


def evaluate(paths: Sequence[Path], on_progress: OnProgress = lambda done, total: None) -> ParseEvaluation:
    """Compare every packet of every capture; folders are searched for captures. InputError without tshark."""
    result = ParseEvaluation(tshark=tshark_version())
    captures = list(_captures(paths))
    total, done = sum(capture_size(path) for path in captures), 0
    key = SiteKey(raw=secrets.token_bytes(KEY_BYTES))
    for path in captures:
        size = capture_size(path)
        _compare(path, key, result, lambda at, before=done: on_progress(before + at, total))  # type: ignore[misc]
        done += size
        on_progress(done, total)
    return result


def _captures(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
        if not found:
            raise InputError("holds no capture", where=str(path), next_step=f"name one ({', '.join(SUFFIXES)})")
        yield from found


def _compare(path: Path, key: SiteKey, result: ParseEvaluation, on_bytes: Callable[[int], None]) -> None:
    file = open_capture(path)
    result.captures += 1
    if len(file.data) == EMPTY_PCAP_BYTES and file.data[:4] in PCAP_MAGICS:
        result.warnings.append(f"{path}: holds no packet; nothing was compared")
        return
    reader = CaptureReader(file.data, key.raw, name=str(path))
    packet = 0
    with dissected(path, _FIELDS) as lines:
        theirs = (line for line in lines if line[0])  # a pcapng's own block has no encapsulation and is no packet
        for ours in _our_packets(file, reader, on_bytes):
            packet += 1
            line = next(theirs, None)
            result.note(path, packet, "packets", line is not None, True)
            if line is not None:
                _compare_packet(path, packet, _theirs(line, key), ours, result)
        for _ in islice(theirs, 1):
            result.note(path, packet + 1, "packets", True, False)
    result.packets += packet
    if reader.counts.truncated:
        result.warnings.append(f"{path}: ends inside a packet; the {packet} packets before it were compared")


def _our_packets(
    file: CaptureFile, reader: CaptureReader, on_bytes: Callable[[int], None]
) -> Iterator[tuple[str, Values]]:
    """Give the fate of each packet and, where it was kept, its fields."""
    names = FRAME.names or ()
    while True:
        rows, reasons = reader.read_packets(CHUNK_PACKETS)
        if not len(rows):
            return
        for row, reason in zip(rows.tolist(), reasons.tolist(), strict=True):
            yield (SKIP_REASONS[reason], {}) if reason >= 0 else (KEPT, dict(zip(names, row, strict=True)))
        file.release(reader.position)
        on_bytes(reader.position)


def _compare_packet(
    path: Path, packet: int, theirs: tuple[str, Values], ours: tuple[str, Values], result: ParseEvaluation
) -> None:
    fate, row = ours
    result.note(path, packet, "fate", theirs[0], fate if fate in _FATES else "other")
    if theirs[0] != KEPT or fate != KEPT:
        return
    result.frames += 1
    reason = "cut" if int(row["status"] or 0) & Status.CUT else theirs[1]["not_compared"]
    left_out = NOT_COMPARED[str(reason)][1] if reason else ()
    result.not_compared.update([str(reason)] if reason else [])
    for name, value in _ours(row).items():
        if name not in left_out:
            result.note(path, packet, name, theirs[1][name], value)


_FATES = (KEPT, "bad_fcs", "not_management", "other_subtype", "encrypted")
_ELEMENTAL = ("channel", "ssid", "elements", "kinds", "vendors", "malformed")
# Where the two may differ and the standard says why: the fields left out.
NOT_COMPARED = {
    "cut": ("the snapshot length cut the frame: tshark stops there", _ELEMENTAL),
    "stopped": (
        "tshark gave up inside an element; a receiver steps over what it cannot read by its length (9.4.2.1, 9.4.3)",
        _ELEMENTAL,
    ),
    "nested": (
        "tshark gives what is within an element (an SSID list, 9.4.2.72; subelements, 9.4.3) like what is beside it",
        ("ssid", "elements", "kinds", "malformed"),
    ),
    "bare": (
        "an extension of length 0 has no id (9.4.2.1); tshark takes the octet behind it for one",
        ("ssid", "kinds"),
    ),
    "long_ssid": ("an SSID has at most 32 octets (9.4.2.2); tshark reads no more, the parser keys all", ("ssid",)),
}


def _ours(row: Values) -> Values:
    """Name a FRAME row's fields as `_theirs` does."""
    flags, mask = int(row["flags"] or 0), int(row["element_mask"] or 0)
    return {
        "time": row["time_us"],
        "address": row["device_key"],
        "sequence": row["sequence"],
        "retry": bool(flags & Flag.RETRY),
        "randomised": bool(flags & Flag.RANDOMISED),
        "rssi": row["rssi_dbm"],
        "noise": row["noise_dbm"],
        "channel": row["channel"],
        "ssid": row["ssid_key"],
        "elements": row["element_count"],
        "kinds": mask & ~_VENDOR_BITS,
        "vendors": bool(mask & _VENDOR_BITS),
        "malformed": bool(flags & Flag.MALFORMED),
    }


def _theirs(line: Sequence[str], key: SiteKey) -> tuple[str, Values]:
    """Give what becomes of a packet and its fields, from tshark's text alone."""
    text = dict(zip(_FIELDS, line, strict=True))
    subtype = int(_first(text["wlan.fc.type_subtype"]) or "-1", 0)
    version = int(_first(text["wlan.fc.version"]) or "0", 0)
    if _is_set(text["radiotap.flags.badfcs"]):
        return "bad_fcs", {}
    if subtype < 0 or version:
        return "other", {}
    if subtype != _PROBE_REQUEST:
        return ("other_subtype" if subtype < 16 else "not_management"), {}
    if _is_set(_first(text["wlan.fc.protected"])):
        return "encrypted", {}
    if not int(_first(text["radiotap.dbm_antsignal"]) or 0):
        return "other", {}
    if not all(text[name] for name in ("frame.time_epoch", "wlan.ta", "wlan.seq")):
        return "other", {}
    return KEPT, _their_frame(text, key)


def _their_frame(text: dict[str, str], key: SiteKey) -> Values:
    address = bytes.fromhex(_first(text["wlan.ta"]).replace(":", ""))
    runs_over = _RUNS_OVER in text["_ws.expert.message"]
    ids = [int(number) for number in _all(text["wlan.tag.number"])][: -1 if runs_over else None]
    extensions = [int(number) for number in _all(text["wlan.ext_tag.number"])]
    channel = int(_first(text["wlan.ds.current_channel"]) or 0)
    return {
        "time": int(text["frame.time_epoch"].replace(".", "")[:-3]),
        "address": key.pseudonym(address),
        "sequence": int(_first(text["wlan.seq"]) or -1),
        "retry": _is_set(_first(text["wlan.fc.retry"])),
        "randomised": bool(address[0] & 2),
        "rssi": int(_first(text["radiotap.dbm_antsignal"])),
        "noise": int(_first(text["radiotap.dbm_antnoise"]) or 0),
        "channel": channel or _channel_of(int(_first(text["radiotap.channel.freq"]) or 0)),
        "ssid": _ssid_key(_first(text["wlan.ssid"]), key) if _SSID in ids else 0,
        "elements": min(len(ids), 255),
        "kinds": _kinds(ids, extensions),
        "vendors": _VENDOR in ids,
        "malformed": runs_over,
        "not_compared": _why_not_compared(text, ids),
    }


def _why_not_compared(text: dict[str, str], ids: Sequence[int]) -> str | None:
    if _STOPPED in text["_ws.expert.message"] or _STOPPED in text["_ws.malformed"]:
        return "stopped"
    if _SSID_LIST in ids or _NESTED in text["_ws.expert.message"]:
        return "nested"
    if _BARE in text["_ws.expert.message"]:
        return "bare"
    if _SSID not in ids:
        return None
    lengths = _all(text["wlan.tag.length"])  # those of extended elements are apart
    before = sum(number != _EXTENSION for number in ids[: ids.index(_SSID)])
    return "long_ssid" if before < len(lengths) and int(lengths[before]) > _MAX_SSID_OCTETS else None


def _kinds(ids: Sequence[int], extensions: Sequence[int]) -> int:
    """Give the element mask without vendors' bits."""
    plain = {_BY_ID.get(number, 0) for number in ids if number not in {_VENDOR, _EXTENSION}}
    extended = {_BY_EXTENSION.get(number, 0) for number in extensions}
    return sum(1 << bit for bit in plain | extended)


def _ssid_key(text: str, key: SiteKey) -> int:
    """Key an SSID as the parser does; tshark writes an empty one as <MISSING>."""
    if not text or text.startswith("<"):
        return 0
    return key.pseudonym(bytes.fromhex(text)) & 0xFFFFFFFF or 1


def _channel_of(mhz: int) -> int:
    """Give the channel of a centre frequency (IEEE 802.11-2020 annex E); 0: none."""
    if mhz == 2484:
        return 14
    for low, high, base in ((2412, 2472, 2407), (4910, 4980, 4000), (5001, 5925, 5000), (5951, 7115, 5950)):
        if low <= mhz <= high:
            return (mhz - base) // 5
    return 0


def _all(text: str) -> list[str]:
    return [value for value in text.split(",") if value]


def _first(text: str) -> str:
    return text.partition(",")[0]


def _is_set(text: str) -> bool:
    """Read a boolean as any version writes it."""
    return text in {"1", "True"}


def as_object(result: ParseEvaluation) -> dict[str, object]:
    """Give the result as one JSON object."""
    names = sorted(result.agreed | result.disagreed)
    return {
        "tshark": result.tshark,
        "captures": result.captures,
        "packets": result.packets,
        "frames": result.frames,
        "agreed": sum(result.agreed.values()),
        "disagreed": sum(result.disagreed.values()),
        "not_compared": {name: result.not_compared[name] for name in NOT_COMPARED},
        "fields": {name: {"agreed": result.agreed[name], "disagreed": result.disagreed[name]} for name in names},
        "examples": [
            {name: getattr(example, name) for name in ("capture", "packet", "field", "tshark", "footfall")}
            for example in result.examples
        ],
    }
