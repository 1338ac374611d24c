"""Somebody counts at a door, at the keyboard and on a phone at once; every tap is on disk before it is shown.

A span lasts from the start of a run to its end, or to the last sign of life of one that crashed: what people and
devices did between two runs belongs to none. `calibration/count-live.jsonl` holds times, counts and the hub's totals.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from hostkit.core.reference import MOST_AT_ONCE, WAYS, Way
from hostkit.errors import HostkitError, InputError
from hostkit.field.chart import Chart, Series
from hostkit.field.count import LEAST_BINS, people_needed
from hostkit.field.diary import line_of, live_path
from hostkit.field.trial import Need, Note
from hostkit.hub.calibrate import LIVE_SLACK_S, LONGEST_S, DoorCount, InsideCount, door_from_live
from hostkit.io.filelock import locked
from hostkit.io.journal import Journal, read_lines

KIND, UNDO, END = "count", "undo", "end"
ALIVE_S = 15.0  # a sign of life: so much of a count may a crash cost
NEAR_S = 600.0  # totals of the next run tell of the end of the one before, if it began so soon
LATE_S = 300.0  # a phone may have been without a connection for so long
REMEMBERED = 2000  # taps of phones, by their number: one that comes twice counts once
MINUTE_S, BIN_S = 60.0, 600.0
Time = Annotated[float, Meta(ge=0, le=1e11)]


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="open", forbid_unknown_fields=True):
    """A run began; its devices are the hub's, or of captures given later. `inside`: so many were in, if told."""

    at_s: Time
    source: Literal["hub", "capture"]
    inside: Annotated[int, Meta(ge=0, le=100_000)] | None = None

    @property
    def sort(self) -> tuple[str, bool]:
        """What runs of one count have in common."""
        return self.source, self.inside is None


class Tap(msgspec.Struct, frozen=True, kw_only=True, tag="tap", forbid_unknown_fields=True):
    """So many went in, out or by."""

    at_s: Time
    way: Way
    people: Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] = 1


class Total(msgspec.Struct, frozen=True, kw_only=True, tag="total", forbid_unknown_fields=True):
    """How many devices had entered at `at_s`, as the hub said."""

    at_s: Time
    devices: Annotated[float, Meta(ge=0)]


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag="alive", forbid_unknown_fields=True):
    """Somebody was still counting."""

    at_s: Time


class Undone(msgspec.Struct, frozen=True, kw_only=True, tag="undo", forbid_unknown_fields=True):
    """The last tap was none."""


class Void(msgspec.Struct, frozen=True, kw_only=True, tag="void", forbid_unknown_fields=True):
    """The run counts for nothing: the clock was set."""


Line = Opened | Tap | Total | Alive | Undone | Void
_LINE = msgspec.json.Decoder(Line)


@dataclass(slots=True, kw_only=True)
class Span:
    """One run."""

    opened: Opened
    end_s: float
    taps: list[Tap] = field(default_factory=list)
    totals: list[tuple[float, float]] = field(default_factory=list)

    def counted(self, *, passers: bool) -> DoorCount:
        """People of the run; `passers`: whether somebody counted who went by."""
        rows = tuple((one.at_s, _of(one, "in"), _of(one, "by")) for one in self.taps if one.way != "out")
        by = sum(row[2] for row in rows)
        entered = sum(row[1] for row in rows)
        # A tap at the very end is within.
        end_s = max(self.end_s, *(row[0] + 1e-3 for row in rows)) if rows else self.end_s
        passed = by if passers else None
        return DoorCount(start_s=self.opened.at_s, end_s=end_s, entered=entered, passed=passed, rows=rows)


