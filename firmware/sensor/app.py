"""The running probe: puts the parts together. The only module that knows them all."""

import asyncio
import gc
import sys

import esp32
import machine

from . import VERSION
from .capture import Capture
from .commands import Commands
from .counts import Counts
from .flashlog import FlashLog
from .health import HEALTH_MS, Health
from .hop import Hop
from .keys import Keys
from .messages import Voice
from .mqtt import readable
from .settings import Store
from .spool import Spool
from .state import State
from .timesync import HubTime
from .uplink import Uplink
from .wire import VERSION as WIRE_VERSION
from .wire import Batch

WATCHDOG_MS = 60_000
FEED_MS = 2000
DRAIN_MS = 20  # at least between two drains: 1,500 records/s fill a ring of 512 in 340 ms
LEAVE_MS = 400  # for the answer to a command to get out before a restart
_RESETS = ("PWRON_RESET", "HARD_RESET", "WDT_RESET", "DEEPSLEEP_RESET", "SOFT_RESET")


class App:
    """One boot."""

    def __init__(self, radio, state, store, settings) -> None:
        self.settings = settings
        self.radio = radio
        self.state = state
        self.store = store
        self.counts = counts = Counts()
        self.keys = Keys()
        self.hub_time = HubTime()
        counts.drops["settings_refused"] = store.refused
        self.spool = Spool(FlashLog("spool"), self.keys)
        probe = settings.get("probe")
        voice = Voice(settings.get("tenant"), settings.get("site"), probe, state.boot)
        self.uplink = uplink = Uplink(voice, self.spool, self.keys, self.hub_time, state, counts, radio.now_us)
        hop = Hop(self._channels(), settings.get("dwell_ms"), settings.get("ble_ms"))
        self.capture = Capture(
            radio, self._scan, Batch(probe), hop, self.spool, self.keys, self.hub_time, state, counts, uplink.wake
        )
        self.capture.batch_us = settings.get("batch_s") * 1_000_000
        self.health = Health(self.spool, self.capture, radio, counts, self.hub_time, reset_name(), kelvin)
        uplink.capture = self.capture
        uplink.commands = Commands(self, radio, store, uplink, counts, None)
        uplink.info = self.info
        uplink.answered = self._works
        if store.why:
            uplink.note("settings: " + store.why)

    def info(self) -> dict[str, object]:
        """Give the contract's Info."""
        radios = ["wifi"] if self._channels() else []
        if self.settings.get("ble_ms"):
            radios.append("ble")
        return {
            "role": "probe",
            "firmware": VERSION,
            "hardware": f"{self.settings.get('board') or sys.platform} {sys.implementation[2]}"[:500],
            "key_id": self.capture.key_id,
            "wire_versions": [WIRE_VERSION],
            "radios": radios,
            "element_table": self.radio.ELEMENT_TABLE,
            "config_hash": self.settings.get("config_hash"),
        }

    def restart(self, why: str) -> None:
        """Restart in a moment: answers get out, what was heard gets onto flash."""
        self.uplink.note("restart: " + why)
        asyncio.create_task(self._leave())

    async def run(self) -> None:
        """Run for ever."""
        asyncio.create_task(self._ear())
        asyncio.create_task(self._watch())
        asyncio.create_task(self._tell())
        asyncio.create_task(self._feed())
        asyncio.create_task(self.uplink.run())
        await self._link()

    async def _ear(self) -> None:
        while True:
            stay_ms = self.capture.turn()
            self.health.beat(0)
            await asyncio.sleep_ms(stay_ms)

    async def _watch(self) -> None:
        """Take what a crowd brings between two turns."""
        while True:
            await readable(self.radio)
            self.capture.drain()
            await asyncio.sleep_ms(DRAIN_MS)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep_ms(HEALTH_MS)
            if self.uplink.link is not None:
                self.uplink.say("health", "health", self.health.data(), 0)

    async def _feed(self) -> None:
        watchdog = machine.WDT(timeout=WATCHDOG_MS)
        while True:
            if self.uplink.beat_ms:
                self.health.beat(1)
            if self.health.well():
                watchdog.feed()
            await asyncio.sleep_ms(FEED_MS)

    async def _leave(self) -> None:
        await asyncio.sleep_ms(LEAVE_MS)
        self.capture.stop()
        self.spool.park()
        self.state.batch(self.capture.seq, 0, final=True)
        machine.reset()

    async def _link(self) -> None:
        settings, mode = self.settings, self.settings.get("uplink")
        if mode == "serial":
            from .serial import BAUD, SerialLink

            await SerialLink(machine.UART(0, BAUD), self.uplink, self.counts).run()
        from .link import MqttLink
        from .net import Lan, Wifi

        net = Lan({}) if mode == "lan" else Wifi(settings.get("ssid"), settings.get("password"))
        link = MqttLink(settings, self.uplink, net, self.counts)
        if mode == "wifi-burst":
            await link.burst(self.capture, settings.get("burst_s") * 1000)
        await link.stay(self._park if mode == "wifi-park" else lambda net: None)

    def _channels(self) -> tuple[int, ...]:
        return tuple(self.settings.get("channels"))

    def _park(self, net) -> None:
        """Leaving the access point's channel would end the association."""
        hop = Hop((net.channel(),), self.settings.get("dwell_ms"), self.settings.get("ble_ms"))
        self.capture.replan(hop)

    def _scan(self, milliseconds: int) -> None:
        """Open the BLE ear."""

    def _works(self) -> None:
        self.store.works()


def reset_name() -> str:
    """Give what started this boot."""
    cause = machine.reset_cause()
    for name in _RESETS:
        if getattr(machine, name, None) == cause:
            return name[: -len("_RESET")].lower()
    return "unknown"


def kelvin() -> int | None:
    """Give the chip's temperature, None where it has no sensor."""
    if hasattr(esp32, "mcu_temperature"):
        return int(esp32.mcu_temperature()) + 273
    return None


def build() -> App:
    """Put one boot together."""
    import dot11cap

    state = State(esp32.NVS("footfall"), machine.RTC().memory)
    store = Store(state)
    settings = store.load()
    return App(dot11cap.Ear(), state, store, settings)


def main() -> None:
    """Start."""
    app = build()
    gc.collect()
    asyncio.run(app.run())
