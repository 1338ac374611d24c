"""Settings and spool, in a folder of their own."""

import json
import os
import struct

from sensor.flashlog import SEGMENT_BYTES, FlashLog
from sensor.keys import Keys
from sensor.settings import TRIALS, SettingsError, Store, check
from sensor.spool import WINDOW, Spool

_GOOD = {
    "version": 1,
    "probe": "p-1",
    "tenant": "t",
    "site": "s",
    "uplink": "lan",
    "host": "hub.local",
    "board": "wt32-eth01",
}
_KEY = {"key_id": 7, "key": "000102030405060708090a0b0c0d0e0f", "from": 100, "until": 200}


class _Counters:
    def __init__(self):
        self.rows = {}

    def count(self, name):
        self.rows[name] = self.rows.get(name, 0) + 1
        return self.rows[name]

    def put(self, name, value):
        self.rows[name] = value


def _clear(folder):
    try:
        os.mkdir(folder)
    except OSError:
        for name in os.listdir(folder):
            os.remove(folder + "/" + name)
    return folder


def _keys(**changes):
    keys = Keys()
    keys.take([dict(_KEY, **changes)], 0)
    return keys


def _batch(boot, seq, size=1000):
    data = struct.pack("<42xIII", 7, boot, seq)
    return memoryview(data + bytes([(boot * 31 + seq) & 255]) * (size - len(data)))


def _push(spool, boot, seq):
    """Write the batch where the spool says and leave it there."""
    batch = _batch(boot, seq)
    spool.slot()[0][: len(batch)] = batch
    spool.push(boot, seq, 30, len(batch))


def _sent(spool):
    """Take everything the window allows, as (boot, seq), and check the bytes."""
    rows = []
    while True:
        batch = spool.next()
        if batch is None:
            return rows
        _, boot, seq = struct.unpack_from("<III", batch, 42)
        assert bytes(batch) == bytes(_batch(boot, seq, len(batch)))
        spool.sent()
        rows.append((boot, seq))


def _spool(folder, keys=None, segments=4):
    return Spool(FlashLog(folder, segments), keys or _keys())


def _drain(spool, boot):
    """Send and acknowledge until nothing is left; give every seq in the order it went first."""
    seen = []
    for _ in range(10_000):
        rows = _sent(spool)
        if not len(spool):
            return seen
        seen += [row for row in rows if row not in seen]
        spool.acknowledge(boot, seen[-1][1] if not rows else rows[0][1])
    raise AssertionError("never empty")


def check_window_and_acknowledgement():
    spool = _spool(_clear("spool-a"))
    for seq in range(1, 6):
        _push(spool, 1, seq)
    assert _sent(spool) == [(1, seq) for seq in range(1, 6)]
    assert spool.acknowledge(1, 3) == 3 and len(spool) == 2 and spool.outstanding == 2
    assert spool.acknowledge(2, 9) == 0  # of a boot we are not in
    assert _sent(spool) == []
    spool.send_again()
    assert _sent(spool) == [(1, 4), (1, 5)]
    assert spool.acknowledge(1, 3) == 0 and spool.acknowledge(1, 5) == 2 and len(spool) == 0
    assert spool.log.written_bytes == 0  # a hub that answers costs no flash


def check_flash_takes_what_ram_cannot():
    spool = _spool(_clear("spool-b"))
    for seq in range(1, 31):
        _push(spool, 1, seq)
    assert len(spool) == 30 and spool.log.entries == 31 - WINDOW and spool.dropped_batches == 0
    assert _sent(spool) == [(1, seq) for seq in range(1, WINDOW + 1)]
    assert _drain(_again(spool), 1) == [(1, seq) for seq in range(1, 31)]
    assert os.listdir("spool-b") == []


def _again(spool):
    spool.send_again()
    return spool


def check_batches_pushed_while_sending_keep_their_order():
    spool = _spool(_clear("spool-c"))
    seen = []
    acked = 0
    for seq in range(1, 61):
        _push(spool, 1, seq)
        seen += _sent(spool)
        if seq % 5 == 0:
            acked += 1
            assert spool.acknowledge(1, acked) == 1
        if seq % 17 == 0:
            spool.send_again()
    for index in range(len(seen) - 1):
        assert seen[index + 1][1] == seen[index][1] + 1 or seen[index + 1][1] <= seen[index][1], seen
    spool.send_again()
    assert _drain(spool, 1) == [(1, seq) for seq in range(acked + 1, 61)]
    assert spool.dropped_batches == 0


def check_the_oldest_goes_and_is_counted():
    spool = _spool(_clear("spool-d"), segments=3)
    for seq in range(1, 101):
        _push(spool, 1, seq)
    kept = len(spool)
    assert spool.dropped_batches == 100 - kept and spool.dropped_records == 30 * (100 - kept) > 0
    assert sum(os.stat("spool-d/" + name)[6] for name in os.listdir("spool-d")) <= 3 * SEGMENT_BYTES
    spool.send_again()
    assert _drain(spool, 1) == [(1, seq) for seq in range(101 - kept, 101)]


