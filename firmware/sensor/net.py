"""The way to the shop's network: Ethernet or Wi-Fi up and down. Refuses nothing: the caller tries again."""

import asyncio

import network
from machine import Pin

from .mqtt import MqttError

_WIFI_FAULTS = (
    ("STAT_WRONG_PASSWORD", "wrong password"),
    ("STAT_HANDSHAKE_TIMEOUT", "wrong password"),  # what many access points let it look like
    ("STAT_NO_AP_FOUND", "no access point of that name"),
    ("STAT_CONNECTING", "no address (DHCP)"),
)
STEP_MS = 200
UP_MS = 20_000
MOST_NETWORKS = 12


class Lan:
    """Ethernet through the board's PHY; the Wi-Fi radio stays free."""

    def __init__(self, board: dict) -> None:
        named = {"phy_type": getattr(network, board["phy_type"]), "ref_clk_mode": getattr(Pin, board["ref_clk_mode"])}
        pins = {name: Pin(board[name]) for name in ("mdc", "mdio", "power", "ref_clk")}
        self._lan = network.LAN(phy_addr=board["phy_addr"], **named, **pins)
        self._lan.active(True)

    async def up(self) -> None:
        """Wait for link and address; OSError if there is none."""
        await _connected(self._lan, _lan_fault)

    async def down(self) -> None:
        """Stay: it costs nothing."""


class Wifi:
    """The shop's access point. While it is up the radio stays on the access point's channel."""

    def __init__(self, ssid: str, password: str) -> None:
        self._ssid, self._password = ssid, password
        self._wlan = network.WLAN(network.STA_IF)
        self._wlan.active(True)

    async def up(self) -> None:
        """Join; OSError if that does not come about."""
        if not self._wlan.isconnected():
            self._wlan.connect(self._ssid, self._password)
        try:
            await _connected(self._wlan, _wifi_fault)
        except OSError:
            self._wlan.disconnect()
            raise

    async def down(self) -> None:
        """Leave."""
        self._wlan.disconnect()

    def channel(self) -> int:
        """Give the access point's channel."""
        return int(self._wlan.config("channel"))


def networks() -> list[tuple[str, int, bool]]:
    """Give the access points in reach, the strongest first: name, RSSI and whether it wants a password."""
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    found: list[tuple[str, int, bool]] = []
    for name, _, _, rssi_dbm, security, _ in sorted(wlan.scan(), key=lambda row: -row[3]):
        try:
            text = name.decode()
        except UnicodeError:
            continue
        if text and text not in [row[0] for row in found] and len(found) < MOST_NETWORKS:
            found.append((text, rssi_dbm, security != 0))
    return found


async def _connected(interface, fault) -> None:
    for _ in range(UP_MS // STEP_MS):
        if interface.isconnected():
            return
        await asyncio.sleep_ms(STEP_MS)
    raise MqttError(fault(interface), "no_network")


def _wifi_fault(wlan) -> str:
    """Say why there is no network, by the driver's status."""
    status = wlan.status()
    for name, text in _WIFI_FAULTS:
        if status == getattr(network, name, None):
            return text
    return "no access point"


def _lan_fault(lan) -> str:
    linked = lan.status() == getattr(network, "ETH_CONNECTED", None)
    return "no address (DHCP)" if linked else "no Ethernet link"
