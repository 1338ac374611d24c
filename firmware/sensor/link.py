"""The links to the hub: MQTT that stays (`lan`, `wifi-park`), MQTT in bursts (`wifi-burst`).

Each runs for ever, or until there is no memory left to connect: MemoryError.
"""

import asyncio
import time

from .mqtt import BackOff, Mqtt, MqttError

FLUSH_MS = 30_000  # at most, of a burst
FLUSH_STEP_MS = 100
STARVED = 6  # connections in a row that found no memory: a heap in pieces stays so until a restart


class MqttLink:
    """Topics around a connection."""

    resend_ms = 60_000  # of a hub that says nothing: one that waits for a batch repeats its ack
    beside_us = False

    def __init__(self, settings, store, uplink, net, counts) -> None:
        self._settings = settings
        self._store = store
        self._uplink = uplink
        self._net = net
        self._counts = counts
        place = f"footfall/v1/{settings.get('tenant')}/{settings.get('site')}/"
        self._prefix = f"{place}{settings.get('probe')}/"
        self._cut = len(self._prefix)
        self._topic = self._prefix.encode()
        self._obs = self._topic + b"obs"
        self._hub = f"{place}hub/state"
        identity = f"{settings.get('tenant')}/{settings.get('site')}/{settings.get('probe')}"
        topics = ((self._prefix + "ack", 0), (self._prefix + "cmd/+", 1), (self._prefix + "config", 1), (self._hub, 0))
        self._mqtt = Mqtt(identity, self._prefix + "state", topics, self._heard)
        self._back_off = BackOff()
        self._hungry = 0
        self.beat_ms = 0

    def publish(self, stream: str, payload, qos: int, retain: bool = False) -> bool | None:
        """See Mqtt.publish."""
        name = self._obs if stream == "obs" else self._topic + stream.encode()
        return self._mqtt.publish(name, payload, qos, retain)

    async def stay(self, ready) -> None:
        """Connect, and again whenever the connection ends. `ready` is called when the network is there."""
        while True:
            await asyncio.sleep_ms(self._back_off.next_ms())
            try:
                await self._connect(ready)
                await self._mqtt.serve()
            except (OSError, MemoryError) as error:
                await self._ended(error)

    async def burst(self, capture) -> None:
        """Listen for `burst_s`, then give the radio to the network, flush, take it back."""
        while True:
            if capture.key_id is not None:
                await self._rest(self._settings.get("burst_s") * 1000)
            else:
                await self._rest(self._back_off.next_ms())
            capture.hold()
            try:
                await self._connect(lambda net: None)
                await self._flush(capture)
                await self._say(b"sleeping")
                self._uplink.down()
                await self._mqtt.disconnect()
            except (OSError, MemoryError) as error:
                await self._ended(error)
            await self._net.down()
            capture.release()

    async def _connect(self, ready) -> None:
        self.beat_ms = time.ticks_ms()
        await self._net.up()
        ready(self._net)
        settings, secrets = self._settings, self._settings.secrets()
        if secrets["code"]:
            await __import__("sensor.enrol", None, None, ("enrol",)).enrol(settings, self._store)
            secrets = settings.secrets()
        await self._mqtt.connect(settings.get("host"), settings.get("port"), secrets)
        await self._say(b"online")
        self._back_off.worked()
        self._hungry = 0
        self._uplink.up(self)

    async def _say(self, state: bytes) -> None:
        await self._mqtt.free()
        self.publish("state", state, 1, retain=True)

    async def _flush(self, capture) -> None:
        for _ in range(FLUSH_MS // FLUSH_STEP_MS):
            await asyncio.sleep_ms(FLUSH_STEP_MS)
            if self._uplink.settled and not self._mqtt.unconfirmed:
                return

    async def _rest(self, rest_ms: int) -> None:
        while rest_ms > 0:
            self.beat_ms = time.ticks_ms()
            await asyncio.sleep_ms(min(rest_ms, 1000))
            rest_ms -= 1000

    async def _ended(self, error: Exception) -> None:
        self._uplink.down()
        kind = error.kind if isinstance(error, MqttError) else "link_refused"
        self._counts.drop(kind)
        if kind != "link_refused":
            self._counts.drop("link_refused")
        self._uplink.trouble = f"{kind}: {error}"
        self._uplink.note(self._uplink.trouble)
        await self._mqtt.close()
        self._hungry += isinstance(error, MemoryError)
        if self._hungry >= STARVED:
            raise error

    def _heard(self, topic: bytes, payload: memoryview) -> None:
        name = topic.decode()
        self._uplink.heard("hub/state" if name == self._hub else name[self._cut :], payload)
