"""A street of phones as captures: who sent what is known before anything reads it."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.builders import Packet, element, heard, pcap, phone_elements, probe_request

START_US = 1_709_215_200_000_000  # 2024-02-29 14:00 UTC
MINUTE_US = 60_000_000
BURST_FRAMES = 3
MODELS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One frame on the air, when, and how loud a probe hears it."""

    time_us: int
    frame: bytes
    rssi_dbm: int


def crowd(
    seed: int, *, phones: int = 30, minutes: int = 60, start_us: int = START_US, stay_minutes: int = 15
) -> list[Sent]:
    """Phones that come and go, a burst a minute, each burst under a new random address; ordered by time."""
    rng = random.Random(seed)
    sent: list[Sent] = []
    for phone in range(phones):
        arrival_us = start_us + rng.randrange(max(minutes - stay_minutes, 1) * MINUTE_US)
        bursts = [arrival_us + n * MINUTE_US + rng.randrange(20_000_000) for n in range(stay_minutes)]
        loudness = rng.randint(-80, -40)
        for number, burst_us in enumerate(at for at in bursts if at < start_us + minutes * MINUTE_US):
            sent += _burst(rng, phone, number, burst_us, loudness)
    return sorted(sent, key=lambda one: one.time_us)


def _burst(rng: random.Random, phone: int, number: int, burst_us: int, loudness: int) -> Iterable[Sent]:
    address = bytes([(rng.randrange(256) & 0xFC) | 2, *rng.randbytes(5)])
    elements = phone_elements(tail=element(59, bytes([phone % MODELS])))
    for n in range(BURST_FRAMES):
        frame = probe_request(elements, address=address, sequence=(phone * 97 + number * BURST_FRAMES + n) % 4096)
        yield Sent(time_us=burst_us + n * 20_000, frame=frame, rssi_dbm=loudness + rng.randint(-3, 3))


def overhear(
    sent: Sequence[Sent], seed: int = 0, *, share: float = 1.0, offset_s: float = 0.0, gain_db: int = 0
) -> list[Packet]:
    """What a probe with its own clock and place captures of it."""
    rng = random.Random(seed)
    offset_us = round(offset_s * 1e6)
    return [
        Packet(data=heard(one.frame, rssi_dbm=max(one.rssi_dbm + gain_db, -99)), time_us=one.time_us + offset_us)
        for one in sent
        if rng.random() < share
    ]


def shifted(packets: Iterable[Packet], seconds: float) -> list[Packet]:
    """The same packets later."""
    return [replace(packet, time_us=packet.time_us + round(seconds * 1e6)) for packet in packets]


def save(path: Path, packets: Iterable[Packet]) -> Path:
    """Write a pcap."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pcap(packets))
    return path
