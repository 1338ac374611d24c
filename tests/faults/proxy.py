"""A bad line between an MQTT client and its broker: seeded, packet by packet, so that what arrives is still MQTT.

Over TCP nothing is doubled or overtaken; between brokers, and in a broker that dies, it is.
"""

import asyncio
import random
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

LOCALHOST = "127.0.0.1"
PUBLISH, PUBACK = 3, 4
HELD_S = 0.2  # a packet held back for the next one goes after so long at the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares of PUBLISH packets (QoS 1) and their acknowledgements that are met by each fault, either way.

    `corrupt` changes a byte of a payload, `garble` one anywhere in any packet; `reset` cuts the connection, `freeze`
    leaves it open and dead; `lose` drops a packet.
    """

    latency_s: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    lose: float = 0.0
    corrupt: float = 0.0
    garble: float = 0.0
    reset: float = 0.0
    freeze: float = 0.0


class Proxy:
    """Listens on `port` of this machine, in a thread of its own. `met` counts what was done to packets."""

    def __init__(self, broker_port: int, faults: Faults | None = None, *, seed: int = 0) -> None:
        self.faults = faults or Faults()
        self.met: Counter[str] = Counter()
        self.port = 0
        self._broker_port = broker_port
        self._random = random.Random(seed)
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"mqtt://{LOCALHOST}:{self.port}"

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._listening.wait(60)
        return self

    def __exit__(self, *unused: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def calm(self) -> None:
        """No more faults; what is dead stays so until its client finds out."""
        self.faults = Faults()

    def reset(self) -> None:
        """Cut every connection."""
        self.met["reset"] += len(self._lines)
        self._loop.call_soon_threadsafe(lambda: [line.cut() for line in set(self._lines)])

    def freeze(self) -> None:
        """Let every connection stay open and dead."""
        for line in set(self._lines):
            line.frozen = True
            self.met["freeze"] += 1

    def chance(self, fault: str) -> bool:
        """Tell whether a packet is met by a fault, and count it."""
        met: bool = self._random.random() < getattr(self.faults, fault)
        self.met[fault] += met
        return met

    def damaged(self, packet: bytes, first: int) -> bytes:
        """Change one byte at or after `first`."""
        at = self._random.randrange(first, len(packet))
        return packet[:at] + bytes([packet[at] ^ self._random.randrange(1, 256)]) + packet[at + 1 :]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, LOCALHOST, 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(LOCALHOST, self._broker_port)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(self, (writer, back))
        self._lines.add(line)
        ways = [asyncio.ensure_future(line.carry(reader, back)), asyncio.ensure_future(line.carry(there, writer))]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        line.cut()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._lines.discard(line)


class _Line:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, ends: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._proxy, self._ends = proxy, ends
        self.frozen = False

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry packets one way until either end is gone."""
        held: list[bytes] = []
        try:
            while True:
                try:
                    packet = await asyncio.wait_for(read_packet(reader), HELD_S if held else None)
                except TimeoutError:
                    packet = b""
                if self._proxy.faults.latency_s:
                    await asyncio.sleep(self._proxy.faults.latency_s)
                for one in self._after(packet, held):
                    if not self.frozen:
                        writer.write(one)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return

    def _after(self, packet: bytes, held: list[bytes]) -> list[bytes]:
        """Give what goes on in place of `packet`, empty for none; `held` is what waits to be overtaken."""
        proxy = self._proxy
        if packet and proxy.chance("garble"):
            packet = proxy.damaged(packet, 0)
        if not packet or not _counts(packet):
            out, held[:] = [packet, *held], []
            return out
        if proxy.chance("reset"):
            self.cut()
        if proxy.chance("freeze"):
            self.frozen = True
        if proxy.chance("lose"):
            return []
        if packet[0] >> 4 == PUBLISH and proxy.chance("corrupt"):
            packet = proxy.damaged(packet, _payload_at(packet))
        if not held and proxy.chance("reorder"):
            held.append(packet)
            return []
        out = [packet] * (2 if proxy.chance("duplicate") else 1) + held
        held.clear()
        return out


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """Read one control packet (MQTT 3.1.1, 2.2): type, remaining length of up to four bytes, the rest."""
    packet = await reader.readexactly(1)
    length = 0
    for shift in (0, 7, 14, 21):
        byte = await reader.readexactly(1)
        packet += byte
        length |= (byte[0] & 127) << shift
        if not byte[0] & 128:
            break
    return packet + await reader.readexactly(length)


def _counts(packet: bytes) -> bool:
    """Tell whether it is a PUBLISH of QoS 1 or its acknowledgement: the rest is no news and must keep its place."""
    return packet[0] >> 4 == PUBACK or (packet[0] >> 4 == PUBLISH and bool(packet[0] & 6))


def _payload_at(packet: bytes) -> int:
    """Give where a PUBLISH's payload begins; at the latest its last byte."""
    at = next(index for index in range(1, 5) if not packet[index] & 128) + 1
    at += 2 + int.from_bytes(packet[at : at + 2], "big") + 2
    return min(at, len(packet) - 1)
