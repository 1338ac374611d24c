"""Stand-in for the ESP32's machine: reset ends the process, RTC memory and reset cause are files, the UART is a pty."""

import io
import os
import select
import sys
import time

import control

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
RESET_EXIT = 3
_FILENO = 10
fed_ms = 0
pins = {}


def reset_cause():
    try:
        with open("reset_cause") as file:
            return int(file.read())
    except (OSError, ValueError):
        return PWRON_RESET


def reset():
    with open("reset_cause", "w") as file:
        file.write(str(SOFT_RESET))
    sys.exit(RESET_EXIT)


class WDT:
    def __init__(self, timeout):
        control.names["wdt_timeout"] = timeout

    def feed(self):
        global fed_ms
        fed_ms = time.ticks_ms()


class RTC:
    def memory(self, data=None):
        if data is None:
            try:
                with open("rtc.bin", "rb") as file:
                    return file.read()
            except OSError:
                return b""
        with open("rtc.bin~", "wb") as file:  # whole or not at all: it is eight bytes of RAM, not a file
            file.write(data)
        os.rename("rtc.bin~", "rtc.bin")


class Pin:
    OUT, IN, PULL_UP = 1, 0, 2

    def __init__(self, number, mode=0, pull=None, value=None):
        self.number = number

    def value(self, level=None):
        if level is None:
            return pins.get(self.number, 1)
        pins[self.number] = level


class UART(io.IOBase):
    """The slave side of the test's pty."""

    def __init__(self, number, baudrate=115200, **options):
        if not os.getenv("PTY"):
            raise OSError(19)
        self._file = open(os.getenv("PTY"), "r+b")
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def readinto(self, buffer):
        """As a UART without timeout: what is there, None for nothing."""
        at = 0
        while at < min(len(buffer), 128) and self._poll.poll(0):
            byte = self._file.read(1)  # more would wait for all of it
            if not byte:
                return 0
            buffer[at : at + 1] = byte
            at += 1
        return at or None

    def write(self, data):
        return self._file.write(data)

    def ioctl(self, request, argument):
        return self._file.fileno() if request == _FILENO else -22
