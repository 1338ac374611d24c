"""The way of a batch from ring to socket, put together with nothing else running."""

from sensor import capture, counts, flashlog, hop, keys, link, messages, spool, state, timesync, uplink

RECORDS = 30
BEGAN_US = 20_000_000_000  # hours after boot: beyond a board's small ints


class Nvs:
    def get_i32(self, name):
        raise OSError(1)

    def set_i32(self, name, value):
        pass

    def commit(self):
        pass


class Socket:
    def write(self, view):
        return len(view)


class Ear:
    """The C module's ear, at a time of the test's own."""

    def __init__(self, ear):
        self.us = BEGAN_US
        self._ear = ear
        self.ELEMENT_TABLE = ear.ELEMENT_TABLE
        for name in ("stop", "channel", "recvinto", "pack", "stats", "any"):
            setattr(self, name, getattr(ear, name))

    def now_us(self):
        return self.us

    def start(self, key, registry=b""):
        self._ear.start(key, registry=registry)
        return self.us

    def hear(self, frames):
        """Let so many frames be heard within the last second."""
        for number in range(frames):
            self._ear.inject(_frame(number), -60, 6, self.us + number * 1000)
        self.us += 1_000_000


def _frame(number):
    elements = b"\0\4name\1\4\2\4\x0b\x16\3\1\6"
    return b"\x40" + bytes(9) + b"\2\0\0\0\0" + bytes((number,)) + bytes(8) + elements + bytes(4)


class Path:
    """`pass_on` is one batch of RECORDS records from ring to socket, and its acknowledgement."""

    def __init__(self, real):
        self.ear = ear = Ear(real)
        have, time, counted = keys.Keys(), timesync.HubTime(), counts.Counts()
        have.take([{"key_id": 7, "key": "00" * 16, "from": 0, "until": 4_000_000_000}], 0)
        time.told(1_773_486_300_000_000, ear.us)
        self.state = boot = state.State(Nvs(), lambda data=None: b"")
        self.spool = spooled = spool.Spool(flashlog.FlashLog("spool"), have)
        self.uplink = up = uplink.Uplink(
            messages.Voice("t", "s", "p", 1), spooled, have, time, boot, counted, ear.now_us
        )
        plan = hop.Hop((1, 6, 11), 1000, 0)
        self.capture = capture.Capture(ear, None, "p", plan, spooled, have, time, boot, counted, up.wake)
        way = link.MqttLink({"tenant": "demo", "site": "corner-shop", "probe": "door-1"}, None, up, None, counted)
        way._mqtt.connected, way._mqtt.stream = True, Socket()
        up.capture, up.link, up._said_last, up._info_due = self.capture, way, True, False
        self.counts = counted
        self.capture.batch_us = 1_000_000
        self.capture.turn()

    def pass_on(self):
        self.capture.turn()
        while self.uplink._send():
            pass
        self.spool.acknowledge(self.state.boot, self.capture.seq)
