"""A board in reach by Bluetooth: Improv over BLE by bleak, and settings in pieces behind it. Needs the install extra.

What goes over BLE can be overheard: no key does. The board makes its own enrolment with the code it is given here.
"""

import asyncio
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as LateError
from contextlib import suppress
from typing import TypeVar

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.exc import BleakError

from hostkit.errors import HostkitError, PeerError, UsageError
from hostkit.install import frames, improv
from hostkit.install.board import Settings, Status
from hostkit.install.frames import shown
from hostkit.install.improv import Characteristic, Command, Device, Error, State
from hostkit.install.serialboard import JOIN_S, join_refused

T = TypeVar("T")

SCAN_S = 4.0  # a blank board advertises ten times a second
CONNECT_S = 20.0
CALL_S = 15.0
FETCH_S = 0.3  # between looks for an answer
PIECE = 200  # MESSAGE of firmware/sensor/improvble.py
MAX_ANSWER_BYTES = 4096
# What bleak and D-Bus say without an adapter, its service, or D-Bus itself.
_NO_ADAPTER = ("no bluetooth", "adapter", "serviceunknown", "was not provided", "no such file", "connection refused")
_AGAIN = "go nearer to the board and run the same command again"


class BleBoard:
    """The board named `wanted`: its name, its address, or `auto` for the one that is there. See board.Way.

    bleak lives in an event loop of a thread of its own. PeerError where there is no adapter, or no such board.
    """

    def __init__(self, wanted: str) -> None:
        self.where = f"ble:{wanted}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ble", daemon=True)
        self._thread.start()
        self._said: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(1000)
        self._client: BleakClient | None = None
        try:
            self._do(self._connect(wanted), SCAN_S + CONNECT_S + CALL_S)
        except BaseException:
            self.close()
            raise

    def meet(self) -> Device | Status:
        """See board.Way: only blank boards are there by BLE."""
        return self._do(self._meet(), CALL_S)

    def join(self, ssid: str, password: str) -> None:
        """See board.Way."""
        self._do(self._tell(*frames.begin()), CALL_S)
        self._do(self._join(ssid, password), JOIN_S + CALL_S)

    def configure(self, settings: Settings, salt: str) -> dict[str, object]:
        """See board.Way. UsageError for a key: it would be overheard."""
        if settings.get("key"):
            raise UsageError("a key does not go over BLE", where=self.where, next_step="use the serial line")
        if not settings.get("ssid"):
            self._do(self._tell(*frames.begin()), CALL_S)
        held: dict[str, object] = {}
        for number, text in frames.parts(settings, salt):
            held = self._do(self._tell(number, text), 2 * CALL_S)
        return held

    def forget(self, probe: str) -> None:
        """See board.Way: a board with settings does not listen by BLE."""
        raise UsageError("cannot be made blank by BLE", where=self.where, next_step="use its serial line")

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            with suppress(HostkitError):
                self._do(self._disconnect(), CALL_S)
            self._client = None
        with suppress(HostkitError):
            self._do(_end_tasks(), CALL_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(2.0)
        if not self._thread.is_alive():
            self._loop.close()

    # -- within the loop --

    def _do(self, work: Coroutine[object, object, T], wait_s: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(wait_s)
        except LateError as error:
            future.cancel()
            raise PeerError("does not answer any more", where=self.where, next_step=_AGAIN) from error
        except (BleakError, OSError, EOFError) as error:
            raise _refusal(self.where, error) from error

    async def _connect(self, wanted: str) -> None:
        found = await BleakScanner.discover(timeout=SCAN_S, return_adv=True)
        boards = {device.address: device for device, told in found.values() if improv.SERVICE in told.service_uuids}
        names = {address: told.local_name or device.name or "" for address, (device, told) in found.items()}
        device = _chosen(wanted, boards, names, set(found))
        client = BleakClient(device, timeout=CONNECT_S)
        await client.connect()
        self._client = client
        if client.services.get_service(improv.SERVICE) is None:
            raise PeerError("does not speak Improv", where=self.where, next_step="is it a board of ours? name another")
        for uuid in (Characteristic.STATE, Characteristic.ERROR, Characteristic.RESULT):
            await client.start_notify(uuid, self._heard)

    async def _disconnect(self) -> None:
        if self._client is not None and self._client.is_connected:
            await self._client.disconnect()

    def _heard(self, sender: BleakGATTCharacteristic, data: bytearray) -> None:
        with suppress(asyncio.QueueFull):
            self._said.put_nowait((sender.uuid, bytes(data)))

    async def _meet(self) -> Device:
        _, texts = improv.read_ble_result(await self._call(Command.GET_INFO))
        return improv.device(texts)

    async def _join(self, ssid: str, password: str) -> None:
        await self._write(improv.ble_command(Command.SEND_WIFI, (ssid, password)))
        until_s = time.monotonic() + JOIN_S
        while (left_s := until_s - time.monotonic()) > 0:
            uuid, data = await self._next(left_s)
            if uuid == Characteristic.STATE and data == bytes((State.PROVISIONED,)):
                return
            if uuid == Characteristic.ERROR and data != bytes((Error.NONE,)):
                raise join_refused(self.where, data, ssid)
        raise join_refused(self.where, b"", ssid)

    async def _tell(self, number: str, text: bytes) -> dict[str, object]:
        """Give the board one message in pieces, and fetch its answer."""
        for at in range(0, len(text), PIECE):
            last = at + PIECE >= len(text)
            await self._write(improv.ble_packet(Command.MESSAGE, bytes((last,)) + text[at : at + PIECE]))
            await self._taken()
        answer, whole = b"", 1
        while len(answer) < whole:
            packet = await self._call(Command.ANSWER, len(answer).to_bytes(2, "big"))
            data = packet[2:-1]
            whole = int.from_bytes(data[:2], "big") or whole
            if whole > MAX_ANSWER_BYTES:
                raise PeerError("answers too much", where=self.where, next_step="update its firmware")
            answer += data[2:]
            if len(data) == 2:
                await asyncio.sleep(FETCH_S)
        read = frames.answer(answer, self.where)
        if read.id != number:
            raise PeerError("answers something else", where=self.where, next_step=_AGAIN)
        return frames.held(read, self.where)

    async def _call(self, which: Command, data: bytes = b"") -> bytes:
        """Make a call and give its whole result, sum included; what did not fit a notification is read."""
        await self._write(improv.ble_packet(which, data))
        await self._taken()
        while True:
            uuid, came = await self._next(CALL_S)
            if uuid == Characteristic.RESULT and came[:1] == bytes((which,)):
                assert self._client
                whole = len(came) >= 2 and len(came) == 3 + came[1]
                return came if whole else bytes(await self._client.read_gatt_char(Characteristic.RESULT))

    async def _taken(self) -> None:
        """Wait until the board has taken a call: it has room for one at a time."""
        while True:
            uuid, came = await self._next(CALL_S)
            if uuid == Characteristic.ERROR and came == bytes((Error.NONE,)):
                return
            if uuid == Characteristic.ERROR:
                step = "update its firmware: footfall probe put-app"
                raise PeerError(f"refuses a call (error {came.hex()})", where=self.where, next_step=step)

    async def _write(self, packet: bytes) -> None:
        assert self._client
        while not self._said.empty():
            self._said.get_nowait()  # of an earlier call
        await self._client.write_gatt_char(Characteristic.COMMAND, packet, response=True)

    async def _next(self, wait_s: float) -> tuple[str, bytes]:
        until_s = time.monotonic() + wait_s
        while time.monotonic() < until_s:
            with suppress(TimeoutError):
                return await asyncio.wait_for(self._said.get(), 0.2)
            if self._client is None or not self._client.is_connected:
                raise PeerError("the connection broke off", where=self.where, next_step=_AGAIN)
        raise PeerError("does not answer any more", where=self.where, next_step=_AGAIN)


async def _end_tasks() -> None:
    """End what bleak leaves running."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _chosen(wanted: str, boards: dict[str, BLEDevice], names: dict[str, str], all_of_them: set[str]) -> BLEDevice:
    """Give the board that is meant."""
    where = f"ble:{wanted}"
    fits = [address for address in names if wanted.lower() in {address.lower(), names[address].lower(), "auto"}]
    found = [address for address in fits if address in boards]
    if len(found) == 1:
        return boards[found[0]]
    if found:
        there = ", ".join(f"{address} ({shown(names[address]) or 'no name'})" for address in sorted(found))
        raise PeerError(f"{len(found)} boards wait for settings: {there}", where=where, next_step="name one by address")
    if fits and wanted != "auto":
        raise PeerError("waits for no settings", where=where, next_step="is it the right device, is it set up already?")
    raise PeerError(
        f"no such board waits for settings ({len(all_of_them)} other devices are in reach)",
        where=where,
        next_step="power it and go nearer; one that is set up already is not there by BLE: footfall probe verify",
    )


def _refusal(where: str, error: Exception) -> PeerError:
    said = shown(str(error) or type(error).__name__)
    lower = said.lower()
    if "no powered" in lower or "powered off" in lower:
        return PeerError("Bluetooth is off", where=where, next_step="switch it on and run the same command again")
    if any(mark in lower for mark in _NO_ADAPTER):
        step = "plug a Bluetooth adapter in and start its service (systemctl start bluetooth), or use a serial cable"
        return PeerError(f"no Bluetooth adapter ({said})", where=where, next_step=step)
    return PeerError(f"the connection broke off ({said})", where=where, next_step=_AGAIN)
