"""What all readers of captures share: how far they are, and what they refuse in words. Knows no frame."""

from typing import TYPE_CHECKING, Protocol

from hostkit.errors import InputError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Magic numbers of what people pass for a capture, and how to get at the capture inside.
_WRAPPERS = (
    (b"\x1f\x8b", "gzip-compressed", "unpack it with gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed", "unpack it with unzstd"),
    (b"\xfd7zXZ", "xz-compressed", "unpack it with unxz"),
    (b"BZh", "bzip2-compressed", "unpack it with bunzip2"),
    (b"PK\x03\x04", "a zip archive", "unpack it with unzip"),
    (b"\xa1\xb2\xcd\x34", "a modified pcap", "convert it with editcap -F pcapng"),
    (b"\x34\xcd\xb2\xa1", "a modified pcap", "convert it with editcap -F pcapng"),
)
_LINK_NAMES = {
    1: "Ethernet",
    105: "802.11 without radio header",
    119: "Prism",
    163: "AVS",
    127: "radiotap",
    192: "PPI",
    251: "Bluetooth LE",
    256: "Bluetooth LE with radio header",
    272: "nRF Sniffer",
}
_WITH_SIGNAL = (127, 256, 272)
_DAMAGE = {
    "version": "pcap version {} is unknown",
    "packet_size": "packet length {} is impossible, the file is damaged here",
    "block_size": "block length {} is impossible, the file is damaged here",
    "no_interface": "packet of undeclared interface {}, the file is damaged here",
    "interfaces": "more than {} interfaces, the file is damaged here",
}


class Kernel(Protocol):
    """A native reader, as cext/container.pxi makes them."""

    @property
    def position(self) -> int: ...  # noqa: D102
    @property
    def packets(self) -> int: ...  # noqa: D102
    @property
    def application(self) -> bytes: ...  # noqa: D102
    @property
    def link_type(self) -> int: ...  # noqa: D102
    @property
    def fault(self) -> tuple[str, int]: ...  # noqa: D102
    @property
    def done(self) -> tuple[int, int]: ...  # noqa: D102
    def go_on(self, data: "ReadableBuffer", is_last: bool) -> None: ...  # noqa: D102


class ContainerReader:
    """A pcap or pcapng being read by `kernel`; `head` is its first 8 bytes, `name` what errors call it.

    `needed` are the link types it can be, `record_again` says how such a capture is made.
    """

    def __init__(self, kernel: Kernel, head: bytes, name: str, *, needed: str, record_again: str) -> None:
        self._kernel = kernel
        self._head = head
        self._name = name
        self._needed = needed
        self._record_again = record_again
        self.refuse_fault()

    @property
    def position(self) -> int:
        """Bytes done."""
        return self._kernel.position

    @property
    def application(self) -> str:
        """The program a pcapng names as its writer: printable ASCII, at most 64 characters, else ""."""
        return "".join(chr(byte) for byte in self._kernel.application if 32 <= byte < 127)

    @property
    def link_type(self) -> int:
        """Link type of the first interface (LINKTYPE_ number); -1 before one was read."""
        return self._kernel.link_type

    @property
    def done(self) -> tuple[int, int]:
        """Bytes of the piece held that are done, and how many from there on are needed to go on (0: none wanting)."""
        return self._kernel.done

    def go_on(self, data: "ReadableBuffer", *, is_last: bool) -> None:
        """Hold the next piece of a capture that arrives in pieces: what `done` left of the last one, and more."""
        self._kernel.go_on(data, is_last)

    def refuse_fault(self) -> None:
        """Raise InputError if the kernel stopped at a fault."""
        fault, detail = self._kernel.fault
        if fault == "none":
            return
        where = f"{self._name}: packet {self._kernel.packets + 1} at byte {self._kernel.position}"
        if fault == "not_capture":
            raise self._not_capture(where)
        if fault == "link_type":
            lacks = "is of the other radio" if detail in _WITH_SIGNAL else "carries no signal strength"
            what = f"link type {detail} ({_LINK_NAMES.get(detail, 'unknown')}) {lacks}; {self._needed} is needed"
            raise InputError(what, where=where, next_step=self._record_again)
        raise InputError(_DAMAGE[fault].format(detail), where=where, next_step="copy the file again or capture anew")

    def _not_capture(self, where: str) -> InputError:
        if self._kernel.position:
            return InputError(
                "no pcapng section here, the file is damaged",
                where=where,
                next_step="copy the file again or capture anew",
            )
        if not self._head:
            return InputError("the file is empty", where=self._name, next_step="capture anew")
        for magic, kind, next_step in _WRAPPERS:
            if self._head.startswith(magic):
                return InputError(f"{kind}, not a capture", where=self._name, next_step=next_step)
        return InputError(
            "neither pcap nor pcapng", where=self._name, next_step="give a capture of tcpdump, Wireshark or a probe"
        )
