"""Boards that are not set up yet, and tags. A board without settings listens on its serial line; its LED says so."""

import asyncio
import json
import os
import time
from binascii import hexlify
from hashlib import sha256

import machine
from micropython import const

from . import VERSION, family
from .beacon import advert
from .counts import Counts
from .improv import AUTHORISED, PROVISIONED, PROVISIONING, Improv
from .led import STEP_MS, lit
from .net import Wifi, networks
from .pins import led_of
from .serial import BAUD, LINE_BYTES, SerialLink
from .settings import MOST_BYTES, SettingsError

_TYPES = const(0)  # true for mypy alone, and gone when compiled
if _TYPES:
    from .improvble import ImprovBle

TAG_MS = 1000
TURN_MS, IDENTIFY_MS, FETCH_MS = 50, 10_000, 10_000
PART = "settings.part"  # what came so far: Improv's network and password, settings in parts


class Factory:
    """Waits for `set-config` (see the serial line's frames) and for Improv; then restarts."""

    def __init__(self, store) -> None:
        self._store = store
        self._ways: list[Improv] = []
        self._identify_ms: int | None = None
        self.counts = Counts()
        self.why = store.why
        self._info = ("footfall", VERSION, family(), "footfall probe")
        self._port = machine.UART(0, BAUD, rxbuf=LINE_BYTES, txbuf=LINE_BYTES)
        serial = Improv(self._port.write, self._join, self._info, networks)
        self._ways.append(serial)
        self.link = SerialLink(self._port, self, self.counts, serial.feed)

    async def run(self) -> None:
        """Run for ever."""
        asyncio.create_task(self._shine())
        asyncio.create_task(self._ble())
        await self.link.run()

    async def _ble(self) -> None:
        """Offer Improv over BLE where the chip has it: the ESP32-S2 has none."""
        try:
            way = __import__("sensor.improvble", None, None, ("ImprovBle",)).ImprovBle
        except ImportError:
            return
        ble: ImprovBle = way(self._join, self._info, networks, self._identify, lambda text: self._told(ble, text))
        self._ways.append(ble)
        while True:
            ble.turn()
            await asyncio.sleep_ms(TURN_MS)

    def _told(self, way: Improv, text: bytes) -> None:
        """Take a message that did not come on the line; its answer goes to `way`."""
        try:
            message = json.loads(text)
            self.heard(message["stream"], message["data"], way)
        except (ValueError, KeyError, TypeError):
            self.counts.drop("messages_refused")

    def _identify(self) -> None:
        self._identify_ms = time.ticks_add(time.ticks_ms(), IDENTIFY_MS)

    # -- what a serial link needs of its uplink --

    def up(self, link) -> None:
        """Nobody is told: who listens asks."""

    def heard(self, stream: str, message, way: Improv | None = None) -> None:
        """Take `cmd/set-config`, of the line or of another way."""
        data = message.get("data") if isinstance(message, dict) else None
        if stream == "cmd/set-config" and isinstance(data, dict) and isinstance(data.get("settings"), dict):
            asyncio.create_task(self._configure(str(data.get("id", ""))[:32], data, data["settings"], way))
        else:
            self.counts.drop("messages_refused")

    async def _configure(self, number: str, data: dict[str, object], settings: dict[str, object], way) -> None:
        """Take settings, or with `part` some of them: a frame does not hold all. `fresh`: what came before goes."""
        answer: dict[str, object] = {"id": number}
        whole = not data.get("part")
        try:
            settings = settings if data.get("fresh") else dict(self._part(), **settings)
            if whole:
                self._store.propose(self._store.merged(settings))
                self._store.anew()
                answer["held"] = self._held(str(data.get("salt", "")))
                _remove(PART)
            else:
                self._keep(settings)
        except (SettingsError, OSError) as error:
            whole = False
            self.counts.drop("settings_refused")
            answer["error"] = {"what": str(error), "next_step": "correct it and send it again"}
        await self._answer(number, json.dumps(answer).encode(), way)
        if whole:
            await asyncio.sleep_ms(200)
            machine.reset()

    async def _answer(self, number: str, text: bytes, way) -> None:
        """Let an answer get out the way its question came."""
        if way is None:
            await self.link.free()
            self._port.write(b"\0")  # ends what Improv said
            self.link.publish("rsp/" + number, text, 1)
            return
        way.answer = text
        for _ in range(FETCH_MS // TURN_MS):
            if way.fetched:
                return
            await asyncio.sleep_ms(TURN_MS)

    def _held(self, salt: str) -> dict[str, object]:
        """Read back what the flash holds; of secrets the SHA-256 behind `salt`, so that they can be compared alone."""
        held = self._store.proposed()
        for name in ("ca", "cert", "key", "password", "code", "csr"):
            if held.get(name):
                held[name] = hexlify(sha256((salt + str(held[name])).encode()).digest()).decode()
        return held

    def _keep(self, settings: dict[str, object]) -> None:
        text = json.dumps(settings)
        if len(text) > MOST_BYTES:
            raise SettingsError(f"settings: more than {MOST_BYTES} bytes")
        with open(PART, "w") as file:
            file.write(text)

    def _join(self, asker: Improv, ssid: str, password: str) -> None:
        for way in self._ways:
            if way is not asker:
                way.told(PROVISIONING)
        asyncio.create_task(self._try(asker, ssid, password))

    async def _try(self, asker: Improv, ssid: str, password: str) -> None:
        wifi = Wifi(ssid, password)
        try:
            await wifi.up()
        except OSError:
            for way in self._ways:
                way.failed() if way is asker else way.told(AUTHORISED)
            return
        self._keep(dict(self._part(), ssid=ssid, password=password, uplink="wifi-park"))
        for way in self._ways:
            way.joined("") if way is asker else way.told(PROVISIONED)

    def _part(self) -> dict[str, object]:
        try:
            with open(PART) as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    async def _shine(self) -> None:
        pin, on = led_of("esp32-devkitc")
        led = machine.Pin(pin, machine.Pin.OUT)
        while True:
            now_ms = time.ticks_ms()
            shows = self._identify_ms is not None and time.ticks_diff(self._identify_ms, now_ms) > 0
            led.value(on if lit("identify" if shows else "factory", now_ms) else 1 - on)
            await asyncio.sleep_ms(STEP_MS)


def _remove(path: str) -> None:
    try:
        os.remove(path)
    except OSError:
        pass


class Tag:
    """A battery board that beacons: something a technician carries that does not randomise. Hears nothing."""

    def __init__(self, settings) -> None:
        self._name = settings.get("probe")
        self.beats = 0

    async def run(self) -> None:
        """Run for ever."""
        __import__("sensor.ble", None, None, ("Ble",)).Ble(None).advertise(advert(self._name), TAG_MS * 1000)
        watchdog = machine.WDT(timeout=60_000)
        while True:
            watchdog.feed()
            self.beats += 1
            await asyncio.sleep_ms(TAG_MS)
