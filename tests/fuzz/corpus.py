"""The seeds of the fuzzer: one small frame of each kind, built here and kept in tests/data/fuzz/dot11.

`python -m tests.fuzz.corpus` writes them; a test holds files and builders equal.
"""

from pathlib import Path

from tests.builders import HT, element, extension, phone_elements, probe_request, vendor

FOLDER = Path(__file__).parents[1] / "data" / "fuzz" / "dot11"
HE = extension(35, bytes(17) + b"\xfa\xff\xfa\xff")
EHT = extension(108, bytes(11) + b"\x22\x22\x22")


def seeds() -> dict[str, bytes]:
    """Give each seed by name: an octet for the description's room, then a frame or a description."""
    vendors = vendor("0050f204", b"wps") + vendor("506f9a09") + vendor("0050f208", b"\0\x14\0") + vendor("0017f20a")
    frames = {
        "phone": probe_request(phone_elements(ssid=b"Cafe", tail=HE + EHT + vendors)),
        "ht-control": probe_request(phone_elements(), ht_control=b"\1\2\3\4"),
        "dropped": probe_request(
            element(84, b"\0\1a") + element(107, b"\1") + element(114, b"m") + extension(58, b"1234")
        ),
        "short-vendors": probe_request(element(221) + element(221, b"\0\x50") + vendor("12345678")),
        "empty-extension": probe_request(element(255) + extension(2) + extension(107, bytes(9))),
        "runs-over": probe_request(element(45, HT) + b"\xdd\x40ab"),
        "half-a-header": probe_request(b"\x2d"),
        "beacon": probe_request(b"", control=0x0080),
        "data": probe_request(b"", control=0x0048),
        "header-cut": probe_request(b"")[:23],
        "description": element(1, b"\2\4") + element(3) + vendor("0050f204") + vendor("0017f20a", b"\4abcd"),
    }
    return {name: bytes((index * 23,)) + frame for index, (name, frame) in enumerate(sorted(frames.items()))}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in seeds().items():
        (FOLDER / name).write_bytes(data)
