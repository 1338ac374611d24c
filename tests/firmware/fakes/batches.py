"""So many batches of 30 records from ring to socket, with nothing else running: prints heap growth, records, sent."""

import asyncio
import gc
import sys

from sensor import capture, counts, flashlog, hop, keys, link, messages, spool, state, timesync, uplink, wire

COUNT = int(sys.argv[1])


class Ear:
    ELEMENT_TABLE = 5

    def __init__(self):
        self.left = 0
        self.us = 10_000_000
        self.block = bytes(30 * 26)

    def now_us(self):
        return self.us

    def recvinto(self, buf, at, base_us):
        count, self.left = self.left, 0
        if count:
            buf[at : at + 780] = self.block
        return count

    def channel(self, n):
        pass

    def start(self, key, registry=b""):
        return self.us

    def stats(self):
        return 1, 2, 3, 0, 5


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


async def main():
    ear, have, time = Ear(), keys.Keys(), timesync.HubTime()
    have.take([{"key_id": 7, "key": "00" * 16, "from": 0, "until": 4_000_000_000}], 0)
    time.told(1_773_486_300_000_000, ear.us)
    boot, counted = state.State(Nvs(), lambda data=None: b""), counts.Counts()
    spooled = spool.Spool(flashlog.FlashLog("spool"), have)
    up = uplink.Uplink(messages.Voice("t", "s", "p", boot.boot), spooled, have, time, boot, counted, ear.now_us)
    plan = hop.Hop((1, 6, 11), 1000, 0)
    ears = capture.Capture(ear, None, wire.Batch("p"), plan, spooled, have, time, boot, counted, up.wake)
    way = link.MqttLink({"tenant": "demo", "site": "shop", "probe": "p"}, None, up, None, counted)
    way._mqtt.connected, way._mqtt._socket = True, Socket()
    up.capture, up.link, up._said_last, up._info_due = ears, way, True, False
    ears.batch_us = 1_000_000
    ears.turn()
    held = []
    for number in range(COUNT):
        ear.left = 30
        ear.us += 1_000_000
        ears.turn()
        while await up._send():
            pass
        spooled.acknowledge(boot.boot, ears.seq)
        if number in (COUNT // 2, COUNT - 1):
            gc.collect()
            held.append(gc.mem_alloc())
    print(held[-1] - held[0], ears.kept, counted.passed["sent"])


asyncio.run(main())
