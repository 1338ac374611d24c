"""Stand-in for the port's network: the test says whether there is a cable or an access point."""

import control

STA_IF = 0
state = {"lan": True, "ap": True, "channel": 6, "password": None}
control.handlers["network"] = lambda message: state.update(message["state"])


class LAN:
    def __init__(self, **pins):
        pass

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
