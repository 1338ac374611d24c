"""One frame: address key, sequence, flags, SSID key and what the fingerprint is made of."""

import numpy as np
import pytest

from hostkit.core.dot11 import (
    ELEMENT_TABLE,
    FINGERPRINT_VERSION,
    FRAME,
    Space,
    Treatment,
    device_keys,
    parse_frame,
    parse_frames,
    record_of,
)
from hostkit.core.wire import RECORD, Flag
from hostkit.errors import InputError
from tests import oracles
from tests.builders import (
    ADDRESS,
    HT,
    KEY,
    RANDOMISED,
    element,
    extension,
    phone_elements,
    probe_request,
    vendor,
)

HE = bytes.fromhex("010000000000" + "0000000000000000000000" + "fafffaff")  # MAC, PHY, Rx and Tx MCS
EHT = bytes.fromhex("0200" + "e0ff1b003600000000" + "222222")  # MAC, PHY, MCS and streams up to 80 MHz


def fingerprint(tail: bytes = b"", **changed: bytes) -> int:
    return int(parse_frame(probe_request(phone_elements(tail=tail, **changed)), KEY)["fingerprint"])


def test_frame_has_what_its_sender_wrote() -> None:
    frame = probe_request(phone_elements(channel=11), address=ADDRESS, sequence=4095, fragment=5)
    row = parse_frame(frame, KEY)
    assert row["device_key"] == oracles.siphash(KEY, ADDRESS)
    assert (row["sequence"], row["channel"], row["element_count"], row["flags"]) == (4095, 11, 6, 0)
    assert (row["time_us"], row["rssi_dbm"], row["ssid_key"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("address", "control", "flags"),
    [
        (ADDRESS, 0x0040, 0),
        (RANDOMISED, 0x0040, Flag.RANDOMISED),
        (ADDRESS, 0x0840, Flag.RETRY),
        (RANDOMISED, 0x0840, Flag.RANDOMISED | Flag.RETRY),
    ],
)
def test_flags(address: bytes, control: int, flags: int) -> None:
    assert parse_frame(probe_request(b"", address=address, control=control), KEY)["flags"] == flags


def test_ht_control_comes_before_the_elements() -> None:
    plain = parse_frame(probe_request(phone_elements()), KEY)
    behind = parse_frame(probe_request(phone_elements(), ht_control=b"\x01\x02\x03\x04"), KEY)
    assert behind == plain


def test_named_network_is_keyed_and_wildcard_is_zero() -> None:
    named = parse_frame(probe_request(phone_elements(ssid=b"Cafe Luna")), KEY)
    assert named["ssid_key"] == oracles.siphash(KEY, b"Cafe Luna") & 0xFFFFFFFF
    assert named["fingerprint"] == fingerprint()
    assert parse_frame(probe_request(element(1, b"\x02")), KEY)["ssid_key"] == 0


def test_first_ssid_counts() -> None:
    twice = parse_frame(probe_request(element(0, b"one") + element(0, b"two")), KEY)
    assert twice["ssid_key"] == oracles.siphash(KEY, b"one") & 0xFFFFFFFF


# ---- what a fingerprint ignores, and what it does not ----

UNSEEN = {
    "ssid": (element(84, b"\0\3abc"), element(84, b"\0\3xyz")),
    "interworking": (element(107, b"\x0f" + ADDRESS), element(107, b"\x0f" + RANDOMISED)),
    "mesh id": (element(114, b"home"), element(114, b"elsewhere")),
    "FILS request": (extension(2, b"\x01\x02"), extension(2, b"\x05\x09\x07")),
    "WPS": (vendor("0050f204", b"uuid one"), vendor("0050f204", b"another uuid")),
    "P2P": (vendor("506f9a09", b"Anna's phone"), vendor("506f9a09", b"")),
    "Microsoft 8": (vendor("0050f208", b"\0\x14\0"), vendor("0050f208", b"\0\x15\0\x27")),
    "Epigram 4": (vendor("00904c04", b"\0\0\x20"), vendor("00904c04", b"\0\x60\0")),
    "MLD address": (extension(107, b"\x00\x01\x09" + ADDRESS), extension(107, b"\x00\x01\x09" + RANDOMISED)),
    "short SSID list": (extension(58, b"abcd"), extension(58, b"efghijkl")),
    "no SSID list": (extension(58, b"abcd"), element(84, b"\0\1a")),
    "band's address": (element(158, bytes(16) + ADDRESS), element(158, bytes(16) + RANDOMISED)),
    "EHT streams": (extension(108, EHT), extension(108, EHT[:11] + b"\x11\x11\x11")),
    "HE streams": (extension(35, HE), extension(35, HE[:17] + bytes((HE[17] ^ 0x08, HE[18], HE[19] ^ 0x04, HE[20])))),
}
SEEN = {
    "unknown element": (element(200, b"\1"), element(200, b"\2")),
    "unknown extension": (extension(77, b"\1"), extension(77, b"\2")),
    "empty extension": (element(255), extension(0)),
    "rates": (element(1, b"\x02"), element(1, b"\x04")),
    "vendor body": (vendor("8cfdf001", b"\1"), vendor("8cfdf001", b"\2")),
    "vendor type": (vendor("0050f204"), vendor("0050f205")),
    "short vendor": (element(221, b"\0\x50"), element(221, b"\0\x51")),
    "presence": (extension(2, b"\1"), b""),
    "order": (element(70, b"\1") + element(59, b"\1"), element(59, b"\1") + element(70, b"\1")),
    "element border": (element(200, b"\1\2"), element(200, b"\1") + b"\2\0"),
    "vendor length": (vendor("8cfdf001"), vendor("8cfdf001", b"\0")),
    "EHT phy": (extension(108, EHT), extension(108, EHT[:10] + b"\x01" + EHT[11:])),
    "HE phy": (extension(35, HE), extension(35, HE[:8] + b"\x01" + HE[9:])),
    "HE last octet": (extension(35, HE), extension(35, HE[:-1] + b"\xfe")),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_fingerprint_ignores(name: str) -> None:
    one, other = UNSEEN[name]
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("name", SEEN)
def test_fingerprint_tells_apart(name: str) -> None:
    one, other = SEEN[name]
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("octet", range(26))
def test_ht_capabilities_are_masked(octet: int) -> None:
    """Bit by bit: 40 MHz intolerant (bit 14) and the Rx MCS bitmask (octets 3 to 12 of the body) do not count."""
    for bit in range(8):
        flipped = HT[:octet] + bytes((HT[octet] ^ 1 << bit,)) + HT[octet + 1 :]
        ignored = octet in range(3, 13) or (octet, bit) == (1, 6)
        assert (fingerprint(ht=flipped) == fingerprint()) is ignored, f"octet {octet} bit {bit}"


def test_fingerprint_does_not_depend_on_the_key() -> None:
    frame = probe_request(phone_elements(ssid=b"x"))
    one, other = parse_frame(frame, KEY), parse_frame(frame, bytes(16))
    assert one["fingerprint"] == other["fingerprint"]
    assert one["device_key"] != other["device_key"]
    assert one["ssid_key"] != other["ssid_key"]


def test_fingerprints_spread_over_32_bits() -> None:
    """20,000 frames that differ in one body: collisions as in a random function, every bit set half the time."""
    bodies = [probe_request(element(200, index.to_bytes(3, "little"))) for index in range(20_000)]
    lengths = np.array([len(body) for body in bodies])
    rows = parse_frames(b"".join(bodies), np.cumsum(lengths) - lengths, lengths, KEY)
    assert len(np.unique(rows["fingerprint"])) >= 19_998
    share = (rows["fingerprint"][:, None] >> np.arange(32) & 1).mean(axis=0)
    assert np.all(np.abs(share - 0.5) < 0.02)


# ---- the table ----

GOLDEN_VERSION = 0x3A463498
GOLDEN_FINGERPRINT = 0xE60FD9C7


def test_table_is_the_one_published() -> None:
    """A change of the table is a change of every fingerprint: raise the figures here only on purpose."""
    assert FINGERPRINT_VERSION == GOLDEN_VERSION
    assert fingerprint(extension(35, HE) + vendor("0050f204", b"uuid")) == GOLDEN_FINGERPRINT


def test_table_drops_names_and_identities() -> None:
    treatment = {(rule.space, rule.code): rule.treatment for rule in ELEMENT_TABLE}
    assert treatment[Space.ELEMENT, 0] == treatment[Space.ELEMENT, 84] == Treatment.DROP
    assert treatment[Space.EXTENSION, 57] == treatment[Space.EXTENSION, 58] == Treatment.DROP
    assert treatment[Space.EXTENSION, 107] == treatment[Space.ELEMENT, 148] == Treatment.PRESENCE
    assert treatment[Space.VENDOR, 0x0050F204] == treatment[Space.VENDOR, 0x506F9A09] == Treatment.TYPE


def test_table_gives_no_two_rules_a_bit_but_0() -> None:
    bits = [rule.bit for rule in ELEMENT_TABLE if rule.bit]
    assert len(set(bits)) == len(bits) == 29


def test_every_masked_element_clears_bits_behind_its_header_and_no_other_does() -> None:
    for rule in ELEMENT_TABLE:
        assert any(rule.clear) is (rule.treatment == Treatment.MASKED)
        assert not any(rule.clear[: 3 if rule.space == Space.EXTENSION else 2])


# ---- malformed ----


@pytest.mark.parametrize("tail", [b"\x2d", b"\x2d\x1a", b"\xdd\x05\x00\x50\xf2\x04"])
def test_elements_past_the_end_are_flagged_and_the_rest_kept(tail: bytes) -> None:
    broken = parse_frame(probe_request(phone_elements(ssid=b"x") + tail), KEY)
    whole = parse_frame(probe_request(phone_elements(ssid=b"x")), KEY)
    assert broken["flags"] == Flag.MALFORMED
    assert broken["fingerprint"] == whole["fingerprint"]
    assert (broken["ssid_key"], broken["element_count"]) == (whole["ssid_key"], whole["element_count"])


def test_element_count_saturates() -> None:
    assert parse_frame(probe_request(element(200) * 300), KEY)["element_count"] == 255


def test_first_channel_counts() -> None:
    assert parse_frame(probe_request(element(3, b"\0") + element(3, b"\6") + element(3, b"\x0b")), KEY)["channel"] == 6


def test_channel_needs_a_ds_element_of_one_octet() -> None:
    assert parse_frame(probe_request(element(3, b"\6\6")), KEY)["channel"] == 0


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x40",
        probe_request(b"")[:23],
        probe_request(b"", control=0x0080),  # beacon
        probe_request(b"", control=0x0048),  # data
        probe_request(b"", control=0x4040),  # encrypted
        probe_request(b"", control=0x0041),  # version 1
    ],
)
def test_other_frames_are_refused(frame: bytes) -> None:
    good = probe_request(b"")
    with pytest.raises(InputError, match=r"^frame 1: not a whole probe request; "):
        parse_frames(good + frame, np.array([0, len(good)]), np.array([len(good), len(frame)]), KEY)
    assert record_of(frame, KEY, offset_us=0, rssi_dbm=-50, channel=1) == b""


