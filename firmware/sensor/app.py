"""The running probe: puts the parts together. The only module that knows them all."""

import asyncio
import gc
import sys
import time

import esp32
import machine
import network
from micropython import const

import sensor

from . import RELEASE_KEY, VERSION, chip
from .capture import Capture
from .commands import Commands
from .counts import Counts
from .flashlog import FlashLog
from .health import HEALTH_MS, Health
from .hop import Hop
from .keys import Keys
from .led import STEP_MS, lit, state_of
from .messages import Voice
from .pipe import readable
from .settings import Store
from .spool import Spool
from .state import State
from .timesync import HubTime
from .uplink import Uplink
from .wire import VERSION as WIRE_VERSION

_TYPES = const(0)  # true for mypy alone, and gone when compiled
if _TYPES:
    from dot11cap import Ear

    from .stock import StockEar

WATCHDOG_MS = 60_000
FEED_MS = 2000
DRAIN_MS = 20  # at least between two drains: 1,500 records/s fill a ring of 512 in 340 ms
LEAVE_MS = 400  # for the answer to a command to get out before a restart
_RESETS = ("PWRON_RESET", "HARD_RESET", "WDT_RESET", "DEEPSLEEP_RESET", "SOFT_RESET")


class App:
    """One boot."""

    def __init__(self, radio: Ear | StockEar, state, store, settings) -> None:
        self.settings = settings
        self.radio = radio
        self.net_up = False
        self._update = None
        self._stock = not radio.ELEMENT_TABLE
        self._ble = None
        self._identify_ms: int | None = None
        self._shown = ""
        self._well_ms: int | None = None  # since when this boot is well and the hub answers
        self.state = state
        self.store = store
        self._began_s = radio.now_us() // 1_000_000
        self.counts = counts = Counts()
        self.keys = Keys()
        self.hub_time = HubTime()
        counts.drops["settings_refused"] = store.refused
        self.spool = Spool(FlashLog("spool"), self.keys)
        probe = settings.get("probe")
        voice = Voice(settings.get("tenant"), settings.get("site"), probe, state.boot)
        self.uplink = uplink = Uplink(voice, self.spool, self.keys, self.hub_time, state, counts, radio.now_us)
        hop = Hop(self._channels(), settings.get("dwell_ms"), self._ble_ms())
        self.capture = Capture(
            radio, self._scan, probe, hop, self.spool, self.keys, self.hub_time, state, counts, uplink.wake
        )
        self.capture.batch_us = settings.get("batch_s") * 1_000_000
        self.health = Health(self.spool, self.capture, radio, counts, self.hub_time, reset_name(), kelvin)
        uplink.capture = self.capture
        if state.get("update"):
            self._update = self.update
        uplink.commands = self.commands = Commands(self, radio, store, uplink, counts)
        uplink.info = self.info
        uplink.answered = self._works
        uplink.forget = self.forget
        if store.why:
            uplink.note("settings: " + store.why)

    def info(self) -> dict[str, object]:
        """Give the contract's Info."""
        radios = ["wifi"] if self._channels() else []
        if self._ble_ms():
            radios.append("ble")
        return {
            "role": "probe",
            "firmware": VERSION,
            "uplink": self.settings.get("uplink"),
            "build": sensor.BUILD,
            "hardware": f"{self.settings.get('board') or sys.platform} {sys.implementation._machine}"[:500],
            "key_id": self.capture.key_id,
            "wire_versions": [WIRE_VERSION],
            "radios": radios,
            "element_table": self.radio.ELEMENT_TABLE,
            "config_hash": self.settings.get("config_hash"),
            "config_refused": self.commands.config_refused,
        }

    def replan(self, changes: dict[str, object]) -> None:
        """Listen by other channels from now on, but where the access point says which."""
        self.settings.change(changes)
        if self.settings.get("uplink") != "wifi-park" or not self.net_up:
            self.capture.replan(Hop(self._channels(), self.settings.get("dwell_ms"), self._ble_ms()))

    @property
    def update(self):
        """Give what takes updates, loaded when one comes or this image is one on trial."""
        if self._update is None:
            self._update = part("ota").Update(
                esp32.Partition, self.radio.verify, RELEASE_KEY, chip(), self.state, self.counts,
                self.uplink.note, self.restart,
            )  # fmt: skip
        return self._update

    def tell(self) -> None:
        """Say again who we are."""
        self.uplink.tell()

    def answer(self, number: str, answer: dict[str, object]) -> None:
        """Answer a command that took its time."""
        self.uplink.answer(number, answer)

    def identify(self, seconds: int, show: str) -> None:
        """Show which one it is, or whether it passed."""
        self._shown = show
        self._identify_ms = time.ticks_add(time.ticks_ms(), seconds * 1000)

    def measure(self, number: str, name: str, channel: int, radio: str, seconds: int) -> None:
        """Begin to measure a beacon."""
        asyncio.create_task(part("tasks").measure(self, number, name, channel, radio, seconds))

    def beacon(self, slot_ms: int, period_ms: int, count: int, channel: int) -> None:
        """Begin to send beacons."""
        asyncio.create_task(part("tasks").beacon(self, slot_ms, period_ms, count, channel))

    def utc_us(self) -> int:
        """Give the time by the hub."""
        return self.hub_time.utc_us(self.radio.now_us())

    def ble(self):
        """Give the BLE side, switched on when it is first needed."""
        if self._ble is None:
            self._ble = part("ble").Ble(self.radio)
        return self._ble

    def led(self) -> str:
        """Give what the LED shows."""
        if self._identify_ms is not None and time.ticks_diff(self._identify_ms, time.ticks_ms()) <= 0:
            self._shown, self._identify_ms = "", None
        updating = self._update is not None and self._update.running
        heard = self.radio.stats()[0] > 0
        hub = self.uplink.link is not None
        return state_of(self._shown, updating, self.net_up, hub, self.capture.key_id is not None, heard)

    def forget(self) -> None:
        """Be a blank board from the next boot on, which is now."""
        self.store.forget()
        self.restart("forget")

    def restart(self, why: str) -> None:
        """Restart in a moment: answers get out, what was heard gets onto flash."""
        self.uplink.note("restart: " + why)
        asyncio.create_task(self._leave())

    async def run(self) -> None:
        """Run for ever."""
        asyncio.get_event_loop().set_exception_handler(self._fell)
        asyncio.create_task(self._ear())
        asyncio.create_task(self._watch())
        asyncio.create_task(self._tell())
        asyncio.create_task(self._feed())
        asyncio.create_task(self._shine())
        asyncio.create_task(self.uplink.run())
        asyncio.create_task(self._link())
        await asyncio.Event().wait()  # never: a task that ends restarts the probe

    async def _ear(self) -> None:
        while True:
            stay_ms = self.capture.turn()
            self.health.beat()
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
            self.health.beat(self.uplink.beat_ms)
            if self.health.well():
                watchdog.feed()
                self._judge_update()
            await asyncio.sleep_ms(FEED_MS)

    def _judge_update(self) -> None:
        """Keep a new image that is well and has its hub; give it up, and so go back, if that does not come about."""
        update = self._update
        if update is not None and update.pending:
            ota = part("ota")
            if self._well_ms is not None and time.ticks_diff(time.ticks_ms(), self._well_ms) >= ota.CONFIRM_S * 1000:
                update.confirm()
            elif self.radio.now_us() // 1_000_000 - self._began_s > ota.GIVE_UP_S:
                self.restart("update: no hub")

    async def _shine(self) -> None:
        """Show the state."""
        pin, on = part("pins").led_of(self.settings.get("board"))
        if pin is None:
            return
        led = machine.Pin(pin, machine.Pin.OUT)
        while True:
            led.value(on if lit(self.led(), time.ticks_ms()) else 1 - on)
            await asyncio.sleep_ms(STEP_MS)

    def _fell(self, loop, context) -> None:
        """A task ended that nobody waits for: begin anew rather than live on without it."""
        sys.print_exception(context["exception"])
        self.restart("fault")

    async def _leave(self) -> None:
        await asyncio.sleep_ms(LEAVE_MS)
        try:
            self.capture.stop()
            self.spool.park()
            self.state.batch(self.capture.seq, 0, final=True)
        finally:
            machine.reset()

    async def _link(self) -> None:
        settings, mode = self.settings, self.settings.get("uplink")
        if mode == "serial":
            self.net_up = True
            serial = part("serial")
            port = machine.UART(0, serial.BAUD, rxbuf=serial.LINE_BYTES, txbuf=serial.LINE_BYTES)
            await serial.SerialLink(port, self.uplink, self.counts).run()
        asyncio.create_task(part("console").run(self))
        if mode == "lan":
            net = part("net").Lan(part("pins").lan_of(settings.get("board")))
        else:
            net = part("net").Wifi(settings.get("ssid"), settings.get("password"))
        link = part("link").MqttLink(settings, self.store, self.uplink, net, self.counts)
        if mode == "wifi-burst":
            await link.burst(self.capture)
        await link.stay(self._joined)

    def _channels(self) -> tuple[int, ...]:
        """Give the Wi-Fi channels: none on a stock image."""
        return () if self._stock else tuple(self.settings.get("channels"))

    def _ble_ms(self) -> int:
        return self.settings.get("ble_ms") or (1000 if self._stock else 0)

    def _joined(self, net) -> None:
        """The network is there. Where it is the radio's own, leaving its channel would end the association."""
        self.net_up = True
        if self.settings.get("uplink") == "wifi-park":
            self.capture.replan(Hop((net.channel(),), self.settings.get("dwell_ms"), self.settings.get("ble_ms")))

    def _scan(self, milliseconds: int) -> None:
        """Open the BLE ear."""
        self.ble().scan(milliseconds)

    def _works(self) -> None:
        self.store.works()
        if self._well_ms is None:
            self._well_ms = time.ticks_ms()


def part(name: str):
    """Load a module that not every probe needs: what is not loaded takes no RAM."""
    return __import__("sensor." + name, None, None, (name,))


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


def ear():
    """Give the ear: the C module's, or on a stock image one for BLE alone."""
    try:
        capture = __import__("dot11cap")
    except ImportError:
        return part("stock").StockEar()
    network.WLAN(network.STA_IF).active(True)  # the driver must run before the ear is tuned
    return capture.Ear()


def build():
    """Put one boot together: the probe, a tag, or what waits for its settings."""
    state = State(esp32.NVS("footfall"), machine.RTC().memory)
    store = Store(state)
    settings = store.load()
    if settings is None:
        return part("factory").Factory(store)
    if settings.get("role") == "tag":
        return part("factory").Tag(settings)
    return App(ear(), state, store, settings)


def main() -> None:
    """Start."""
    app = build()
    gc.collect()
    asyncio.run(app.run())
