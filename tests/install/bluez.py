"""BlueZ as bleak meets it, on a D-Bus of its own: an adapter, devices, and the GATT service of a board's own firmware.

What a client writes is written into the firmware's characteristic; what the firmware notifies is notified. The radio is
left out: that is all that is played.
"""

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbus_fast import BusType, DBusError
from dbus_fast.aio import MessageBus
from dbus_fast.constants import PropertyAccess
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

from tests.firmware.board import Board

SERVICE = "00467768-6228-2272-4663-277478268000"
ADAPTER = "/org/bluez/hci0"
FLAGS = {2: "read", 4: "write-without-response", 8: "write", 16: "notify"}
READ = PropertyAccess.READ


@dataclass
class Air:
    """What is in reach. `boards` by address; `others` are devices of somebody else. Tests change it at will."""

    powered: bool = True
    adapter: bool = True
    boards: dict[str, Board] = field(default_factory=dict)
    others: tuple[str, ...] = ("C0:FF:EE:00:00:01",)
    mtu: int = 256
    break_after: int | None = None  # writes, then the connection is gone
    writes: list[bytes] = field(default_factory=list)


class Adapter(ServiceInterface):
    """org.bluez.Adapter1."""

    def __init__(self, bluez: "Bluez") -> None:
        super().__init__("org.bluez.Adapter1")
        self._bluez = bluez

    @dbus_method()
    async def StartDiscovery(self) -> None:  # noqa: N802
        await self._bluez.appear()

    @dbus_method()
    def StopDiscovery(self) -> None:  # noqa: N802
        return

    @dbus_method()
    def SetDiscoveryFilter(self, properties: "a{sv}") -> None:  # type: ignore[name-defined,valid-type] # noqa: F722,N802
        return

    @dbus_property(access=READ)
    def Address(self) -> "s":  # type: ignore[name-defined] # noqa: F821,N802
        return "00:11:22:33:44:55"

    @dbus_property(access=READ)
    def Powered(self) -> "b":  # type: ignore[name-defined] # noqa: F821,N802
        return self._bluez.air.powered

    @dbus_property(access=READ)
    def Roles(self) -> "as":  # type: ignore[name-defined,valid-type] # noqa: F722,N802
        return ["central", "peripheral"]


class Device(ServiceInterface):
    """org.bluez.Device1."""

    def __init__(self, bluez: "Bluez", path: str, address: str, board: Board | None) -> None:
        super().__init__("org.bluez.Device1")
        self._bluez, self.path, self._address, self.board = bluez, path, address, board
        self.connected = False

    @dbus_method()
    async def Connect(self) -> None:  # noqa: N802
        if self.board is not None:
            await self._bluez.connect(self)
        self.connected = True
        self.emit_properties_changed({"Connected": True, "ServicesResolved": True})

    @dbus_method()
    async def Disconnect(self) -> None:  # noqa: N802
        self.gone()

    def gone(self) -> None:
        """The link is lost."""
        if self.connected:
            self.connected = False
            self.emit_properties_changed({"Connected": False, "ServicesResolved": False})

    @dbus_property(access=READ)
    def Address(self) -> "s":  # type: ignore[name-defined] # noqa: F821,N802
        return self._address

    @dbus_property(access=READ)
    def AddressType(self) -> "s":  # type: ignore[name-defined] # noqa: F821,N802
        return "public"

    @dbus_property(access=READ)
    def Name(self) -> "s":  # type: ignore[name-defined] # noqa: F821,N802
        return "footfall probe" if self.board else "headphones"

    @dbus_property(access=READ)
    def Alias(self) -> "s":  # type: ignore[name-defined] # noqa: F821,N802
        return "footfall probe" if self.board else "headphones"

    @dbus_property(access=READ)
    def RSSI(self) -> "n":  # type: ignore[name-defined] # noqa: F821,N802
        return -50

    @dbus_property(access=READ)
    def UUIDs(self) -> "as":  # type: ignore[name-defined,valid-type] # noqa: F722,N802
        return [SERVICE] if self.board else ["0000110b-0000-1000-8000-00805f9b34fb"]

    @dbus_property(access=READ)
    def Paired(self) -> "b":  # type: ignore[name-defined] # noqa: F821,N802
        return False

    @dbus_property(access=READ)
    def Connected(self) -> "b":  # type: ignore[name-defined] # noqa: F821,N802
        return self.connected

    @dbus_property(access=READ)
    def ServicesResolved(self) -> "b":  # type: ignore[name-defined] # noqa: F821,N802
        return self.connected

    @dbus_property(access=READ)
    def Adapter(self) -> "o":  # type: ignore[name-defined] # noqa: F821,N802
        return ADAPTER


class Service(ServiceInterface):
    """org.bluez.GattService1."""

    def __init__(self, device: str, uuid: str) -> None:
        super().__init__("org.bluez.GattService1")
        self._device, self._uuid = device, uuid

    @dbus_property(access=READ)
    def UUID(self) -> "s":  # type: ignore[name-defined] # noqa: F821,N802
        return self._uuid

    @dbus_property(access=READ)
    def Primary(self) -> "b":  # type: ignore[name-defined] # noqa: F821,N802
        return True

    @dbus_property(access=READ)
    def Device(self) -> "o":  # type: ignore[name-defined] # noqa: F821,N802
        return self._device