def check_what_was_sent_is_never_dropped():
    spool = _spool(_clear("spool-k"), segments=3)
    for seq in range(1, 31):
        _push(spool, 1, seq)
    rows = _sent(spool)
    assert rows == [(1, seq) for seq in range(1, WINDOW + 1)]
    spool.send_again()  # its line broke: they may have arrived
    for seq in range(31, 101):
        _push(spool, 1, seq)
    kept = len(spool)
    assert spool.dropped_batches == 100 - kept > 30 and spool.flash_errors == 0
    got = _drain(spool, 1)
    assert got[: len(rows)] == rows and len(got) == kept and got[-1] == (1, 100)


def check_what_was_sent_from_ram_is_never_dropped():
    spool = _spool(_clear("spool-m"), segments=3)
    for seq in range(1, WINDOW):
        _push(spool, 1, seq)
    rows = _sent(spool)
    assert rows == [(1, seq) for seq in range(1, WINDOW)] and not spool.log.entries
    spool.send_again()  # a new connection
    spool.send_again()  # that ended before anything went: all may have arrived on the first
    for seq in range(WINDOW, 101):
        _push(spool, 1, seq)
    kept = len(spool)
    assert spool.dropped_batches == 100 - kept > 30 and spool.flash_errors == 0
    got = _drain(spool, 1)
    assert got[: len(rows)] == rows and len(got) == kept and got[-1] == (1, 100)


def check_more_segments_on_their_way_than_there_may_be():
    folder = _clear("spool-l")
    for boot in (1, 2):  # each boot begins a segment
        spool = _spool(folder, segments=2)
        _push(spool, boot, 1)
        spool.park()
    spool = _spool(folder, segments=2)
    assert _sent(spool) == [(1, 1), (2, 1)]
    for seq in range(1, 31):
        _push(spool, 3, seq)
    in_ram = WINDOW - 1
    assert len(spool) == 2 + in_ram and spool.dropped_batches == 30 - in_ram == spool.flash_errors
    assert _sent(_again(spool))[:2] == [(1, 1), (2, 1)]


def check_a_reboot_keeps_what_was_on_flash():
    folder = _clear("spool-e")
    spool = _spool(folder)
    for seq in range(1, 21):
        _push(spool, 1, seq)
    spool.park()
    assert len(spool) == 20 == spool.log.entries
    again = _spool(folder)
    assert len(again) == 20 and again.older(2) and not again.older(1)
    _push(again, 2, 1)
    assert again.next() is not None
    seen = []
    while len(again) > 1:
        seen += _sent(again)
        again.acknowledge(1, max([seq for boot, seq in seen if boot == 1]))
    assert [row for row in seen if row[0] == 1] == [(1, seq) for seq in range(1, 21)]
    assert not again.older(2)


def check_flash_holds_nothing_readable():
    folder = _clear("spool-f")
    spool = _spool(folder)
    for seq in range(1, 20):
        _push(spool, 1, seq)
    for name in os.listdir(folder):
        with open(folder + "/" + name, "rb") as file:
            data = file.read()
        for seq in range(1, 20):
            assert bytes([(31 + seq) & 255]) * 8 not in data


def check_another_key_cannot_read_it():
    folder = _clear("spool-g")
    spool = _spool(folder)
    for seq in range(1, 15):
        _push(spool, 1, seq)
    spool.park()
    keyless = Spool(FlashLog(folder), Keys())
    assert keyless.next() is None and len(keyless) == 14 and keyless.dropped_batches == 0  # it waits for its key
    other = Spool(FlashLog(folder), _keys(key_id=8, key="ff" * 16))
    assert other.next() is None and len(other) == 0
    assert other.unreadable == 14 == other.dropped_batches and other.dropped_records == 14 * 30


def check_a_torn_segment_ends_at_its_last_whole_entry():
    folder = _clear("spool-h")
    spool = _spool(folder)
    for seq in range(1, 13):
        _push(spool, 1, seq)
    spool.park()
    name = folder + "/" + sorted(os.listdir(folder))[0]
    with open(name, "rb") as file:
        data = file.read()
    with open(name, "wb") as file:
        file.write(data[:-300])
    again = _spool(folder)
    assert len(again) == 11 and again.log.torn == 1
    _push(again, 2, 1)
    again.park()
    assert len(_spool(folder)) == 12


