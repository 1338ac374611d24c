"""What a probe on the network says on its serial line until all is well, for somebody beside it with a laptop.

Frames of the stream `status`. Takes what `Uplink.asked_beside_us` does: whoever holds the board may make it blank. Goes
once the probe is well: what is not loaded takes no RAM.
"""

import asyncio
import json
import sys
import time

import machine

import sensor

from . import VERSION
from .serial import BAUD, LINE_BYTES
from .wire import MESSAGE, frame_from, frame_into, frame_room

SAY_MS = 1000
STEP_MS = 50
LEAST_MS = 120_000  # it stays so long, also where all is well: a laptop may need a while to open the port
MOST = 640
MOST_ORDER = 128


class Console:
    """One boot's. `app` is the App."""

    def __init__(self, app, port) -> None:
        self._app = app
        self._port = port
        self._out = bytearray(frame_room(MOST))
        self._in = bytearray(MOST_ORDER)
        self._fill = 0

    async def run(self) -> None:
        """Say how it stands until it is well."""
        began_ms = time.ticks_ms()
        self._port.write(b"\0")  # ends what the boot loader printed
        while not (self._well() and time.ticks_diff(time.ticks_ms(), began_ms) > LEAST_MS):
            self._say("status", self.status())
            for _ in range(SAY_MS // STEP_MS):
                self._listen()
                await asyncio.sleep_ms(STEP_MS)

    def status(self) -> dict[str, object]:
        """Give how far this boot got."""
        app, settings = self._app, self._app.settings
        return {
            "probe": settings.get("probe"),
            "tenant": settings.get("tenant"),
            "site": settings.get("site"),
            "uplink": settings.get("uplink"),
            "firmware": VERSION,
            "boot": app.state.boot,
            "state": app.led(),
            "network": app.net_up,
            "hub": app.uplink.link is not None,
            "trouble": app.uplink.trouble[:200],
            "key_id": app.capture.key_id,
            "radios": app.info()["radios"],
            "seen": app.radio.stats()[0],
            "acknowledged": app.counts.passed["acknowledged"],
            "on_trial": app.store.on_trial,
        }

    def _well(self) -> bool:
        return self._app.counts.passed["acknowledged"] > 0

    def _say(self, stream: str, data: object) -> None:
        text = json.dumps({"stream": stream, "data": data}).encode()
        if len(text) <= MOST:
            size = frame_into(self._out, MESSAGE, memoryview(text))
            self._port.write(memoryview(self._out)[:size])

    def _listen(self) -> None:
        """Take frames; what is too long is none for us."""
        try:
            count = self._port.readinto(memoryview(self._in)[self._fill :])
        except OSError:
            return
        end = self._fill + (count or 0)
        zero = self._in.find(b"\0", self._fill, end)
        while zero >= 0:
            size = frame_from(self._in, zero) if zero else -1
            if size > 0 and self._in[0] == MESSAGE:
                self._order(bytes(memoryview(self._in)[1 : 1 + size]))
            rest = bytes(memoryview(self._in)[zero + 1 : end])
            self._in[: len(rest)] = rest
            end = len(rest)
            zero = self._in.find(b"\0", 0, end)
        self._fill = 0 if end == MOST_ORDER else end

    def _order(self, text: bytes) -> None:
        try:
            message = json.loads(text)
            self._app.uplink.asked_beside_us(message["stream"], message["data"])
        except (ValueError, KeyError, TypeError):
            return


async def run(app) -> None:
    """Be there until the probe is well, where there is a port; then leave memory."""
    try:
        port = machine.UART(0, BAUD, rxbuf=LINE_BYTES, txbuf=LINE_BYTES)
        await Console(app, port).run()
    except OSError:
        pass
    sys.modules.pop("sensor.console", None)
    if hasattr(sensor, "console"):
        del sensor.console
