"""Batches of probes, each once and in order, on hub time. Refuses and counts what is not a batch of this site.

A probe resends until acked and keeps the order, so a batch is taken when it is the next of its boot; an earlier one is
a duplicate; a later one is held until the missing come, or until it is sure enough that they never will: the probe's
window is full of later ones, or `GAP_S` passed. Then the gap is counted as lost.

What is dated later than now is put where it arrived. Sightings nobody vouches for the time of count like any other: a
stay is as long by a clock that is wrong. They are flagged, counted, and told of, as is the first of every refusal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hostkit.contract.messages import Clock
from hostkit.core.dot11 import FINGERPRINT_VERSION
from hostkit.core.listening import BLE, ByChannel
from hostkit.core.wire import UNSYNCED, Batch, decode_batch, sightings_of_batch
from hostkit.errors import InputError
from hostkit.hub.chain import Heard
from hostkit.hub.clockcheck import ClockCheck, hub_clock
from hostkit.hub.clockfit import ProbeClock
from hostkit.hub.seal import Seal
from hostkit.io.mqtt import Arrived
from hostkit.model import Provenance, Radio, Site

WINDOW = 8  # batches a probe sends before it is acked: as many later ones prove that the missing are gone
MAX_HELD = 64  # per probe and boot, should one not keep to the window
GAP_S = 5.0
MAX_AHEAD_US = 60_000_000  # a probe ahead of the hub by more is wrong
MAX_AGE_US = 24 * 3_600_000_000  # its key is gone
MAX_LANES = 256  # boots of probes held in memory
MAX_TOLD = 200


class Refused(StrEnum):
    """Why a batch was refused; each counts in health."""

    BAD = "batch_bad"
    FOREIGN = "batch_foreign"  # of another probe than its topic says, or of none of the site
    PROVENANCE = "batch_provenance"
    NO_TIME = "batch_no_time"
    TIME = "batch_time"
    KEY = "batch_key"
    FLOOD = "batch_flood"


_TOLD = {
    Refused.BAD: "came damaged; it is asked for again: look at the line if that lasts",
    Refused.FOREIGN: "says it is of another probe; look at site.toml, and at who may write there",
    Refused.PROVENANCE: "is live where all else here is simulated, or the like; give the hub a folder for each",
    Refused.NO_TIME: "has no time, and the hub goes by that of its batches; run the hub with --clock wall",
    Refused.TIME: "is dated a day before the hub's time or a minute after it; look at the clocks of both",
    Refused.KEY: "is under a key that is gone; its phones cannot be told from others': the probe is given the new one",
    Refused.FLOOD: "came far before its turn; look at the probe's version",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A decoded batch with the message that brought it and its monotonic arrival."""

    batch: Batch
    message: Arrived
    at_s: float


@dataclass(slots=True)
class _Lane:
    """One boot of one probe."""

    upto: int | None
    held: dict[int, Held] = field(default_factory=dict)
    clock: ProbeClock = field(default_factory=ProbeClock)


