"""Stand-in for the port's network: the test says whether there is a cable or an access point."""

import control
import machine

STA_IF = 0
# As the ESP32 port numbers them.
STAT_CONNECTING, STAT_GOT_IP, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 1001, 1010, 201, 202
ETH_CONNECTED, ETH_DISCONNECTED, ETH_GOT_IP = 3, 4, 5
state = {"reach": [], "lan": True, "ap": True, "channel": 6, "password": None, "dhcp": True}
control.handlers["network"] = lambda message: state.update(message["state"])


PHY_LAN8720 = 6


class LAN:
    def __init__(self, *, mdc, mdio, power, ref_clk, ref_clk_mode, phy_type, phy_addr):
        assert all(isinstance(pin, machine.Pin) for pin in (mdc, mdio, power, ref_clk))
        assert ref_clk_mode in (machine.Pin.IN, machine.Pin.OUT)
        assert (phy_type, type(phy_addr)) == (PHY_LAN8720, int)

    def active(self, on):
        pass

    def isconnected(self):
        return state["lan"] and state["dhcp"]

    def status(self):
        return (ETH_GOT_IP if state["dhcp"] else ETH_CONNECTED) if state["lan"] else ETH_DISCONNECTED


class WLAN:
    def __init__(self, interface):
        self._joined = False

    def active(self, on):
        pass

    def connect(self, ssid, password):
        self._joined = state["password"] in (None, password)

    def disconnect(self):
        self._joined = False

    def isconnected(self):
        return self._joined and state["ap"] and state["dhcp"]

    def status(self):
        if not state["ap"]:
            return STAT_NO_AP_FOUND
        if not self._joined:
            return STAT_WRONG_PASSWORD
        return STAT_GOT_IP if state["dhcp"] else STAT_CONNECTING

    def scan(self):
        return [(row[0].encode(), b"\0" * 6, 6, row[1], row[2], False) for row in state["reach"]]

    def config(self, name):
        return state[name]
