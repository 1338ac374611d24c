"""What every link writes through: one packet after another, each in one write if the stream takes it so."""

import asyncio

STEP_MS = 2  # between two tries at a stream that is full


class Pipe:
    """`stream` is not blocking. While `busy` the last packet is not out and its buffer must not be touched."""

    def __init__(self, stream=None) -> None:
        self.stream = stream
        self.busy = False
        self.fault: Exception | None = None  # what ended the connection

    def opened(self, stream) -> None:
        """Go on with this stream; None: there is none."""
        self.stream, self.busy, self.fault = stream, False, None

    def write(self, packet: memoryview) -> None:
        """Write a packet, what does not go at once in a task; OSError, ValueError as the stream raises them."""
        count = self.stream.write(packet)
        if count != len(packet):
            self.busy = True
            asyncio.create_task(self._write(packet[count or 0 :]))

    async def free(self) -> None:
        """Wait until a packet can be written."""
        while self.busy:
            await asyncio.sleep_ms(STEP_MS)

    async def _write(self, rest: memoryview) -> None:
        stream = self.stream
        while len(rest):
            await asyncio.sleep_ms(STEP_MS)
            if self.stream is not stream:
                return
            try:
                count = stream.write(rest)
            except (OSError, ValueError) as error:
                self.fault = error
                break
            rest = rest[count or 0 :]
        self.busy = False


def readable(stream):
    """Await this: until `stream` can be read."""
    yield asyncio.core._io_queue.queue_read(stream)  # type: ignore[attr-defined]  # the stubs leave core out


def writable(stream):
    """Await this: until `stream` can be written."""
    yield asyncio.core._io_queue.queue_write(stream)  # type: ignore[attr-defined]  # the stubs leave core out
