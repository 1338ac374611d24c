"""Learnt volatile fields: what is found, what is left alone, saving, adding up, and what a hostile file comes to."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.core.describe import describe_frame
from hostkit.core.dot11 import FINGERPRINT_VERSION, CaptureReader, Space
from hostkit.core.volatile import (
    MAX_DESCRIPTIONS,
    MAX_DEVICES,
    MAX_FIELDS,
    FieldCounts,
    Json,
    VolatileFields,
    VolatileMask,
    VolatileRule,
)
from hostkit.errors import InputError
from tests.builders import ADDRESS, KEY, Packet, element, heard, pcap, phone_elements, probe_request, vendor

PHONES = 20
COUNTING = 0x11223344  # a vendor type whose body counts


def address(phone: int) -> bytes:
    return b"\x02" + phone.to_bytes(5, "big")


def tail(kind: str, step: int) -> bytes:
    """One element that changes from frame to frame, or does not."""
    return {
        "vendor": vendor("11223344", bytes((step % 7,))),
        "octet": element(200, bytes((9, step % 3, 9))),
        "length": element(201, bytes(1 + step % 2)),
        "presence": element(202, b"\1") if step % 2 else b"",
        "still": element(203, b"\7"),
        "rare": element(204, b"\1" if step == 99 else b"\2"),
    }[kind]


def stream(kind: str, frames: int = 100, phones: int = PHONES) -> bytes:
    """A capture of phones that take turns, each with one element of that kind."""
    bodies = (
        probe_request(phone_elements(tail=tail(kind, step)), address=address(phone), sequence=step)
        for step in range(frames)
        for phone in range(phones)
    )
    return pcap([Packet(data=heard(body), time_us=1_700_000_000_000_000 + at) for at, body in enumerate(bodies)])


def learnt(capture: bytes, chunk: int = 10_000) -> VolatileFields:
    fields = VolatileFields()
    reader = CaptureReader(capture, KEY, volatile=fields)
    while len(rows := reader.read(chunk)):
        fields.learn(rows)
    return fields


RULES = {
    "vendor": {(Space.VENDOR, COUNTING): VolatileRule(octets=(7, 8, 9, 10))},
    "octet": {(Space.ELEMENT, 200): VolatileRule(octets=(3,))},
    "length": {(Space.ELEMENT, 201): VolatileRule(bare=True)},
    "presence": {(Space.ELEMENT, 202): VolatileRule(drop=True)},
    "still": {},
    "rare": {(Space.ELEMENT, 204): VolatileRule(octets=(2,))},
}


@pytest.mark.parametrize("kind", RULES)
def test_what_changes_is_found_and_left_out(kind: str) -> None:
    capture = stream(kind)
    mask = learnt(capture).mask()
    assert dict(mask.rules) == RULES[kind]
    plain = CaptureReader(capture, KEY).read()["fingerprint"]
    masked = CaptureReader(capture, KEY, volatile=mask).read()["fingerprint"]
    assert len(np.unique(masked)) == 1
    assert len(np.unique(plain)) == {"vendor": 7, "octet": 3, "length": 2, "presence": 2, "still": 1, "rare": 2}[kind]


def test_a_rate_is_believed_three_deviations_above_half_a_percent() -> None:
    """One change in each phone's 99 pairs, 20 in 1,980; of 10,000 pairs 50 + 3 * sqrt(50) = 71.2 must change."""
    fields = learnt(stream("rare"))
    counts = fields.fields[Space.ELEMENT, 204]
    assert (counts.pairs, counts.octets) == (99 * PHONES, {2: PHONES})
    assert fields.mask().rules != {}
    for octets, is_volatile in ((71, False), (72, True)):
        counts.pairs, counts.octets = 10_000, {2: octets}
        assert bool(fields.mask().rules) is is_volatile


