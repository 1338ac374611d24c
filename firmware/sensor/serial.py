"""The serial line to the hub: frames with a CRC, damage counted, a lost frame sent again. 921,600 baud."""

import asyncio
import json
import time

from micropython import const

from .pipe import Pipe, readable
from .wire import BATCH, MESSAGE, MOST_BATCH_BYTES, frame_from, frame_into, frame_room

MOST_MESSAGE = 2048
BAUD = 921_600
LINE_BYTES = const(2304)  # of the driver's buffers each way: the longest frame, while Python is elsewhere
GONE_MS = 100  # between looks at a line that was unplugged
QUIET_MS = 5_000  # without a word from the hub, the probe says again who it is


class SerialLink(Pipe):
    """`port` is a UART: readinto, write, pollable. Frames of kind 2 hold {"stream", "data"}, data as MQTT's payload."""

    beside_us = True  # who speaks holds the board's cable
    resend_ms = 1500  # before the hub gives a gap up for lost

    def __init__(self, port, uplink, counts, on_bytes=None) -> None:
        super().__init__()
        self.opened(port)
        self._uplink = uplink
        self._counts = counts
        self._on_bytes = on_bytes
        self._out = bytearray(frame_room(max(MOST_BATCH_BYTES, MOST_MESSAGE)))
        self._out_view = memoryview(self._out)
        self._in = bytearray(frame_room(MOST_MESSAGE))
        self._in_view = memoryview(self._in)
        self._fill = 0
        self._overlong = False
        self.came_ms = 0

    def publish(self, stream: str, payload, qos: int, retain: bool = False) -> bool | None:
        """Write one frame; None while busy, False if it does not fit. A line retains nothing: who listens asks."""
        if self.busy:
            return None
        kind = BATCH
        if stream != "obs":
            kind = MESSAGE
            text = payload if stream != "state" else b'"' + payload + b'"'
            payload = b'{"stream":"' + stream.encode() + b'","data":' + text + b"}"
            if len(payload) > MOST_MESSAGE:
                return False
        self.write(self._out_view[: frame_into(self._out, kind, payload)])
        return True

    async def run(self) -> None:
        """Read for ever."""
        self.stream.write(b"\0")  # ends what the boot loader printed
        self._uplink.up(self)
        asyncio.create_task(self._remind())
        while True:
            try:
                count = self.stream.readinto(self._in_view[self._fill :])
            except OSError:
                count = 0
            if count is None:
                await readable(self.stream)
            elif count == 0:
                await asyncio.sleep_ms(GONE_MS)
            else:
                self.came_ms = time.ticks_ms()
                self._take(count)

    def _take(self, count: int) -> None:
        """Cut what came into frames."""
        if self._on_bytes is not None:
            self._on_bytes(self._in_view[self._fill : self._fill + count])
        begin, end = 0, self._fill + count
        while True:
            zero = self._in.find(b"\0", begin, end)
            if zero < 0:
                break
            if zero > begin:
                self._frame(begin, zero)
            self._overlong = False
            begin = zero + 1
        self._in_view[: end - begin] = self._in_view[begin:end]
        self._fill = end - begin
        if self._fill == len(self._in):
            self._fill, self._overlong = 0, True

    def _frame(self, begin: int, end: int) -> None:
        size = -1
        if not self._overlong:
            self._in_view[: end - begin] = self._in_view[begin:end]
            size = frame_from(self._in, end - begin)
        if size < 0 or self._in[0] != MESSAGE:
            self._counts.drop("line_damaged")
            return
        try:
            message = json.loads(bytes(self._in_view[1 : 1 + size]))
            stream, data = message["stream"], message["data"]
        except (ValueError, KeyError, TypeError):
            self._counts.drop("messages_refused")
            return
        self._uplink.heard(stream, data)

    async def _remind(self) -> None:
        """A hub that is plugged in later has heard nothing yet."""
        while True:
            await asyncio.sleep_ms(QUIET_MS)
            if time.ticks_diff(time.ticks_ms(), self.came_ms) > QUIET_MS:
                self._uplink.up(self)
