"""At night, when the shop is closed, probes beacon one after the other and hear each other: what of it comes is kept.

One night is one record (io.anchorlinks): per link how many frames and their median. It is held against the night the
calibration in force was made of; what moved beyond core.drift's limit is `calibration_drift` in health, an alert, and a
line of the log. By day only takes beacons out of batches: they are nobody's phones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hostkit.contract.commands import Beacon
from hostkit.contract.messages import CalibrationCheck, Event
from hostkit.contract.messages import Drift as DriftMessage
from hostkit.core.beacons import Levels, are_beacons, ssid_keys
from hostkit.core.drift import Ends, Heard, find_drift, in_words
from hostkit.core.openhours import is_closed
from hostkit.core.wire import Batch
from hostkit.errors import HostkitError, UsageError
from hostkit.io.anchorlinks import Anchor, Link, LinksRecord, forget_old, night_file, read_links, read_reference
from hostkit.io.files import write_files
from hostkit.io.memory import scrub
from hostkit.io.outbox import Outbox
from hostkit.model import Probe, Site

CLOSED_FOR_S, CLOSED_LONG_S = 3600.0, 7200.0  # staff have left; then one does not wait for absent probes any more
OPENS_IN_S = 900.0  # after the last beacon
EVENING, MORNING = 20, 8  # no closed afternoon is a night
BETWEEN_S = 16 * 3600.0
LOOK_S = 30.0
LEAST_PROBES, MOST_PROBES = 3, 32  # of core.calibrate_links
LAST_SHARED_CHANNEL = 14  # beacons go out at 2.4 GHz
MOVED_M = 0.5
RULE, EVENT_ID = "calibration_drift", "calibration-drift"
_WORD = "anchors"  # the outbox's word for when the last night began; then `begun` or `again` until it is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A night: on each of so many channels, so many beacons of each probe in its slot of the period.

    A slot holds four frames and, where BLE is on, an advert of a second. A probe that hops over three channels hears
    one beacon in three: some 80 frames a link.
    """

    channels: int = 3
    count: int = 20
    slot_ms: int = 1500
    settle_s: float = 20.0  # after a channel: batches are open for 10 s

    def channel_s(self, probes: int) -> float:
        """How long a channel takes; the first beacon waits for its slot."""
        return (self.count + 1) * self.period_ms(probes) / 1000 + self.settle_s

    def period_ms(self, probes: int) -> int:
        """The slots of all probes."""
        return max(probes * self.slot_ms, 200)


NIGHT = Plan()


@dataclass(slots=True, kw_only=True)
class _Night:
    probes: tuple[int, ...]  # indices into the site's probes
    channels: list[int]  # that are still to come
    until_s: float
    levels: Levels