@pytest.mark.parametrize(("frames", "is_volatile"), [(4, False), (5, True)])
def test_few_pairs_say_little(frames: int, is_volatile: bool) -> None:
    """Three changes could be a fault of the air, whatever their share."""
    assert bool(learnt(stream("octet", frames=frames, phones=1)).mask().rules) is is_volatile


def test_phones_are_not_compared_with_each_other() -> None:
    """Every phone has its own value and keeps it."""
    bodies = [
        probe_request(element(200, bytes((phone,))), address=address(phone)) for _ in range(60) for phone in range(20)
    ]
    assert learnt(pcap([Packet(data=heard(body)) for body in bodies])).mask().rules == {}


def test_broken_frames_teach_nothing() -> None:
    bodies = [probe_request(element(200, bytes((step % 3,))) + b"\x2d", address=ADDRESS) for step in range(600)]
    assert learnt(pcap([Packet(data=heard(body)) for body in bodies])).fields == {}


@pytest.mark.parametrize("chunk", [1, 7, 333])
def test_chunks_equal_the_whole(chunk: int) -> None:
    assert learnt(stream("vendor"), chunk).fields == learnt(stream("vendor")).fields


def test_mask_leaves_what_it_does_not_name() -> None:
    """Masked fingerprints differ where the rest differs, for every rule."""
    mask = VolatileMask({key: rule for rules in RULES.values() for key, rule in rules.items()})
    for kind in RULES:
        tails = [tail(kind, step) + element(210, bytes((step % 2,))) for step in range(6)]
        classes = [mask.classify(describe_frame(probe_request(phone_elements(tail=one))).data) for one in tails]
        assert len(set(classes)) == 2


def test_version_names_table_and_rules() -> None:
    one = VolatileMask(RULES["vendor"])
    assert VolatileMask({}).version == FINGERPRINT_VERSION
    assert one.version == VolatileMask(dict(one.rules)).version
    both = RULES["vendor"] | RULES["octet"]
    versions = {VolatileMask(rules).version for rules in (*RULES.values(), both, {})}
    assert len(versions) == len(RULES) + 1
    assert VolatileMask(both).version == VolatileMask(dict(reversed(both.items()))).version


# ---- adding up, saving ----

COUNTS = st.integers(0, 10**6)


@st.composite
def some_fields(draw: st.DrawFn) -> VolatileFields:
    fields = VolatileFields()
    for _ in range(draw(st.integers(0, 6))):
        space = draw(st.sampled_from(list(Space)))
        code = draw(st.integers(0, 2**32 - 1 if space == Space.VENDOR else 255))
        pairs = draw(COUNTS)
        below = st.integers(0, pairs)
        octets = draw(st.dictionaries(st.integers(2, 256), below, max_size=4))
        fields.fields[space, code] = FieldCounts(pairs=pairs, presence=draw(below), length=draw(below), octets=octets)
    return fields


@given(some_fields(), some_fields(), some_fields())
def test_merging_adds_in_any_order(one: VolatileFields, two: VolatileFields, three: VolatileFields) -> None:
    total = one.merged(two).merged(three)
    assert total.fields == three.merged(one.merged(two)).fields == two.merged(three).merged(one).fields
    assert sum(counts.pairs for counts in total.fields.values()) == sum(
        counts.pairs for fields in (one, two, three) for counts in fields.fields.values()
    )
    assert total.mask().version == three.merged(two).merged(one).mask().version
    assert VolatileFields().merged(one).fields == one.fields


def test_two_halves_of_the_phones_add_up_to_all() -> None:
    """Learnt apart and merged, as hubs would: the counts of the whole."""
    capture = stream("vendor")
    head, body = capture[:24], capture[24:]
    size = len(body) // 2000
    packets = [body[at : at + size] for at in range(0, len(body), size)]
    halves = [head + b"".join(packets[at] for at in range(2000) if at % PHONES % 2 == half) for half in (0, 1)]
    merged = learnt(halves[0]).merged(learnt(halves[1]))
    assert merged.fields == learnt(capture).fields


