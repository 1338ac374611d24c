"""Things a running probe does when it is told: show itself, measure a beacon, send one in its slot."""

import asyncio
import os
import time

from .beacon import GAP_MS, REPEATS, Levels, advert, probe_request, wait_ms
from .siphash import siphash
from .wire import RECORD_BYTES

POLL_MS = 50
SSID_KEY_AT, RSSI_AT = 16, 22  # in a record
ADVERT_MS = 1000


async def measure(app, number: str, name: str, channel: int, radio: str, seconds: int) -> None:
    """Stay on one channel and answer command `number` with the level of the beacon `name`."""
    levels = Levels()
    key = app.capture.key()
    if key is None:
        app.answer(number, {"error": {"what": "the probe has no key", "next_step": "wait for the hub"}})
        return
    app.capture.hold()
    try:
        if radio == "ble":
            app.ble().watch(name, levels)
            app.ble().scan(seconds * 1000)
            await asyncio.sleep_ms(seconds * 1000)
            app.ble().watch("", None)
        else:
            app.radio.channel(channel)
            await _hear(app.radio, siphash(key.raw, name.encode()) & 0xFFFFFFFF, levels, seconds * 1000)
    except OSError as error:
        app.answer(number, {"error": {"what": str(error), "next_step": "choose another channel"}})
        return
    finally:
        app.capture.release()
    app.answer(number, {"measured": levels.measured()})


async def _hear(radio, ssid_key: int, levels: Levels, milliseconds: int) -> None:
    buffer = bytearray(32 * RECORD_BYTES)
    ends_ms = time.ticks_add(time.ticks_ms(), milliseconds)
    while time.ticks_diff(ends_ms, time.ticks_ms()) > 0:
        await asyncio.sleep_ms(POLL_MS)
        while True:
            count = radio.recvinto(buffer, 0, 0)
            for at in range(0, count * RECORD_BYTES, RECORD_BYTES):
                if int.from_bytes(buffer[at + SSID_KEY_AT : at + SSID_KEY_AT + 4], "little") == ssid_key:
                    levels.add(buffer[at + RSSI_AT] - 256 if buffer[at + RSSI_AT] > 127 else buffer[at + RSSI_AT])
            if not count:
                break


async def beacon(app, slot_ms: int, period_ms: int, count: int, channel: int) -> None:
    """Send a beacon over Wi-Fi and BLE in each of `count` periods, at `slot_ms` into it by the hub's time."""
    address = bytearray(os.urandom(6))
    address[0] = address[0] & 0xFC | 0x02  # locally administered; the name says who it is
    name = app.settings.get("probe")
    for sequence in range(count):
        await asyncio.sleep_ms(wait_ms(app.utc_us(), slot_ms, period_ms))
        app.capture.hold()
        try:
            app.radio.channel(channel)
            for repeat in range(REPEATS):
                app.radio.send(probe_request(bytes(address), name, sequence * REPEATS + repeat))
                await asyncio.sleep_ms(GAP_MS)
            app.counts.did("beacons_sent")
        except OSError:
            app.counts.drop("radio_refused")
        app.capture.release()
        if app.settings.get("ble_ms"):
            app.ble().advertise(advert(name))
            await asyncio.sleep_ms(ADVERT_MS)
            app.ble().advertise(None)
        await asyncio.sleep_ms(1)  # never twice in one slot