class Anchors:
    """`send` gives a command to a probe, False while it cannot take it. Times `at_s`: Unix time by the hub's clock."""

    def __init__(
        self,
        site: Site,
        path: Path,
        outbox: Outbox,
        *,
        send: Callable[[str, Beacon], bool],
        online: Callable[[str], bool],
        say: Callable[[str], None],
        plan: Plan | None = None,
    ) -> None:
        self._path, self._outbox, self._send, self._online, self._say = path, outbox, send, online, say
        self._plan = plan or NIGHT
        self._asked: set[str] = set()
        self._senders: dict[int, NDArray[np.uint32]] = {}  # by key id
        self._night: _Night | None = None
        self._looked_s = float("-inf")
        self._here: tuple[int, ...] = ()
        self.beacons = 0
        self.nights = 0
        self.check: CalibrationCheck | None = None
        self.events: list[Event] = []  # to be published
        self._site = site
        self._judge()

    def reconfigure(self, site: Site) -> None:
        """Go on with another configuration; a night that runs ends, unless its probes stay as they are."""
        if site.probes != self._site.probes and self._night is not None:
            self._night = None
            self._settle()
            self._say("anchors: the probes' configuration changed, this night is given up")
        self._site = site
        self._judge()

    def without_beacons(self, batch: Batch, key: memoryview) -> Batch:
        """Give the batch without what our own probes sent, and keep how strong it was; `key` is the batch's."""
        senders = self._known(batch.key_id, key)
        ours = are_beacons(batch.records, senders)
        if not ours.any():
            return batch
        self.beacons += int(np.count_nonzero(ours))
        if self._night is not None:
            receiver = next(index for index, probe in enumerate(self._site.probes) if probe.id == batch.probe)
            self._night.levels.add(receiver, batch.records[ours], senders)
        return replace(batch, records=batch.records[~ours])

    def mind(self, at_s: float) -> None:
        """Begin a night, its next channel, or end it, when it is time."""
        night = self._night
        if night is None:
            if not self._looked_s <= at_s < self._looked_s + LOOK_S:
                self._looked_s = at_s
                if probes := self._due(at_s):
                    self._outbox.set_word(_WORD, f"{at_s} {'again' if self._lost(at_s) else 'begun'}")
                    self._begin(probes, at_s)
        elif at_s >= night.until_s:
            if night.channels:
                self._beacon(night, night.channels.pop(0), at_s)
            else:
                self._night = None
                self._end(night, at_s)

    def answered(self, id_: str) -> bool:
        """Tell whether a probe's answer is to a command of ours."""
        return id_ in self._asked

    def begin(self, at_s: float) -> float:
        """Begin now, whatever the hour; give how many seconds it takes. UsageError where it cannot be."""
        where = "probes that hear each other"
        if self._night is not None:
            raise UsageError("they do so now", where=where, next_step="wait a quarter of an hour")
        _, here = self._placed()
        if len(here) < LEAST_PROBES:
            what = f"{len(here)} with a position_m and a floor are connected, {LEAST_PROBES} are needed"
            raise UsageError(what, where=where, next_step="see footfall watch which are not, and site.toml")
        night = self._begin(here, at_s)
        if not night.channels:
            self._night = None
            step = "give two probes one of channels 1 to 14"
            raise UsageError("no channel is heard by two of them", where=where, next_step=step)
        return len(night.channels) * self._plan.channel_s(len(here))

    def _placed(self) -> tuple[list[int], tuple[int, ...]]:
        """Give the probes whose place is known, and those of them that are connected."""
        probes = self._site.probes
        placed = [
            index for index, probe in enumerate(probes) if probe.position_m is not None and probe.floor is not None
        ][:MOST_PROBES]
        return placed, tuple(index for index in placed if self._online(probes[index].id))

    def _due(self, at_s: float) -> tuple[int, ...]:
        """Give who takes part if a night is to begin now, else nobody."""
        site, zone = self._site, self._site.time_zone
        placed, here = self._placed()
        settled, self._here = here == self._here, here  # after a start they come one by one
        hour = datetime.fromtimestamp(at_s, ZoneInfo(zone)).hour
        if not settled or len(here) < LEAST_PROBES or MORNING <= hour < EVENING:
            return ()
        if at_s < self._began_s() + BETWEEN_S and not self._lost(at_s):
            return ()
        ends_s = at_s + self._plan.channels * self._plan.channel_s(len(here)) + OPENS_IN_S
        since_s = CLOSED_FOR_S if len(here) == len(placed) else CLOSED_LONG_S
        return here if is_closed(site.opening_hours, zone, at_s - since_s, ends_s) else ()

    def _began_s(self) -> float:
        return float((self._outbox.word(_WORD) or "-inf").split()[0])

    def _lost(self, at_s: float) -> bool:
        """Whether the hub ended in the middle of this night, for the first time."""
        return (self._outbox.word(_WORD) or "").endswith("begun") and at_s < self._began_s() + BETWEEN_S

    def _settle(self) -> None:
        """Keep that the night is over, however it went."""
        if word := self._outbox.word(_WORD):
            self._outbox.set_word(_WORD, word.split()[0])

    def _begin(self, probes: tuple[int, ...], at_s: float) -> _Night:
        channels = _shared([self._site.probes[index] for index in probes])[: self._plan.channels]
        levels = Levels(len(self._site.probes))
        self._night = night = _Night(probes=probes, channels=channels, until_s=at_s, levels=levels)
        self._say(
            f"anchors: {len(probes)} probes hear each other on channels {', '.join(map(str, channels)) or 'none'}"
        )
        return night

    def _beacon(self, night: _Night, channel: int, at_s: float) -> None:
        plan, period_ms = self._plan, self._plan.period_ms(len(night.probes))
        for slot, index in enumerate(night.probes):
            command = Beacon(
                id=token_hex(8),
                expires=int(at_s) + 60,
                probe=self._site.probes[index].id,
                slot_ms=slot * plan.slot_ms,
                period_ms=period_ms,
                count=plan.count,
                channel=channel,
            )
            self._asked.add(command.id)
            self._send(command.probe, command)
        night.until_s = at_s + plan.channel_s(len(night.probes))

    def _end(self, night: _Night, at_s: float) -> None:
        self._asked.clear()
        self._settle()
        record = self._record(night, at_s)
        self.nights += 1
        self._say(f"anchors: {len(record.links)} links heard")
        if not record.links:
            return
        try:
            path, body = night_file(self._path, record)
            write_files({path: body})
            forget_old(self._path)
        except HostkitError as error:
            self._say(f"anchors: {error}")
        self._judge()

    def _record(self, night: _Night, at_s: float) -> LinksRecord:
        probes = self._site.probes
        day = datetime.fromtimestamp(at_s, ZoneInfo(self._site.time_zone)).date()
        links = [
            Link(sender=probes[i].id, receiver=probes[j].id, n=n, median_dbm=median_dbm, mad_db=mad_db)
            for i, j, n, median_dbm, mad_db in night.levels.links()
            if {i, j} <= set(night.probes)
        ]
        return LinksRecord(
            day=day.isoformat(), at_s=at_s, probes=tuple(_anchor(probes[i]) for i in night.probes), links=tuple(links)
        )

    def _judge(self) -> None:
        """Hold the last night against the one the calibration was made of, or where there is none, the first."""
        try:
            nights = read_links(self._path)
            reference = read_reference(self._path) or (nights[0] if nights else None)
        except HostkitError as error:
            self._say(f"anchors: {error}")
            return
        if not nights or reference is None:
            return
        before, self.check = self.check, _check(nights[-1], reference, self._site)
        was, now = (one.calibration_drift if one else () for one in (before, self.check))
        if {one.probe for one in was} != {one.probe for one in now}:
            self._tell(bool(was), now, nights[-1].at_s)

    def _tell(self, was: bool, drift: tuple[DriftMessage, ...], at_s: float) -> None:
        said = "; ".join(in_words(one.probe, one.hears_db, one.is_heard_db) for one in drift)
        text = f"{said}; see whether it was moved or covered, then calibrate anew" if drift else "as calibrated again"
        self._say(f"{RULE}: {text}")
        self.events.append(
            Event(
                event_id=EVENT_ID,
                kind="alert",
                phase="end" if not drift else "update" if was else "new",
                rule=RULE,
                severity="warning",
                since_s=int(at_s),
                text=text[:500],
            )
        )

    def _known(self, key_id: int, key: memoryview) -> NDArray[np.uint32]:
        """Give the SSID keys of the site's probes under a site key, made once a key."""
        if key_id not in self._senders:
            if len(self._senders) > 3:
                self._senders.clear()
            raw = bytes(key)
            self._senders[key_id] = ssid_keys([probe.id for probe in self._site.probes], raw)
            scrub(raw)
        return self._senders[key_id]


