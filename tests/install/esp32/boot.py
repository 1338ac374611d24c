"""What an ESP32's MicroPython has and a unix one has not, as far as mpremote asks: its platform's name, a reset."""

import sys


class Esp32:
    pass


_esp32 = Esp32()
for _name in dir(sys):
    setattr(_esp32, _name, getattr(sys, _name))
_esp32.platform = "esp32"
sys.modules["sys"] = _esp32
