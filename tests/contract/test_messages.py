"""Types, schemas, examples and topics say the same; hostile payloads are refused in one line."""

import json
import re
from binascii import crc32
from datetime import UTC, datetime

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit import contract
from hostkit.contract import generate, messages
from hostkit.contract.codec import KINDS, KPI, VISITS, compose, decode, decode_state, encode, whole
from hostkit.contract.messages import CoverageRow, KeySpan, KpiValue, State, Visits
from hostkit.contract.topics import Address
from hostkit.errors import PeerError, UsageError
from hostkit.model import PrivacyMode, Provenance
from tests.contract import strategies

VALIDATOR = jsonschema.Draft202012Validator
EXAMPLES = [
    (name, index) for name in contract.schema_names() for index in range(len(contract.schema(name)["examples"]))
]
TOPIC_OF = {row.schema: row.stream.replace("<verb>", "x").replace("<id>", "x") for row in contract.topics().values()}


def validator(name: str) -> jsonschema.Draft202012Validator:
    return VALIDATOR(contract.schema(name), format_checker=VALIDATOR.FORMAT_CHECKER)


def topic_for(message: dict[str, object]) -> str:
    _, tenant, site, node = message["source"].split("/")
    return contract.topic(tenant, site, node, TOPIC_OF[message["type"].rpartition(".")[2]])


def test_every_kind_has_a_schema_and_a_topic() -> None:
    assert set(contract.schema_names()) == {"state", *KINDS}
    assert {row.schema for row in contract.topics().values()} == {"state", "wire", *KINDS}


@pytest.mark.parametrize("name", contract.schema_names())
def test_a_schema_is_sound_and_what_the_types_say(name: str) -> None:
    written = contract.schema(name)
    VALIDATOR.check_schema(written)
    assert written["examples"], "every schema shows an example"
    text = contract.files(contract.__package__).joinpath(f"schema/{name}.json").read_text("utf-8")
    assert text == generate.dump(generate.build(name, written["examples"])), "run python -m hostkit.contract.generate"


@pytest.mark.parametrize(("name", "index"), EXAMPLES)
def test_every_example_is_valid_and_encodes_to_itself(name: str, index: int) -> None:
    example = contract.schema(name)["examples"][index]
    validator(name).validate(example)
    if name == "state":
        assert decode_state(example.encode(), "footfall/v1/a/b/c/state") == example
        return
    message = decode(KINDS[name], json.dumps(example).encode(), topic_for(example))
    sent = encode(KINDS[name], message)
    assert whole(sent)
    keyed = bool(example["data"].get("keys"))
    assert json.loads(sent) == example | ({} if keyed else {"crc32": f"{crc32(sent[:-20]):08x}"})


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_the_types_hold_is_valid_and_comes_back(name: str, data: st.DataObject) -> None:
    message = data.draw(strategies.messages(name))
    payload = encode(KINDS[name], message)
    plain = json.loads(payload)
    validator(name).validate(plain)
    assert decode(KINDS[name], payload, topic_for(plain)) == message


KEY_LIKE = re.compile(r"device_?key|address|\bmac\b|bssid|ssid|imei|imsi|pseudonym(?!_24h)|serial|hostname", re.I)


