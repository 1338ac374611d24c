"""Channel plan, time, keys, state, hash: no file, no clock."""

import struct

from sensor.hop import REGIONS, Hop
from sensor.keys import Keys
from sensor.siphash import siphash
from sensor.state import SAVE_US, State
from sensor.timesync import BACK_US, STEP_AFTER, HubTime, days, format_time, parse_time

_KEY = {"key_id": 7, "key": "000102030405060708090a0b0c0d0e0f", "from": 100, "until": 200}
_NEXT = {"key_id": 8, "key": "ff" * 16, "from": 200, "until": 300}


def _raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind:
        return
    raise AssertionError("nothing was raised")


def _taken(hop, now_us):
    """Count as the closing of a batch does: radio, channel, milliseconds."""
    hop.count(now_us)
    rows = [(slot[0], slot[1], open_us // 1000) for slot, open_us in zip(hop.slots, hop.open_us)]
    for index, open_us in enumerate(hop.open_us):
        hop.open_us[index] = open_us % 1000
    return rows


def check_hop_goes_round_with_ble_at_the_end():
    hop = Hop((1, 6, 11), 250, 300)
    assert [hop.turn(0) for _ in range(5)] == [(0, 1, 250), (0, 6, 250), (0, 11, 250), (1, 0, 300), (0, 1, 250)]


def check_listened_time_is_whole_and_counted_once():
    hop = Hop((1, 6), 250, 0)
    at_us = 0
    total_ms = 0
    for step in range(1, 400):
        hop.turn(at_us)
        at_us += 250_300 + step
        if step % 7 == 0:
            total_ms += sum(row[2] for row in _taken(hop, at_us - 100))
    total_ms += sum(row[2] for row in _taken(hop, at_us))
    assert at_us // 1000 - 2 <= total_ms <= at_us // 1000  # below 1 ms a channel is carried on


def check_no_entry_exceeds_its_batch():
    hop = Hop((1,), 1000, 0)
    hop.turn(0)
    last_us = 0
    for at_us in range(1_700, 3_000_000, 1_700):
        ((_, _, listened_ms),) = _taken(hop, at_us)
        assert listened_ms <= (at_us - last_us) // 1000 + 1
        last_us = at_us


def check_nothing_is_listened_while_paused():
    hop = Hop((1,), 1000, 0)
    hop.turn(0)
    hop.pause(5_000)
    assert _taken(hop, 900_000) == [(0, 1, 5)]
    assert _taken(hop, 950_000) == [(0, 1, 0)]


def check_a_plan_has_a_channel():
    _raises(ValueError, Hop, (), 1000, 0)
    _raises(ValueError, Hop, tuple(range(1, 18)), 1000, 0)
    assert len(Hop((), 1000, 500).slots) == 1
    assert 14 in REGIONS["jp"] and 12 not in REGIONS["us"]


def check_time_is_read_and_written():
    for text, utc_us in (
        ("1970-01-01T00:00:00Z", None),
        ("2026-03-14T11:05:00.123456Z", 1_773_486_300_123_456),
        ("2024-02-29T23:59:59.5+00:00", 1_709_251_199_500_000),
        ("2100-12-31T00:00:00Z", 4_133_894_400_000_000),
    ):
        if utc_us is None:
            assert format_time(0) == "1970-01-01T00:00:00.000000Z"
        else:
            assert parse_time(text) == utc_us, (text, parse_time(text))
            assert parse_time(format_time(utc_us)) == utc_us
    for day in range(10_957, 47_482):
        text = format_time(day * 86_400_000_000)
        assert days(int(text[:4]), int(text[5:7]), int(text[8:10])) == day, text


def check_other_times_are_refused():
    bad = ["", "2026-03-14", "2026-03-14T11:05:00", "2026-03-14T11:05:00+01:00", "2026-13-14T11:05:00Z", None, 5]
    bad += ["2026-03-14 11.05.00Z", "2026-03-14T11:05:00.Z", "1969-12-31T23:59:59Z", "xxxx-03-14T11:05:00Z"]
    for text in bad:
        _raises(ValueError, parse_time, text)


def check_the_quickest_message_tells_the_time():
    time = HubTime()
    assert time.utc_us(5) == 0 and not time.known
    for delay_us in (300_000, 20_000, 900_000):
        time.told(1_000_000_000_000_000 + 500, 500 + delay_us)
    assert time.utc_us(20_500) == 1_000_000_000_000_500


def check_one_odd_message_steps_nothing_and_a_new_clock_does():
    time = HubTime()
    time.told(1_000_000_000, 0)
    time.told(9_000_000_000, 1)
    assert time.utc_us(0) == 1_000_000_000 and time.steps == 0
    time.told(1_000_000_000, 0)
    for _ in range(STEP_AFTER):
        time.told(9_000_000_000, 0)
    assert time.utc_us(0) == 9_000_000_000 and time.steps == 1


def check_what_was_held_up_sets_no_clock_back():
    time = HubTime()
    time.told(9_000_000_000, 0)
    for now_us in range(3_000_000, 3_000_000 + BACK_US, 500_000):
        time.told(9_000_000_000, now_us)
    assert time.utc_us(0) == 9_000_000_000 and time.steps == 0
    time.told(9_000_000_000, 3_000_000 + BACK_US)
    assert time.utc_us(3_000_000 + BACK_US) == 9_000_000_000 and time.steps == 1


def check_keys_rule_in_their_time():
    keys = Keys()
    assert keys.at(150) is None and not keys.any
    keys.take([_NEXT, _KEY], 0)
    assert keys.at(99) is None
    assert keys.at(100).key_id == 7 and keys.at(199).key_id == 7
    assert keys.at(200).key_id == 8
    assert keys.of(7) is None and keys.of(8) is not None  # a key that is over is forgotten
    assert keys.at(300) is None and not keys.any


def check_a_key_that_rules_stays_when_our_time_goes_back():
    keys = Keys()
    keys.take([_KEY, _NEXT], 0)
    assert keys.at(201).key_id == 8 and keys.at(199).key_id == 8
    later = dict(_NEXT, key_id=9)
    later["from"], later["until"] = 300, 400
    keys.take([_NEXT, later], 199)
    assert keys.at(199).key_id == 8 and keys.at(299).key_id == 8 and keys.at(300).key_id == 9
    keys.take([_KEY], 150)  # made anew
    assert keys.at(99) is None


def check_keys_come_back_as_they_were_given():
    keys = Keys()
    keys.take([_KEY, _NEXT], 0)
    assert keys.messages() == [_KEY, _NEXT]
    assert keys.of(7).raw == bytes(range(16))
    assert keys.of(7).seal_key() != keys.of(7).raw and len(keys.of(7).seal_key()) == 16


def check_a_key_that_ends_stays_until_our_own_clock_has_passed_its_end():
    keys = Keys()
    keys.take([_KEY, _NEXT], 0)
    later = dict(_NEXT, key_id=9)
    later["from"], later["until"] = 300, 400
    keys.take([_NEXT, later], 190)  # the hub's clock is ahead of ours
    assert keys.at(199).key_id == 7 and keys.messages() == [_NEXT, later]
    assert keys.at(200).key_id == 8 and keys.of(7) is None
    keys.take([_KEY], 150)  # made anew: nothing of before stays
    assert keys.messages() == [_KEY] and keys.of(8) is None


def check_what_is_no_key_changes_nothing():
    keys = Keys()
    keys.take([_KEY], 0)
    bad = [{}, [], [1], [_KEY, _NEXT, _KEY], None, [dict(_KEY, key="00")], [dict(_KEY, key="zz" * 16)]]
    bad += [[dict(_KEY, key_id=0)], [dict(_KEY, key_id=True)], [dict(_KEY, until=100)], [dict(_KEY, registered=5)]]
    bad += [[dict(_KEY, registered=["x"])], [_NEXT, {}]]
    for spans in bad:
        _raises(ValueError, keys.take, spans, 0)
        assert keys.messages() == [_KEY], spans


def check_registry_is_ascending():
    keys = Keys()
    keys.take([dict(_KEY, registered=["00000000000000ff", "0000000000000100", "8000000000000000"])], 0)
    assert keys.of(7).registry == struct.pack("<3Q", 0xFF, 0x100, 1 << 63)


class _Nvs:
    def __init__(self):
        self.rows = {}
        self.writes = 0

    def get_i32(self, name):
        if name not in self.rows:
            raise OSError(1)
        return self.rows[name]

    def set_i32(self, name, value):
        assert -(1 << 31) <= value < 1 << 31
        self.rows[name] = value
        self.writes += 1

    def commit(self):
        pass


class _Memory:
    def __init__(self):
        self.data = b""

    def __call__(self, data=None):
        if data is None:
            return self.data
        self.data = data
        return None


def check_a_boot_knows_the_last_batch_of_the_one_before():
    nvs, memory = _Nvs(), _Memory()
    first = State(nvs, memory)
    assert (first.boot, first.last_boot, first.last_seq) == (1, 0, 0)
    for seq in range(1, 8):
        first.batch(seq, seq * 1_000_000)
    second = State(nvs, memory)  # a crash: RTC memory lives
    assert (second.boot, second.last_boot, second.last_seq) == (2, 1, 7)
    second.batch(1, 0)
    second.batch(2, 1_000_000)
    third = State(nvs, _Memory())  # a power loss: what was saved at least every ten seconds
    assert (third.boot, third.last_boot, third.last_seq) == (3, 2, 1)
    third.batch(41, 5, final=True)
    assert State(nvs, _Memory()).last_seq == 41


def check_flash_is_spared():
    nvs = _Nvs()
    state = State(nvs, _Memory())
    before = nvs.writes
    for seq in range(1, 1001):
        state.batch(seq, seq * SAVE_US // 10)
    assert nvs.writes - before <= 101


def check_numbers_use_all_32_bits():
    state = State(_Nvs(), _Memory())
    state.put("x", 0xFFFFFFFF)
    assert state.get("x") == 0xFFFFFFFF


def check_siphash_vectors_of_its_paper():
    key, data = bytes(range(16)), bytes(range(64))
    for size, expected in ((0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD), (8, 0x93F5F5799A932462),
                           (15, 0xA129CA6149BE45E5), (63, 0x958A324CEB064572)):  # fmt: skip
        assert siphash(key, data[:size]) == expected, size
