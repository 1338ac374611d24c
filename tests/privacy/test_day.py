"""After a simulated day nothing that names a phone is in any file, log, message or byte on the wire, but where it must.

Device keys travel in `obs`, site keys in `cmd/key` and in the answer to `cmd/ask-key`; nothing else may hold one, but
for the device key of a registered tag beside the site key. A tag's address is in the hub's list of tags alone.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.contract.codec import HEALTH, VISITS
from hostkit.hub.tags import TAGS
from tests.privacy.day import ADDRESS, DEVICE_KEY, KEY, SSID, Day
from tests.privacy.search import Found

pytestmark = pytest.mark.needs("mosquitto")


def allowed(topic: str) -> frozenset[str]:
    """Give the kinds a message on `topic` may hold."""
    if topic.endswith("/obs"):
        return frozenset({DEVICE_KEY})
    if topic.endswith("/cmd/key"):
        return frozenset({KEY, DEVICE_KEY})
    return frozenset({KEY}) if "/rsp/" in topic else frozenset()


def in_files(day: Day) -> dict[str, list[Found]]:
    found = {str(path.relative_to(day.folder)): day.search.find(path.read_bytes()) for path in day.files()}
    return {name: hits for name, hits in found.items() if hits}


def test_the_day_was_one_worth_looking_at(day: Day) -> None:
    assert len(day.ruled) == 2  # the key rotated
    assert len(day.keys) == 3  # and the next one was given
    rows = [row for message in day.tap.of("visits") for row in VISITS.decoder.decode(message.payload).data.rows]
    assert len(rows) > 30
    names = {path.name for path in day.files()}
    assert {"hub.db", "collector.sqlite", "mosquitto.db", "hub.log", "collector.log", "mosquitto.log"} <= names
    assert sum(len(stream) for stream in day.recorder.streams) > 1_000_000


def test_no_file_names_a_phone_or_holds_a_key(day: Day) -> None:
    assert in_files(day) == {}


def test_a_tags_address_is_in_one_file_for_its_owner_alone(day: Day) -> None:
    (path,) = day.folder.rglob(TAGS)
    assert {one.kind for one in day.search.find(path.read_bytes())} == {ADDRESS}
    assert path.stat().st_mode & 0o777 == 0o600
    said = HEALTH.decoder.decode(day.tap.of("hub/health")[-1].payload).data
    assert said.counters["registered"] > 100  # it was heard


def test_no_message_names_a_phone_or_holds_a_key(day: Day) -> None:
    assert len(day.tap.messages) > 1000
    by_kinds: dict[frozenset[str], list[bytes]] = {}
    for one in day.tap.messages:
        by_kinds.setdefault(allowed(one.topic), []).append(one.topic.encode() + b" " + one.payload + b"\n")
    for but, parts in by_kinds.items():
        assert day.search.find(b"".join(parts), but=but) == []
    assert not [one for one in day.tap.messages if one.retained and allowed(one.topic)]


def test_no_byte_on_the_wire_names_a_phone_or_holds_a_key(day: Day) -> None:
    kinds: dict[frozenset[str], list[bytes]] = {}
    for packet in day.recorder.packets():
        kinds.setdefault(allowed(packet.topic), []).append(packet.data)
    given = frozenset({KEY, DEVICE_KEY})
    assert set(kinds) == {frozenset(), frozenset({DEVICE_KEY}), frozenset({KEY}), given}
    for but, parts in kinds.items():
        assert day.search.find(b"".join(parts), but=but) == []
    for but in (frozenset({DEVICE_KEY}), given):
        assert {one.kind for one in day.search.find(b"".join(kinds[but]))} == but  # what may be there is there
    assert len({one.word for one in day.search.find(b"".join(kinds[given])) if one.kind == DEVICE_KEY}) == len(day.keys)


def test_keys_went_at_qos_0_to_sessions_that_end(day: Day) -> None:
    sent = [packet for packet in day.recorder.packets() if packet.topic.endswith("/cmd/key")]
    assert sent
    assert {packet.data[0] & 0b111 for packet in sent} == {0}  # QoS 0, not retained


def test_no_process_has_a_key_in_its_arguments_or_environment(day: Day) -> None:
    assert day.search.find(day.process_text) == []


def test_the_hub_forgot_the_key_of_the_day_before(day: Day) -> None:
    if day.memory is None:
        return  # it lets nobody look: what was to be shown
    memory = b"".join(day.memory)
    first, second = (day.keys[number] for number in day.ruled)
    assert second in memory  # the search sees what is there
    for written in (first, first.hex().encode(), first.hex().upper().encode()):
        assert written not in memory


def _log(folder: Path, word: bytes) -> None:
    with (folder / "hub.log").open("a") as log:
        log.write(f"heard {word.hex(':')}\n")


def _database(folder: Path, word: bytes) -> None:
    with sqlite3.connect(folder / "collector" / "collector.sqlite") as database:
        database.execute("CREATE TABLE IF NOT EXISTS leak(word BLOB)")
        database.execute("INSERT INTO leak VALUES (?)", (word,))
    database.close()


@pytest.mark.parametrize("plant", [_log, _database])
@pytest.mark.parametrize("kind", [ADDRESS, SSID, KEY, DEVICE_KEY])
def test_a_planted_leak_is_found(day: Day, plant: Callable[[Path, bytes], None], kind: str, tmp_path: Path) -> None:
    path = day.folder / ("hub.log" if plant is _log else "collector/collector.sqlite")
    before = path.read_bytes()
    word = next(word for word, of in day.search.kinds.items() if of == kind)
    try:
        plant(day.folder, word)
        assert {one.kind for hits in in_files(day).values() for one in hits} == {kind}
    finally:
        path.write_bytes(before)
