"""Phones captured alone, as folders, as one labelled capture and as a table of sightings."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.builders import Packet, element, heard, phone_elements, probe_request
from tests.crowd import save

START_US = 1_709_215_200_000_000
HEADER = "time_s,probe,address,rssi_dbm,channel,sequence,elements_hex,label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One probe request of a phone, and who heard it how loud."""

    time_us: int
    phone: int
    address: bytes
    sequence: int
    elements: bytes
    rssi_dbm: tuple[int, ...]

    @property
    def body(self) -> bytes:
        """The frame as sent."""
        return probe_request(self.elements, address=self.address, sequence=self.sequence)


def phones(
    seed: int = 1, *, count: int = 6, models: int = 3, minutes: int = 10, probes: int = 1, apart_s: float = 0.0
) -> list[Frame]:
    """Frames of phones that scan every 20 to 60 s, each scan from an address of its own; in order of time."""
    rng = random.Random(seed)
    sent = []
    for phone in range(count):
        level = [rng.randint(-80, -45) for _ in range(probes)]
        at_us = START_US + round(phone * apart_s * 1e6) + rng.randrange(20_000_000)
        end_us = START_US + round(phone * apart_s * 1e6) + minutes * 60_000_000
        elements = phone_elements(channel=6, tail=element(59, bytes([phone % models])))
        while at_us < end_us:
            address = bytes([rng.randrange(256) & 0xFC | 2, *rng.randbytes(5)])
            for n in range(3):
                loud = tuple(one + rng.randint(-3, 3) for one in level)
                sent.append(
                    Frame(
                        time_us=at_us + n * 100_000, phone=phone, address=address, sequence=rng.randrange(4096),
                        elements=elements, rssi_dbm=loud,
                    )
                )  # fmt: skip
            at_us += rng.randint(20_000_000, 60_000_000)
    return sorted(sent, key=lambda one: one.time_us)


def packets(frames: Sequence[Frame], later_us: int = 0) -> list[Packet]:
    """The frames as a sniffer saves them."""
    return [Packet(data=heard(one.body, rssi_dbm=one.rssi_dbm[0]), time_us=one.time_us + later_us) for one in frames]


def folder(path: Path, frames: Sequence[Frame]) -> Path:
    """A folder for each phone, of two channels' captures that share every third frame."""
    for phone in sorted({one.phone for one in frames}):
        mine = [one for one in frames if one.phone == phone]
        once, again = (set(range(start, len(mine), 2)) | set(range(1 - start, len(mine), 6)) for start in (0, 1))
        save(path / f"phone{phone}" / "ch1.pcap", packets([mine[at] for at in sorted(once)]))
        save(path / f"phone{phone}" / "ch6.pcap", packets([mine[at] for at in sorted(again)], later_us=20_000))
    return path


def table(path: Path, frames: Sequence[Frame], *, shift_s: float = 0.0) -> Path:
    """SIGHTINGS.csv of frames, heard by every probe they have a level for."""
    lines = [HEADER]
    for one in frames:
        for probe, rssi_dbm in enumerate(one.rssi_dbm):
            lines.append(
                f"{one.time_us / 1e6 + shift_s:.6f},p{probe},{one.address.hex(':')},{rssi_dbm},6,{one.sequence},"
                f"{one.elements.hex()},phone{one.phone}"
            )
    path.write_text("\n".join(lines) + "\n")
    return path


def readdressed(frames: Sequence[Frame], seed: int) -> list[Frame]:
    """The same frames, every address another one."""
    rng = random.Random(seed)
    other = {one.address: bytes([one.address[0], *rng.randbytes(5)]) for one in frames}
    return [replace(one, address=other[one.address]) for one in frames]