class Tally:
    """What the lines of a file come to."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def add(self, line: Line) -> bool:
        """Take a line; False for one that cannot follow the others."""
        if isinstance(line, Opened):
            self.spans.append(Span(opened=line, end_s=line.at_s))
            return len({one.opened.sort for one in self.spans}) == 1
        if not self.spans:
            return False
        span = self.spans[-1]
        match line:
            case Tap():
                span.taps.append(line)
            case Total():
                span.totals.append((line.at_s, line.devices))
            case Undone():
                self._undo()
            case Void():
                self.spans.pop()
        if isinstance(line, Tap | Alive):
            span.end_s = max(span.end_s, line.at_s)
        return span.end_s - self.spans[0].opened.at_s <= LONGEST_S if self.spans else True

    def people(self, way: Way) -> int:
        """How many went that way."""
        return sum(one.people for span in self.spans for one in span.taps if one.way == way)

    def counted(self) -> tuple[DoorCount, ...]:
        """Runs in which anybody was counted."""
        passers = self.people("by") > 0
        return tuple(one for one in (span.counted(passers=passers) for span in self.spans) if one.rows)

    def inside(self) -> InsideCount:
        """How many were inside, minute by minute, from who was in when a run began, who came and who went."""
        times: list[float] = []
        people: list[float] = []
        for span in self.spans:
            there = span.opened.inside or 0
            taps = sorted(
                (one.at_s, one.people * (one.way == "in") - one.people * (one.way == "out")) for one in span.taps
            )
            for at_s in np.arange(span.opened.at_s, span.end_s, MINUTE_S).tolist():
                times.append(at_s)
                people.append(float(max(there + sum(change for when_s, change in taps if when_s <= at_s), 0)))
        return InsideCount(times_s=tuple(times), people=tuple(people))

    def reached(self) -> tuple[tuple[DoorCount, ...], int]:
        """Runs as far as the hub's totals reach, and how many people came after that and are left out."""
        kept, lost = [], 0.0
        for at, span in enumerate(self.spans):
            whole, points = span.counted(passers=False), self._points(at)
            if not whole.rows:
                continue
            part = whole.within(whole.start_s, min(whole.end_s, points[-1][0])) if points else None
            if part is not None and points[0][0] <= part.start_s + LIVE_SLACK_S:
                kept.append(part)
            lost += whole.people - (part.people if part in kept else 0.0)
        return tuple(kept), round(lost)

    def devices(self, part: DoorCount) -> float:
        """Devices that entered meanwhile; `part` lies in a run and the totals reach its end."""
        for at, span in enumerate(self.spans):
            if span.opened.at_s <= part.start_s <= span.end_s + 1.0:
                return door_from_live(self._points(at), part.start_s, part.end_s) or 0.0
        return 0.0

    def _points(self, at: int) -> list[tuple[float, float]]:
        """Totals of a run, and those of the next if it began soon."""
        points = list(self.spans[at].totals)
        for after in self.spans[at + 1 :]:
            if points and after.totals and after.totals[0][0] - points[-1][0] > NEAR_S:
                break
            last = points[-1] if points else (0.0, 0.0)
            points += [one for one in after.totals if one[0] > last[0] and one[1] >= last[1]]
        return points

    def _undo(self) -> None:
        for span in reversed(self.spans):
            if span.taps:
                span.taps.pop()
                return


