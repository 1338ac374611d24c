"""Descriptions: what they hold, what they never hold, and the fingerprint found again from them."""

import random

import pytest

from hostkit.core.describe import (
    MAX_DESCRIPTION_BYTES,
    describe_frame,
    identity,
    read_description,
    split_elements,
)
from hostkit.core.dot11 import Space, Treatment, parse_frame
from hostkit.core.volatile import VolatileMask
from hostkit.errors import InputError
from tests import oracles
from tests.builders import ADDRESS, HT, KEY, element, extension, phone_elements, probe_request, vendor
from tests.core.test_dot11_twin import random_elements

SEED = 20240229
SECRETS = {
    "network": element(0, b"Cafe Luna"),
    "network list": element(84, b"\0\x09Cafe Luna"),
    "mesh": element(114, b"Cafe Luna"),
    "interworking": element(107, b"\x0f" + b"Cafe Luna"),
    "WPS": vendor("0050f204", b"Cafe Luna"),
    "P2P": vendor("506f9a09", b"Cafe Luna"),
    "Apple": vendor("0017f20a", b"Cafe Luna"),
    "unknown vendor": vendor("12345678", b"Cafe Luna"),
    "short SSID list": extension(58, b"Cafe Luna"),
    "known BSSIDs": extension(57, b"Cafe Luna"),
    "FILS": extension(2, b"Cafe Luna"),
    "multi-link": extension(107, b"Cafe Luna"),
    "multi-band": element(158, b"Cafe Luna"),
}


@pytest.mark.parametrize("number", range(300))
def test_fingerprint_is_found_again_and_both_are_the_twins(number: int) -> None:
    rng = random.Random(SEED + number)
    frame = probe_request(random_elements(rng) + (b"\xdd\x40ab" if rng.random() < 0.2 else b""))
    description = describe_frame(frame)
    assert description.data == oracles.describe(frame)
    assert description.fingerprint == parse_frame(frame, KEY)["fingerprint"]
    assert read_description(description.data) == description
    assert len(list(description.elements)) == len(str(description).splitlines())
    assert VolatileMask({}).classify(description.data) == description.fingerprint


@pytest.mark.parametrize("name", SECRETS)
def test_description_holds_no_name(name: str) -> None:
    """No three letters of what the element held, and not the address."""
    frame = probe_request(phone_elements(tail=SECRETS[name]), address=ADDRESS)
    description = describe_frame(frame)
    for text in (b"Cafe Luna", ADDRESS):
        assert not [at for at in range(len(text) - 2) if text[at : at + 3] in description.data]
    assert b"Luna".hex() not in str(description)


def test_elements_are_told_by_class() -> None:
    tail = vendor("0050f204", b"uuid") + vendor("0017f20a", b"abc") + extension(2, b"xyz") + element(200, b"\1")
    found = {(one.space, one.code): one for one in describe_frame(probe_request(phone_elements(tail=tail))).elements}
    assert (Space.ELEMENT, 0) not in found
    assert found[Space.ELEMENT, 3].treatment == Treatment.PRESENCE
    assert (found[Space.VENDOR, 0x0050F204].treatment, found[Space.VENDOR, 0x0050F204].digest) == (Treatment.TYPE, None)
    apple = found[Space.VENDOR, 0x0017F20A]
    assert (apple.length, apple.kept, apple.digest is None) == (7, b"", False)
    assert found[Space.EXTENSION, 2].length is None
    assert (found[Space.ELEMENT, 200].kept, found[Space.ELEMENT, 200].length) == (b"\1", 1)
    assert found[Space.ELEMENT, 45].kept == HT[:1] + bytes((HT[1] & ~0x40, HT[2])) + bytes(10) + HT[13:]


def test_text_has_a_line_an_element() -> None:
    tail = vendor("0050f204", b"uuid") + extension(2, b"xyz")
    assert str(describe_frame(probe_request(element(0, b"x") + element(1, b"\2\4") + tail))).splitlines() == [
        "element 1 STABLE, 2 octets: 0204",
        "vendor 0x50f204 TYPE",
        "extension 2 PRESENCE",
    ]


def test_other_frames_have_none() -> None:
    for frame in (b"", probe_request(b"", control=0x0080), probe_request(b"")[:23]):
        with pytest.raises(InputError, match="not a whole probe request"):
            describe_frame(frame)


NO_DESCRIPTIONS = {
    "runs over": b"\x01\x02\x03",
    "half a header": b"\x01",
    "a dropped element": element(0),
    "a name": element(0, b"Cafe"),
    "presence with a body": element(3, b"\6"),
    "a type with a body": vendor("0050f204", b"uuid"),
    "a vendor's body": vendor("0017f20a", b"abc"),
    "bits under the mask": element(45, HT[:3] + b"\xff" + HT[4:]),
    "too long": element(1, bytes(255)) * (MAX_DESCRIPTION_BYTES // 257 + 1),
}


@pytest.mark.parametrize("name", NO_DESCRIPTIONS)
def test_what_no_frame_can_come_to_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^rsp of door: no description of a frame; "):
        read_description(NO_DESCRIPTIONS[name], where="rsp of door")


def test_mutated_descriptions_are_refused_or_describe_themselves() -> None:
    """A hub believes no probe: whatever is accepted is a fixed point of the reduction."""
    rng = random.Random(SEED)
    refused = 0
    for _ in range(3000):
        data = bytearray(oracles.describe(probe_request(random_elements(rng))))
        for _ in range(rng.randrange(1, 4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            accepted = read_description(bytes(data))
        except InputError:
            refused += 1
            continue
        assert accepted.fingerprint == oracles.fingerprint_of(bytes(data))
        assert b"".join(split_elements(accepted.data)) == accepted.data
        for one in split_elements(accepted.data):
            is_digest = identity(one)[0] == Space.VENDOR and one[1] == 9
            assert is_digest or oracles.describe(probe_request(one)) == one
    assert 100 < refused < 2900