class Characteristic(ServiceInterface):
    """org.bluez.GattCharacteristic1 of one of the firmware's."""

    def __init__(self, bluez: "Bluez", device: Device, service: str, row: tuple[str, int, int]) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._bluez, self._device, self._service = bluez, device, service
        self.uuid, self._flags, self.handle = row
        self._value = b""

    def notified(self, value: bytes) -> None:
        """The board notifies."""
        self._value = value
        self.emit_properties_changed({"Value": value})

    @dbus_method()
    async def ReadValue(self, options: "a{sv}") -> "ay":  # type: ignore[name-defined,valid-type] # noqa: F722,F821,N802
        return bytes.fromhex(await self._bluez.eval(self._device, f"bluetooth.values[{self.handle}].hex()"))

    @dbus_method()
    async def WriteValue(self, value: "ay", options: "a{sv}") -> None:  # type: ignore[name-defined,valid-type] # noqa: F722,F821,N802
        air = self._bluez.air
        air.writes.append(bytes(value))
        if air.break_after is not None and len(air.writes) > air.break_after:
            self._device.gone()
            raise DBusError("org.bluez.Error.Failed", "Not connected")
        await self._bluez.run(self._device, f"bluetooth.write({self.handle}, bytes.fromhex('{bytes(value).hex()}'))")

    @dbus_method()
    def StartNotify(self) -> None:  # noqa: N802
        return

    @dbus_method()
    def StopNotify(self) -> None:  # noqa: N802
        return

    @dbus_property(access=READ)
    def UUID(self) -> "s":  # type: ignore[name-defined] # noqa: F821,N802
        return self.uuid

    @dbus_property(access=READ)
    def Service(self) -> "o":  # type: ignore[name-defined] # noqa: F821,N802
        return self._service

    @dbus_property(access=READ)
    def Flags(self) -> "as":  # type: ignore[name-defined,valid-type] # noqa: F722,N802
        return [name for bit, name in FLAGS.items() if self._flags & bit]

    @dbus_property(access=READ)
    def MTU(self) -> "q":  # type: ignore[name-defined] # noqa: F821,N802
        return self._bluez.air.mtu

    @dbus_property(access=READ)
    def Value(self) -> "ay":  # type: ignore[name-defined] # noqa: F821,N802
        return self._value


class Bluez:
    """The daemon of D-Bus and, in a thread, org.bluez. `environment` is what a client needs."""

    def __init__(self, folder: Path, air: Air) -> None:
        self.air = air
        socket = folder / "bus"
        config = folder / "bus.conf"
        config.write_text(
            "<busconfig><type>system</type><auth>EXTERNAL</auth>"
            f"<listen>unix:path={socket}</listen>"
            '<policy context="default"><allow own="*"/><allow send_destination="*"/>'
            '<allow receive_sender="*"/><allow send_type="*"/></policy></busconfig>'
        )
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork"], stderr=subprocess.DEVNULL
        )
        self.address = f"unix:path={socket}"
        self.environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.address}
        give_up_s = time.monotonic() + 60
        while not socket.exists():
            assert time.monotonic() < give_up_s
            time.sleep(0.02)
        self._devices: list[Device] = []
        self._characteristics: list[Characteristic] = []
        self._lock = threading.Lock()  # over the boards' lines
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()
        self._daemon.terminate()
        self._daemon.wait(60)

    async def appear(self) -> None:
        """Show what is in reach, each time somebody looks."""
        for device in self._devices:
            self._bus.unexport(device.path)
        self._devices.clear()
        there = {**self.air.boards, **dict.fromkeys(self.air.others)}
        for address, board in there.items():
            path = f"{ADAPTER}/dev_{address.replace(':', '_')}"
            device = Device(self, path, address, board)
            self._devices.append(device)
            self._bus.export(path, device)

    async def connect(self, device: Device) -> None:
        """Take the services of the board's firmware."""
        await self.run(device, f"import bluetooth; bluetooth.mtu = {self.air.mtu}; bluetooth.connected(True)")
        ((uuid, rows),) = await self.eval(device, "bluetooth.services")
        service = f"{device.path}/service0010"
        self._bus.unexport(service)
        self._bus.export(service, Service(device.path, uuid))
        self._characteristics = []
        for row in rows:
            one = Characteristic(self, device, service, tuple(row))
            path = f"{service}/char{one.handle:04x}"
            self._bus.unexport(path)
            self._bus.export(path, one)
            self._characteristics.append(one)

    async def eval(self, device: Device, code: str) -> Any:
        """Ask the firmware; a board that restarts is a link that is lost."""
        return await self._asked(device, lambda board: board.eval(code))

    async def run(self, device: Device, code: str) -> None:
        """Let the firmware do something."""
        await self._asked(device, lambda board: board.run(code))

    async def _asked(self, device: Device, ask: Callable[[Board], Any]) -> Any:
        board = device.board
        assert board is not None

        def locked() -> Any:
            with self._lock:
                return ask(board)

        try:
            return await asyncio.to_thread(locked)
        except (AssertionError, OSError) as error:
            device.gone()
            raise DBusError("org.bluez.Error.Failed", "Not connected") from error

    async def _serve(self) -> None:
        self._bus = await MessageBus(bus_address=self.address, bus_type=BusType.SYSTEM).connect()
        if self.air.adapter:
            self._bus.export(ADAPTER, Adapter(self))
        await self._bus.request_name("org.bluez")
        self._ready.set()
        while not self._over.is_set():
            await self._notify()
            await asyncio.sleep(0.03)
        self._bus.disconnect()

    async def _notify(self) -> None:
        for device in [device for device in self._devices if device.connected and device.board]:
            try:
                code = "[[handle, data.hex()] for handle, data in bluetooth.notified]"
                came = await self.eval(device, code)
                await self.run(device, f"del bluetooth.notified[:{len(came)}]")
            except DBusError:
                continue
            for handle, data in came:
                for one in self._characteristics:
                    if one.handle == handle:
                        one.notified(bytes.fromhex(data))