def property_names(node: object) -> set[str]:
    if isinstance(node, list):
        return set().union(*(property_names(item) for item in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    here = node.get("properties", {})
    names = set(here) if isinstance(here, dict) else set()
    return names.union(*(property_names(value) for value in node.values()))


@pytest.mark.parametrize("name", contract.schema_names())
def test_no_field_could_hold_a_device_key(name: str) -> None:
    schema = contract.schema(name)
    names = property_names(schema["$defs"]) if "$defs" in schema else set()
    assert not [field for field in names if KEY_LIKE.search(field)]
    assert ("key" in names) == (name in ("cmd", "rsp")), "a site key travels to a probe and back only"
    assert ("fingerprint" in names or "fingerprints" in names) == (name in ("cmd", "rsp"))
    objects = [node for node in schema.get("$defs", {}).values() if node.get("type") == "object"]
    assert all(node["additionalProperties"] is False for node in objects)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_message_has_a_key_like_field_anywhere(name: str, data: st.DataObject) -> None:
    plain = json.loads(encode(KINDS[name], data.draw(strategies.messages(name))))
    counters = {"counters", "drops", "values", "settings"}  # their names are counters' and keys of settings
    assert not [field for field in keys_of(plain, skip=counters) if KEY_LIKE.search(field)]


def keys_of(node: object, skip: set[str]) -> set[str]:
    if isinstance(node, list):
        return set().union(*(keys_of(item, skip) for item in node)) if node else set()
    if not isinstance(node, dict):
        return set()
    return set(node).union(*(keys_of(value, skip) for key, value in node.items() if key not in skip))


def test_a_reader_ignores_what_it_does_not_know_and_drops_it() -> None:
    example = contract.schema("visits")["examples"][0]
    row = {**example["data"]["rows"][0], "device_key": "a129ca6149be45e5"}
    newer = {**example, "x": [1], "data": {**example["data"], "rows": [row], "y": {"z": None}}}
    with pytest.raises(jsonschema.ValidationError):
        validator("visits").validate(newer)
    message = decode(VISITS, json.dumps(newer).encode(), topic_for(example))
    assert b"a129ca6149be45e5" not in encode(VISITS, message)


def bad(change: dict[str, object], **data: object) -> bytes:
    example = contract.schema("visits")["examples"][0]
    return json.dumps({**example, **change, "data": {**example["data"], **data}}).encode()


VISITS_TOPIC = "footfall/v1/acme/shop-12/hub/visits"
REFUSALS = [
    (b"", "Input data was truncated"),
    (b"{", "Input data was truncated"),
    (b"\xff", "JSON is malformed: invalid character (byte 0)"),
    (b"[" * 100_000, "Expected `object`, got `array`"),
    (b'{"x":' + b"[" * 100_000, "maximum recursion depth exceeded while deserializing an object"),
    (b"[]", "Expected `object`, got `array`"),
    (bad({"seq": -1}), "seq: Expected `int` >= 0"),
    (bad({"specversion": "0.3"}), "specversion: Invalid enum value '0.3'"),
    (bad({"specversion": "1\n\x1b[31m"}), "specversion: Invalid enum value '1\\n\\x1b[31m'"),
    (bad({"specversion": "x" * 1000}), f"specversion: Invalid enum value '{'x' * 180}"),
    (bad({"type": "footfall.v1.live"}), "type: type is footfall.v1.live, not footfall.v1.visits"),
    (bad({"seq": 7}), "id: id is not <boot>-<seq>"),
    (bad({"source": "/acme/shop-13/hub"}), "its source /acme/shop-13/hub may not publish here"),
    (bad({"source": "/acme/shop-12/probe-1"}), "its source /acme/shop-12/probe-1 may not publish here"),
    (bad({"time": "2026-03-14T11:05:00"}), "time: Expected `datetime` with a timezone component"),
    (bad({"boot": "K3"}), "boot: Expected `str` matching regex '^[a-z0-9-]{1,32}$(?!\\\\n)'"),
    (bad({"boot": "k3\n"}), "boot: Expected `str` matching regex '^[a-z0-9-]{1,32}$(?!\\\\n)'"),
    (bad({}, rows=[{}]), "data.rows[0]: Object missing required field `visit_id`"),
    (bad({}, privacy_mode="anonymous_5min"), "data: no visits leave the site in anonymous_5min"),
    (bad({}, time_grain_s=3600), "data: a time is finer than time_grain_s"),
    (bad({}, rows=None), "data.rows: Expected `array`, got `null`"),
    (b" " * (1 << 20) + b"{}", "1048578 bytes, at most 1048576"),
]


@pytest.mark.parametrize(("payload", "what"), REFUSALS, ids=[what[:50] for _, what in REFUSALS])
def test_a_bad_payload_is_refused_in_one_line(payload: bytes, what: str) -> None:
    with pytest.raises(PeerError) as caught:
        decode(VISITS, payload, VISITS_TOPIC)
    assert str(caught.value) == f"{VISITS_TOPIC}: {what}; quarantine it and look at its sender's version"


def test_a_verb_with_control_characters_is_shown_without_them() -> None:
    example = contract.schema("cmd")["examples"][0]
    payload = json.dumps({**example, "data": {**example["data"], "verb": "x\r\x1b[31m - at `$.y"}}).encode()
    with pytest.raises(PeerError) as caught:
        decode(KINDS["cmd"], payload, "footfall/v1/acme/shop-12/hub/cmd/replay")
    assert caught.value.what == "Invalid value 'x??[31m - at `$.y'"
    assert caught.value.where == "footfall/v1/acme/shop-12/hub/cmd/replay: data.verb"


def test_a_message_on_the_topic_of_another_kind_is_refused() -> None:
    payload = json.dumps(contract.schema("visits")["examples"][0]).encode()
    with pytest.raises(PeerError, match="is a topic of live, not of visits"):
        decode(VISITS, payload, "footfall/v1/acme/shop-12/hub/live")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_fuzz_a_damaged_payload_decodes_or_is_refused(name: str, data: st.DataObject) -> None:
    example = data.draw(st.sampled_from(contract.schema(name)["examples"]))
    payload = bytearray(json.dumps(example).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    assert _decodes_or_is_refused(name, bytes(payload), topic_for(example))


def _decodes_or_is_refused(name: str, payload: bytes, topic: str) -> bool:
    try:
        message = decode(KINDS[name], payload, topic)
    except PeerError:
        return True
    return bool(encode(KINDS[name], message))


@pytest.mark.parametrize("payload", [b"", b"ONLINE", b'"online"', b"\xff", b"online\n", b"x" * 1000])
def test_a_state_is_one_of_three_words(payload: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        decode_state(payload, "footfall/v1/a/b/c/state")
    assert caught.value.what == "not one of online, offline, sleeping"
    assert decode_state(b"sleeping", "footfall/v1/a/b/c/state") is State.SLEEPING


COVERAGE = CoverageRow(listened_share=0.3, probes_up=1, probes_expected=1, completeness=None)
KPI_RULES = [
    ({"value": float("nan")}, "value, low and high must be finite"),
    ({"value": 1.0, "high": float("inf")}, "value, low and high must be finite"),
    ({"value": None}, "a value has no reason, a null value has one"),
    ({"value": 0.0, "reason": "closed"}, "a value has no reason, a null value has one"),
    ({"value": None, "reason": "suppressed"}, "`below` goes with the reason suppressed and only with it"),
    ({"value": 3.0, "below": 5}, "`below` goes with the reason suppressed and only with it"),
    ({"value": None, "reason": "closed", "low": 1.0}, "a null value has no interval"),
    ({"value": 3.0, "low": 4.0, "high": 3.0}, "low is above high"),
]


@pytest.mark.parametrize("place", ["start_s", "end_s"])
@pytest.mark.parametrize("index", [0, 1])
def test_no_time_finer_than_the_grain_leaves(place: str, index: int) -> None:
    row = contract.schema("visits")["examples"][0]["data"]["rows"][0]
    times = list(row[place])
    times[index] += 1
    with pytest.raises(PeerError, match="a time is finer than time_grain_s"):
        decode(VISITS, bad({}, rows=[{**row, place: times}]), VISITS_TOPIC)


@pytest.mark.parametrize(("fields", "what"), KPI_RULES)
def test_a_figure_cannot_contradict_itself(fields: dict[str, object], what: str) -> None:
    rest = {"id": "footfall", "version": 1, "method": "visits", "coverage": COVERAGE}
    with pytest.raises(ValueError, match=re.escape(what)):
        KpiValue(**rest, **fields, privacy_mode=PrivacyMode.CONSENT, provenance=Provenance.LIVE)


def test_an_interval_may_have_no_width() -> None:
    rest = {
        "id": "footfall",
        "version": 1,
        "method": "visits",
        "coverage": COVERAGE,
        "privacy_mode": PrivacyMode.CONSENT,
    }
    assert KpiValue(**rest, value=3.0, low=3.0, high=3.0, provenance=Provenance.LIVE).value == 3.0


def test_the_schema_holds_the_same_rules_of_null_and_suppression() -> None:
    example = contract.schema("kpi")["examples"][0]
    for fields in (
        {"value": None},
        {"value": 0.0, "reason": "closed"},
        {"value": None, "reason": "suppressed"},
        {"value": 3.0, "below": 5},
        {"value": None, "reason": "closed", "low": 1.0},
    ):
        kpi = {
            name: value for name, value in example["data"]["kpis"][0].items() if name not in ("low", "high")
        } | fields
        broken = {**example, "data": {**example["data"], "kpis": [kpi]}}
        assert not validator("kpi").is_valid(broken), fields
        with pytest.raises(msgspec.ValidationError):
            KPI.decoder.decode(json.dumps(broken))


def test_the_schema_lets_no_visit_out_in_anonymous_mode() -> None:
    assert not validator("visits").is_valid(json.loads(bad({}, privacy_mode="anonymous_5min")))
    assert validator("visits").is_valid(json.loads(bad({}, privacy_mode="consent")))


def test_a_desired_configuration_is_for_a_hub_or_for_a_probe() -> None:
    example = contract.schema("config")["examples"][0]
    for data in ({"config_hash": "00"}, {**example["data"], "probe": {"id": "p"}}):
        assert not validator("config").is_valid({**example, "data": data})
        with pytest.raises(msgspec.ValidationError, match="needs either"):
            KINDS["config"].decoder.decode(json.dumps({**example, "data": data}))


def test_what_would_be_refused_is_not_sent() -> None:
    message = compose(
        VISITS,
        Visits(time_grain_s=1, privacy_mode=PrivacyMode.CONSENT, rows=()),
        publisher=Address(tenant="a", site="b", node="hub"),
        at=datetime(2026, 3, 14, tzinfo=UTC),
        boot="k3",
        seq=1,
        provenance=Provenance.SIMULATED,
    )
    with pytest.raises(UsageError) as caught:
        encode(VISITS, message)
    assert str(caught.value) == (
        "message k3-1 of kind visits: Expected `int` >= 60 - at `$.data.time_grain_s`; correct it before sending"
    )


def test_a_site_key_is_never_printed() -> None:
    span = KeySpan(key_id=7, key="00" * 16, from_s=0, until_s=1)
    assert repr(span) == "KeySpan(key_id=7)"
    assert "0000" not in repr(messages.GiveKeys(id="k", keys=(span,)))