def _shared(probes: Sequence[Probe]) -> list[int]:
    """Give the 2.4 GHz channels, those that most probes hear first."""
    heard = [channel for probe in probes for channel in probe.channels if channel <= LAST_SHARED_CHANNEL]
    return sorted({one for one in heard if heard.count(one) > 1}, key=lambda one: (-heard.count(one), one))


def _anchor(probe: Probe) -> Anchor:
    assert probe.floor is not None
    assert probe.position_m is not None
    return Anchor(id=probe.id, floor=probe.floor, position_m=probe.position_m)


def _check(night: LinksRecord, reference: LinksRecord, site: Site) -> CalibrationCheck:
    """Compare two nights for the probes that are still in the site and stand where they stood in both."""
    then = {anchor.id: anchor for anchor in reference.probes}
    known = {probe.id for probe in site.probes}
    stayed = [one.id for one in night.probes if one.id in known and one.id in then and not _moved(one, then[one.id])]
    drift = find_drift(_heard(reference), _heard(night), stayed)
    found = tuple(DriftMessage(probe=one.probe, hears_db=one.hears_db, is_heard_db=one.is_heard_db) for one in drift)
    return CalibrationCheck(checked_s=int(night.at_s), links=len(night.links), calibration_drift=found)


def _moved(one: Anchor, other: Anchor) -> bool:
    apart_m = float(np.linalg.norm(np.subtract(one.position_m, other.position_m)))
    return one.floor != other.floor or apart_m > MOVED_M


def _heard(record: LinksRecord) -> dict[Ends, Heard]:
    return {(one.sender, one.receiver): Heard(n=one.n, median_dbm=one.median_dbm) for one in record.links}