class Intake:
    """Sorts what arrives on `obs`. `taken` is the last batch taken of each (probe, boot)."""

    def __init__(self, site: Site, taken: Mapping[tuple[str, int], int], *, batch_clock: bool) -> None:
        self._index = {probe.id: index for index, probe in enumerate(site.probes)}
        self._batch_clock = batch_clock
        self._lanes = {key: _Lane(upto) for key, upto in taken.items()}
        self._known = {probe for probe, _ in taken}
        self.drops = dict.fromkeys(Refused, 0)
        self.provenance: Provenance | None = None
        self.batches = 0
        self.duplicates = 0
        self.lost = 0
        self.unsynced = 0  # sightings nobody vouches for the time of
        self.remarks: list[str] = []  # to be said; each cause once a probe
        self._told: set[tuple[str, str]] = set()
        self._clock_synced = self.asked_clock().synced
        self.check = ClockCheck()
        self.other_tables = 0  # batches whose fingerprints another element table made

    def decode(self, message: Arrived, node: str) -> Batch | None:
        """Read a batch that came from probe `node`; None, counted, if it is none or of somebody else."""
        try:
            batch = decode_batch(message.payload, origin="obs")
        except InputError:
            self._refuse(Refused.BAD, node)
            return None
        if batch.probe != node or node not in self._index:
            self._refuse(Refused.FOREIGN, node)
            return None
        if self.provenance not in {None, batch.provenance}:
            self._refuse(Refused.PROVENANCE, node)
            return None
        if self._batch_clock and batch.base_time_us == 0:
            self._refuse(Refused.NO_TIME, node)
            return None
        return batch

    def hold(self, held: Held) -> list[Held]:
        """Take a batch in; give those that may go to be settled at once: duplicates and what there is no room for."""
        lane = self._lane(held.batch)
        seq = held.batch.seq
        if (lane.upto is not None and seq <= lane.upto) or seq in lane.held:
            self.duplicates += 1
            if seq in lane.held:  # the newer copy stands for it at the broker, which waits for both
                held, lane.held[seq] = lane.held[seq], held
            return [held]
        if len(lane.held) >= MAX_HELD:
            self._refuse(Refused.FLOOD, held.batch.probe)
            return [held]
        lane.held[seq] = held
        return []

    def ready(self, now_s: float) -> list[Held]:
        """Give the batches whose turn it is, in order; the caller must take them all."""
        ready: list[Held] = []
        for lane in self._lanes.values():
            while lane.held:
                first = min(lane.held)
                expected = (lane.upto or 0) + 1
                if first > expected:
                    if len(lane.held) < WINDOW and now_s < lane.held[first].at_s + GAP_S:
                        break
                    self.lost += 0 if lane.upto is None else first - expected
                lane.upto = first
                ready.append(lane.held.pop(first))
        self.batches += len(ready)
        return ready

    def heard(self, batch: Batch, arrived_us: int, now_us: int | None, seal: Seal | None) -> Heard | None:
        """Put a batch on hub time; None, counted, if its time is impossible. Device keys end here, if there is a seal.

        A life of a few minutes has none: nothing of it is written, and a tag would live no shorter than the key.
        """
        self.other_tables += batch.element_table != FINGERPRINT_VERSION
        shift_us = 0 if self._batch_clock else self._shift_us(batch, arrived_us)
        from_us = batch.base_time_us + shift_us
        to_us = from_us + batch.sent_us - batch.base_us
        if now_us is not None and not now_us - MAX_AGE_US <= to_us <= now_us + self._ahead_us():
            self._refuse(Refused.TIME, batch.probe)
            return None
        index = self._index[batch.probe]
        rows = sightings_of_batch(batch, index, shift_us)
        if seal is not None:
            rows["device_key"] = seal.tags(rows["device_key"])
        self.check.add(index, rows)
        if doubt := self._doubt(batch, index):
            self._tell(
                "hub" if self._clock_synced is False else batch.probe,
                f"nobody vouches for the time of what it hears: {doubt}",
            )
            rows["flags"] |= UNSYNCED
            self.unsynced += len(rows)
        by_channel = _by_channel(batch, (to_us - from_us) / 1000)
        wifi_ms = round(sum(ms for channel, ms in by_channel if channel != BLE))
        return Heard(index, from_us, to_us, wifi_ms, rows.tobytes(), by_channel)

    def asked_clock(self) -> Clock:
        """Ask how well the hub's own clock is known; by the answer what arrives is flagged or not."""
        clock = hub_clock(batch=self._batch_clock)
        self._clock_synced = clock.synced
        return clock

    def _doubt(self, batch: Batch, index: int) -> str | None:
        """Say why the time of a batch cannot be relied on."""
        if self._clock_synced is False:
            return "the hub's clock is not synchronised; look at its time service"
        if batch.base_time_us == 0 and not self._lane(batch).clock.mature:
            return "it does not have the time yet; it will once it has heard from the hub"
        if index in self.check.found and self.check.found[index].differs:
            return "others heard the same frames at another time; restart it if that lasts"
        return None

    def _refuse(self, why: Refused, node: str) -> None:
        self.drops[why] += 1
        self._tell(node, f"a batch {_TOLD[why]}")

    def _tell(self, node: str, what: str) -> None:
        if (node, what) not in self._told and len(self._told) < MAX_TOLD:
            self._told.add((node, what))
            self.remarks.append(f"{node}: {what}")

    def clock_of(self, probe: str) -> ProbeClock | None:
        """Give the clock of a probe's latest boot."""
        boots = [lane.clock for (name, _), lane in self._lanes.items() if name == probe]
        return boots[-1] if boots else None

    def refuse_key(self, probe: str) -> None:
        """Count a batch whose key nobody has: its devices cannot be told from others'."""
        self._refuse(Refused.KEY, probe)

    def taken(self) -> dict[tuple[str, int], int]:
        """Give the last batch taken of every boot known."""
        return {key: lane.upto for key, lane in self._lanes.items() if lane.upto is not None}

    def acks(self) -> dict[tuple[str, int], int]:
        """Give what to acknowledge: also nothing, where what came first is not the beginning."""
        return {key: lane.upto or 0 for key, lane in self._lanes.items() if lane.upto is not None or lane.held}

    def rebooted(self, probe: str, boot: int, last_boot: int, last_upto: int) -> None:
        """A probe said where its boot before `boot` ended: what of it never came is lost."""
        lane = self._lanes.get((probe, last_boot))
        if lane is not None and lane.upto is not None and (probe, boot) not in self._lanes and not lane.held:
            self.lost += max(0, last_upto - lane.upto)
            lane.upto = max(lane.upto, last_upto)
            self._lanes[probe, boot] = _Lane(0)

    def _ahead_us(self) -> int:
        """By the batch clock, time is what batches say: a day ahead is a day without phones."""
        return MAX_AGE_US if self._batch_clock else MAX_AHEAD_US

    def _shift_us(self, batch: Batch, arrived_us: int) -> int:
        clock = self._lane(batch).clock
        clock.arrived(batch.sent_us, arrived_us)
        return clock.shift_us(batch)

    def _lane(self, batch: Batch) -> _Lane:
        key = (batch.probe, batch.boot)
        if key not in self._lanes:
            if len(self._lanes) >= MAX_LANES:
                del self._lanes[next(iter(self._lanes))]
            # Of a probe never met, what came before is not ours to miss.
            self._lanes[key] = _Lane(0 if batch.probe in self._known else None)
            self._known.add(batch.probe)
        return self._lanes[key]


def _by_channel(batch: Batch, span_ms: float) -> ByChannel:
    """What each channel was listened to; a radio cannot have listened for longer than the batch lasted."""
    found = []
    for radio in Radio:
        entries = [entry for entry in batch.listened if entry.radio is radio]
        share = min(1.0, span_ms / max(sum(entry.listened_ms for entry in entries), 1))
        found += [(BLE if radio is Radio.BLE else entry.channel, entry.listened_ms * share) for entry in entries]
    return tuple(found)
