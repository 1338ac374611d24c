"""Stand-in for the port's network: the test says whether there is a cable or an access point."""

import control
import machine

STA_IF = 0
state = {"lan": True, "ap": True, "channel": 6, "password": None}
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
        return state["lan"]


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
        return self._joined and state["ap"]

    def config(self, name):
        return state[name]
