"""Batches as full as they get, down a serial line: instructions each takes, and those of its acknowledgement."""

import gc
import json
import time

import dot11cap
from parts import Path
from sensor import serial, wire

RECORDS = 39
ACK = {
    "id": "run-1-1", "source": "/t/s/hub", "type": "footfall.v1.ack", "time": "2026-03-14T11:05:00.123456Z",
    "boot": "run-1", "seq": 1, "provenance": "live", "specversion": "1.0", "datacontenttype": "application/json",
}  # fmt: skip


def costs(batches):
    """Give (batch, acknowledgement) of each, and what is left in the spool."""
    way = Path(dot11cap.Ear())
    line = way.uplink.link = serial.SerialLink(way.uplink.link._mqtt.stream, way.uplink, way.counts)
    rows = []
    for _ in range(batches):
        way.ear.hear(RECORDS)
        size = _acknowledge(line, str(way.state.boot), way.capture.seq + 1)
        gc.collect()
        before = time.ticks_cpu()
        way.capture.drain()
        while way.uplink._send():
            pass
        sent = time.ticks_cpu()
        line._take(size)
        rows.append((time.ticks_diff(sent, before), time.ticks_diff(time.ticks_cpu(), sent)))
    return [rows, way.counts.passed["acknowledged"], len(way.spool)]


def _acknowledge(line, boot, upto):
    text = json.dumps({"stream": "ack", "data": dict(ACK, data={"boot": boot, "upto": upto})}).encode()
    frame = bytearray(wire.frame_room(len(text)))
    size = wire.frame_into(frame, wire.MESSAGE, memoryview(text))
    line._in[:size] = frame[:size]
    return size