class Door:
    """A count on its way. Any thread may call anything; `clock` gives Unix seconds."""

    def __init__(self, path: Path, journal: Journal, tally: Tally, clock: Callable[[], float]) -> None:
        self.path, self.tally = path, tally
        self.over = threading.Event()
        self.trouble = ""
        self._journal, self._clock = journal, clock
        self._lock = threading.RLock()
        self._seen: deque[str] = deque(maxlen=REMEMBERED)

    @property
    def by_hub(self) -> bool:
        """Whether the hub says how many devices there were; then nobody counts who went by."""
        return self.tally.spans[-1].opened.source == "hub"

    def give(self, order: str, people: int = 1, *, number: str = "", ago_s: float = 0.0) -> bool:
        """Take `in`, `out`, `by`, `undo` or `end`; False for anything else and after the end.

        `number` names a tap of a phone that may send it twice, `ago_s` is how long ago it was.
        """
        with self._lock:
            if self.over.is_set() or order not in {*WAYS, UNDO, END} or (order == "by" and self.by_hub):
                return False
            if number and number in self._seen:
                return True
            if order == END:
                self._keep(Alive(at_s=self._clock()))
                self.over.set()
            elif order == UNDO:
                self._keep(Undone())
            else:
                at_s = max(self._clock() - min(max(ago_s, 0.0), LATE_S), self.tally.spans[-1].opened.at_s)
                self._keep(Tap(at_s=at_s, way=_way(order), people=people))
            self._seen.append(number)
            return True

    def total(self, at_s: float, devices: float) -> None:
        """Take what the hub said."""
        with self._lock:
            self._keep(Total(at_s=at_s, devices=devices))

    def alive(self) -> None:
        """Say that somebody still counts; after a day nobody does."""
        with self._lock:
            self._keep(Alive(at_s=self._clock()))
            if self._clock() - self.tally.spans[0].opened.at_s > LONGEST_S - 2 * ALIVE_S:
                self.over.set()

    def void(self) -> None:
        """Take back this run."""
        with self._lock:
            self._keep(Void())

    def needs(self) -> tuple[Need, ...]:
        """What is missing yet."""
        with self._lock:
            if self.tally.spans[-1].opened.inside is None:
                need = people_needed(self.tally.counted())
            else:
                counted_s = sum(span.end_s - span.opened.at_s for span in self.tally.spans)
                need = Need(word="tens", have=int(counted_s // BIN_S), least=LEAST_BINS)
            return () if need.met else (need,)

    def line(self) -> Note:
        """Where the count stands."""
        with self._lock:
            return Note(word="tally", values=tuple(str(self.tally.people(way)) for way in WAYS))

    def chart(self) -> Chart:
        """Give people over minutes, each way that anybody went."""
        with self._lock:
            began_s = self.tally.spans[0].opened.at_s
            taps = [tap for span in self.tally.spans for tap in span.taps]
            edges_s = np.arange(began_s, max(self._clock(), *(one.at_s for one in taps), began_s) + MINUTE_S, MINUTE_S)
        series = []
        for way in WAYS:
            mine = [one for one in taps if one.way == way]
            times_s, people = [one.at_s for one in mine], [one.people for one in mine]
            so_far = np.cumsum(np.histogram(times_s, edges_s, weights=people)[0])
            points = [(0.0, 0.0), *((at + 1.0, float(count)) for at, count in enumerate(so_far))]
            if mine:
                series.append(Series(name=Note(word=way), points=tuple(points), drawn="line"))
        return Chart(x="minutes", y="people", series=tuple(series))

    def _keep(self, line: Line) -> None:
        """Count a line and write it. A disk that refuses is told, and the count goes on."""
        self.tally.add(line)
        try:
            self._journal.append(msgspec.json.encode(line))
        except HostkitError as error:
            self.trouble = str(error)


@contextmanager
def door(
    site_path: Path, source: Literal["hub", "capture"], clock: Callable[[], float], inside: int | None = None
) -> Iterator[Door]:
    """Open the count's file, or go on with it. InputError where it is of another sort, or of more than a day ago."""
    path = live_path(site_path, KIND)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        tally = read_tally(path) if path.exists() else Tally()
        if not tally.counted() and all(span.opened.inside is None for span in tally.spans):  # nobody came yet
            path.unlink(missing_ok=True)
            tally = Tally()
        opened = Opened(at_s=clock(), source=source, inside=inside)
        if not tally.add(opened) or opened.at_s - tally.spans[0].opened.at_s > LONGEST_S:
            step = f"finish it with --from {path}, or remove it"
            raise InputError("holds a count of another day or sort", where=str(path), next_step=step)
        with Journal(path) as journal:
            journal.append(msgspec.json.encode(opened))
            yield Door(path, journal, tally, clock)


def read_tally(path: Path) -> Tally:
    """Read what was counted. InputError names the line that is none."""
    tally = Tally()
    for number, line in enumerate(read_lines(path), start=1):
        if not tally.add(line_of(path, number, line, _LINE)):
            where, step = f"{path}: line {number}", "remove the line, or the file to begin anew"
            raise InputError("does not follow what is before it", where=where, next_step=step)
    return tally


def _of(tap: Tap, way: Way) -> float:
    return float(tap.people) if tap.way == way else 0.0


def _way(order: str) -> Way:
    return next(way for way in WAYS if way == order)