@pytest.mark.parametrize(("offset", "length"), [(-1, 24), (0, -1), (0, 25), (24, 1), (2**62, 2**62)])
def test_frames_outside_the_buffer_are_refused(offset: int, length: int) -> None:
    with pytest.raises(InputError, match=r"^frame 0: "):
        parse_frames(probe_request(b""), np.array([offset]), np.array([length]), KEY)


# ---- the probe's record ----


def test_record_carries_what_the_row_does() -> None:
    frame = probe_request(phone_elements(ssid=b"x", channel=11), address=RANDOMISED, sequence=1234)
    packed = record_of(frame, KEY, offset_us=2**32 - 1, rssi_dbm=-128, noise_dbm=-95, channel=6)
    record, row = np.frombuffer(packed, RECORD)[0], parse_frame(frame, KEY)
    for name in ("device_key", "fingerprint", "ssid_key", "sequence", "channel", "flags"):
        assert record[name] == row[name], name
    assert (record["offset_us"], record["rssi_dbm"], record["noise_dbm"]) == (2**32 - 1, -128, -95)


def test_record_of_a_frame_without_ds_has_the_tuned_channel() -> None:
    packed = record_of(probe_request(element(0)), KEY, offset_us=0, rssi_dbm=-50, channel=13)
    assert np.frombuffer(packed, RECORD)["channel"] == 13


# ---- keys ----


def test_device_keys_are_those_of_frames() -> None:
    keys = device_keys([ADDRESS, RANDOMISED], KEY)
    assert keys.tolist() == [oracles.siphash(KEY, ADDRESS), oracles.siphash(KEY, RANDOMISED)]
    assert device_keys([], KEY).tolist() == []


def test_device_keys_refuse_other_lengths() -> None:
    with pytest.raises(ValueError, match="6 bytes"):
        device_keys([ADDRESS, ADDRESS[:5]], KEY)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        parse_frame(probe_request(b""), bytes(size))


def test_frame_rows_hold_no_address() -> None:
    """No run of four octets of the address survives in a row."""
    frame = probe_request(phone_elements(), address=RANDOMISED)
    packed = parse_frame(frame, KEY).tobytes() + record_of(frame, KEY, offset_us=0, rssi_dbm=-50, channel=1)
    assert not [start for start in range(3) if RANDOMISED[start : start + 4] in packed]
    assert FRAME.itemsize == 36