def check_damage_on_flash_costs_what_it_hits():
    folder = _clear("spool-i")
    spool = _spool(folder)
    for seq in range(1, 6):
        _push(spool, 1, seq)
    spool.park()
    name = folder + "/" + os.listdir(folder)[0]
    with open(name, "rb") as file:
        data = bytearray(file.read())
    data[len(data) // 2] ^= 1  # inside the third
    with open(name, "wb") as file:
        file.write(data)
    again = _spool(folder)
    assert _drain(again, 1) == [(1, 1), (1, 2), (1, 4), (1, 5)]
    assert again.dropped_batches == 1 == again.unreadable


def check_without_a_key_nothing_is_written():
    folder = _clear("spool-j")
    spool = Spool(FlashLog(folder), Keys())
    for seq in range(1, 12):
        _push(spool, 1, seq)
    assert os.listdir(folder) == [] and spool.dropped_batches == 4 and len(spool) == 7
    assert _sent(spool) == [(1, seq) for seq in range(5, 12)]


# -- settings --


def _refused(raw, word):
    try:
        check(raw)
    except SettingsError as error:
        assert word in str(error), (word, str(error))
        return
    raise AssertionError(f"accepted: {raw}")


def check_good_settings_are_good():
    check(_GOOD)
    check(dict(_GOOD, uplink="serial", host=""))
    check(dict(_GOOD, uplink="wifi-burst", ssid="shop", password="x" * 63, channels=[1, 6, 11], region="eu"))
    check(dict(_GOOD, channels=[], ble_ms=1000))


def check_bad_settings_name_their_key():
    _refused(None, "settings")
    _refused([], "settings")
    _refused({}, "version")
    _refused(dict(_GOOD, version=2), "update")
    _refused(dict(_GOOD, version="1"), "version")
    for name in ("probe", "tenant", "site", "uplink", "host"):
        _refused({key: value for key, value in _GOOD.items() if key != name}, name)
    _refused(dict(_GOOD, probe="A"), "probe")
    _refused(dict(_GOOD, probe="a" * 33), "probe")
    _refused(dict(_GOOD, probe="a\n"), "probe")
    _refused(dict(_GOOD, probe=["a"]), "probe")
    _refused(dict(_GOOD, uplink="carrier pigeon"), "uplink")
    _refused(dict(_GOOD, uplink=["lan"]), "uplink")
    _refused(dict(_GOOD, board="xiao-esp32c3"), "board")
    _refused(dict(_GOOD, port=0), "port")
    _refused(dict(_GOOD, port=True), "port")
    _refused(dict(_GOOD, channels=[1, 1]), "channels")
    _refused(dict(_GOOD, channels=[12], region="us"), "channels")
    _refused(dict(_GOOD, channels="1"), "channels")
    _refused(dict(_GOOD, channels=list(range(1, 17))), "channels")
    _refused(dict(_GOOD, channels=[]), "channels")
    _refused(dict(_GOOD, dwell_ms=1), "dwell_ms")
    _refused(dict(_GOOD, uplink="wifi-park"), "ssid")
    _refused(dict(_GOOD, colour="red"), "unknown")


def _store(folder, counters=None):
    return Store(counters or _Counters(), folder + "/")


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)


def check_no_settings_is_no_settings():
    assert _store(_clear("set-a")).load() is None


def check_new_settings_are_on_trial_until_the_hub_answers():
    folder, counters = _clear("set-b"), _Counters()
    _write(folder + "/settings.json", json.dumps(_GOOD))
    store = _store(folder, counters)
    assert store.load().get("host") == "hub.local" and not store.on_trial
    store.propose(dict(_GOOD, host="new.local"))
    trial = _store(folder, counters)
    assert trial.load().get("host") == "new.local" and trial.on_trial
    trial.works()
    later = _store(folder, counters)
    assert later.load().get("host") == "new.local" and not later.on_trial


def check_settings_that_reach_nobody_fall_back():
    folder, counters = _clear("set-c"), _Counters()
    _write(folder + "/settings.json", json.dumps(_GOOD))
    _store(folder, counters).propose(dict(_GOOD, host="wrong.local"))
    for _ in range(TRIALS):
        assert _store(folder, counters).load().get("host") == "wrong.local"
    store = _store(folder, counters)
    assert store.load().get("host") == "hub.local" and "did not answer" in store.why
    assert _store(folder, counters).load().get("host") == "hub.local"


def check_garbage_and_newer_settings_fall_back():
    newer = json.dumps(dict(_GOOD, version=2, host="newer.local"))
    for text in ("", "{", "[]", '{"version": 1}', newer, "\x00\xff" * 40, "[" * 200, '"' + "x" * 9000 + '"'):
        folder = _clear("set-d")
        _write(folder + "/settings.json", json.dumps(_GOOD))
        _write(folder + "/settings.next", text)
        store = _store(folder)
        assert store.load().get("host") == "hub.local", text[:20]
        assert store.refused == 1 and store.why
        assert not store.on_trial


def check_a_bad_proposal_changes_nothing():
    folder = _clear("set-e")
    _write(folder + "/settings.json", json.dumps(_GOOD))
    store = _store(folder)
    store.load()
    for raw in (dict(_GOOD, port=-1), dict(_GOOD, version=9), store.merged({"nonsense": 1})):
        try:
            store.propose(raw)
            raise AssertionError("accepted")
        except SettingsError:
            pass
    assert os.listdir(folder) == ["settings.json"]
    assert store.merged({"dwell_ms": 500})["dwell_ms"] == 500


def check_secrets_are_read_when_needed():
    folder = _clear("set-f")
    _write(folder + "/settings.json", json.dumps(dict(_GOOD, ca="CA", cert="CERT", key="KEY")))
    settings = _store(folder).load()
    assert settings.secrets() == {"ca": "CA", "cert": "CERT", "key": "KEY", "code": "", "csr": ""}
    assert settings.get("key") is None or settings.get("key") == ""
    assert settings.get("dwell_ms") == 1000