@given(some_fields())
def test_saved_is_loaded(fields: VolatileFields) -> None:
    text = json.dumps(fields.to_json())
    assert VolatileFields.from_json(json.loads(text)).fields == fields.fields


def test_saved_holds_no_address_and_no_key() -> None:
    fields = learnt(stream("vendor"))
    text = json.dumps(fields.to_json())
    keys = CaptureReader(stream("vendor"), KEY).read()["device_key"]
    assert not [key for key in np.unique(keys).tolist() if str(key) in text or f"{key:016x}" in text]
    assert not [phone for phone in range(PHONES) if address(phone).hex() in text]
    assert set(fields.to_json()) == {"format", "element_table", "fields"}


FIELD: dict[str, Json] = {"space": "vendor", "code": 1, "pairs": 9, "presence": 1, "length": 0, "octets": {"2": 3}}
HOSTILE: dict[str, Json] = {
    "not an object": [],
    "nothing": {},
    "another format": {"format": 2, "element_table": FINGERPRINT_VERSION, "fields": []},
    "another table": {"format": 1, "element_table": FINGERPRINT_VERSION ^ 1, "fields": []},
    "fields no list": {"format": 1, "element_table": FINGERPRINT_VERSION, "fields": {}},
    "too many": {"format": 1, "element_table": FINGERPRINT_VERSION, "fields": [FIELD] * 65_537},
    "a field no object": {"format": 1, "element_table": FINGERPRINT_VERSION, "fields": [7]},
    "twice": {"format": 1, "element_table": FINGERPRINT_VERSION, "fields": [FIELD, FIELD]},
}
WRONG: dict[str, list[Json]] = {
    "space": ["radio", None, 1],
    "code": [-1, 2**32, "1", True, None],
    "pairs": [-1, 2**53, "9", None, True],
    "presence": [10, -1],
    "length": [10, "0"],
    "octets": [{"1": 1}, {"257": 1}, {"x": 1}, {"²": 1}, {"2": 10}, {"2": -1}, [], None, {"99999999999": 1}],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^a\.json: .*; learn the fields anew$"):
        VolatileFields.from_json(HOSTILE[name], where="a.json")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_hostile_fields_are_refused(name: str, value: Json) -> None:
    data: Json = {"format": 1, "element_table": FINGERPRINT_VERSION, "fields": [{**FIELD, name: value}]}
    with pytest.raises(InputError, match=r"^a\.json: field 0: "):
        VolatileFields.from_json(data, where="a.json")


# ---- bounds ----


def test_state_is_bounded() -> None:
    """A sender that invents elements and addresses: neither fields, nor devices, nor descriptions grow for ever."""
    rng = random.Random(1)
    fields = VolatileFields()
    bodies = [
        probe_request(vendor(rng.randbytes(4).hex(), rng.randbytes(2)), address=rng.randbytes(5) + bytes((step % 3,)))
        for step in range(MAX_DEVICES + 4000)
    ]
    same = [probe_request(vendor(rng.randbytes(4).hex()), address=ADDRESS) for _ in range(3000)]
    reader = CaptureReader(pcap([Packet(data=heard(body)) for body in (*same, *bodies)]), KEY, volatile=fields)
    while len(rows := reader.read(8192)):
        fields.learn(rows)
    assert len(fields.fields) == MAX_FIELDS
    assert len(fields._last) == MAX_DEVICES
    assert len(fields._descriptions) <= MAX_DESCRIPTIONS


def test_no_description_is_the_callers_fault() -> None:
    for classify in (VolatileFields().classify, VolatileMask({}).classify):
        with pytest.raises(ValueError, match="no description"):
            classify(element(0, b"name"))


def test_a_failing_classifier_is_heard_of() -> None:
    class Failing:
        def classify(self, description: bytes) -> int:
            raise RuntimeError("not today")

    with pytest.raises(RuntimeError, match="not today"):
        CaptureReader(stream("still", frames=2), KEY, volatile=Failing()).read()
