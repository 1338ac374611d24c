"""The seeds of the fuzzers: one small frame of each kind, built here and kept in tests/data/fuzz.

`python -m tests.fuzz.corpus` writes them; a test holds files and builders equal.
"""

from pathlib import Path

from tests import ble_builders as b
from tests.builders import HT, element, extension, phone_elements, probe_request, vendor

FOLDER = Path(__file__).parents[1] / "data" / "fuzz"
HE = extension(35, bytes(17) + b"\xfa\xff\xfa\xff")
EHT = extension(108, bytes(11) + b"\x22\x22\x22")


def dot11_seeds() -> dict[str, bytes]:
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


def ble_seeds() -> dict[str, bytes]:
    """Give each seed by name: an octet for address and event types, then a PDU."""
    fields = {0: b.STATIC[::-1], 1: bytes(6), 2: b"\0", 3: b"\1\2", 4: b"\1\2\3", 5: bytes(18), 6: b"\xf8"}
    pdus = {
        "phone": b.advert(),
        "ibeacon": b.advert(b.ibeacon(), address=b.PUBLIC, is_random=False, kind=b.ADV_NONCONN_IND),
        "eddystone-uid": b.advert(b.eddystone(b.EDDYSTONE_UID[:18])),
        "eddystone-tlm": b.advert(b.eddystone(b.EDDYSTONE_TLM)),
        "services": b.advert(b.structure(7, bytes(16)) + b.structure(0x19, b"\xc1\3") + b.structure(0x21, bytes(17))),
        "scan-response": b.advert(b.structure(9, b"name"), kind=b.SCAN_RSP),
        "directed": b.advert(b.PUBLIC, kind=b.ADV_DIRECT_IND),
        "scan-request": b.pdu(b.SCAN_REQ, bytes(12)),
        "extended": b.extended(b.phone_ad(), fields=fields),
        "anonymous": b.extended(fields={3: b"\1\2"}),
        "runs-over": b.advert(b"\x05\x09abc"),
        "padded": b.advert(b.structure(1, b"\6") + bytes(9)),
    }
    return {name: bytes((index * 23,)) + pdu for index, (name, pdu) in enumerate(sorted(pdus.items()))}


SEEDS = {"dot11": dot11_seeds, "ble": ble_seeds}

if __name__ == "__main__":
    for target, seeds in SEEDS.items():
        (FOLDER / target).mkdir(parents=True, exist_ok=True)
        for name, data in seeds().items():
            (FOLDER / target / name).write_bytes(data)
