"""From what probes heard to visits, in steps of event time. The same entries give the same visits, number by number.

The hub journals every entry before it acknowledges the batch behind it; after a restart the same entries rebuild tracks
and open visits exactly. Reads no clock: a step comes when the caller says so, and is itself an entry.
"""

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from hostkit.config import parse_site
from hostkit.core.bins import CountBin
from hostkit.core.calendar import WINDOW_S, key_end_us
from hostkit.core.classes import ClassRegister, ClassWatch
from hostkit.core.flood import Flood
from hostkit.core.listening import ByChannel
from hostkit.core.pipeline import Events, Pipeline
from hostkit.core.wire import SIGHTING
from hostkit.model import Site, Visit

STEP_US = 30_000_000  # a visit ends after 20 minutes of silence: a finer step shows nothing and costs a cut each
LATE_US = 60_000_000  # what comes later than this after its step is no news of who is here now: dropped, counted
COUNT_S = 600  # of a bin, where nothing says otherwise
MAX_WAITING_ROWS = 2_000_000  # 64 MB: an hour of four probes in a crowd; beyond it a step is due whoever is awaited


class Heard(msgspec.Struct, frozen=True, array_like=True, tag="h"):
    """A batch on hub time: probe index, from and to when it listened, Wi-Fi listened ms, SIGHTING rows with tags.

    `by_channel`: the milliseconds on each channel, those of BLE too; a journal of an older release has none.
    """

    probe: int
    from_us: int
    to_us: int
    listened_ms: int
    rows: bytes
    by_channel: ByChannel = ()

    @property
    def listened(self) -> ByChannel:
        """As `Pipeline.listened` takes it."""
        return self.by_channel or ((1, self.listened_ms),)


class Step(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """Everything up to `until_us` is final."""

    until_us: int


class Change(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """From here on the configuration is `site`, as site.toml; its probes, time zone and rotation hour are as before."""

    site: str


class Cut(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """The key rotates at `end_us`, before its hour."""

    end_us: int


Entry: TypeAlias = Heard | Step | Change | Cut


class Chain:
    """One life of the key. `end_us` is when the key rotates; a step never goes beyond it.

    `register` holds the phone models the site has met; it is the caller's and learns from every hour. In anonymous_5min
    it learns nothing, no visit is given, and the one bin of the life is all that is left of it.
    """

    def __init__(self, site: Site, register: ClassRegister | None = None) -> None:
        self._site = site
        self._register = ClassRegister() if register is None else register
        self._classes = ClassWatch()
        self._anonymous = site.privacy.anonymous
        self._pipeline = Pipeline(site, visit_prefix="", bin_s=WINDOW_S if self._anonymous else COUNT_S)
        self._counted: list[CountBin] = []
        self._waiting: list[NDArray[np.void]] = []
        self._rows = 0
        self._cut_us: int | None = None
        self.stepped_us: int | None = None
        self.end_us: int | None = None
        self.until_us: dict[int, int] = {}  # probe index → listened until
        self.frames = 0
        self.too_late = 0
        self.made = 0  # visits so far

    def change(self, change: Change) -> None:
        """Go on by another configuration."""
        self._site = parse_site(change.site, "the journal")
        self._pipeline.reconfigure(self._site)

    def cut(self, cut: Cut) -> None:
        """End this life at `cut.end_us`, which is not over yet."""
        self._cut_us = cut.end_us
        if self.end_us is not None:
            self.end_us = min(self.end_us, cut.end_us)

    def take(self, heard: Heard) -> None:
        """Keep what a probe heard until its step."""
        self._begin(heard.from_us)
        self._pipeline.listened(heard.probe, heard.from_us, heard.to_us, heard.listened)
        self.until_us[heard.probe] = max(self.until_us.get(heard.probe, heard.to_us), heard.to_us)
        rows = np.frombuffer(heard.rows, SIGHTING)
        if self.stepped_us is not None:
            in_time = rows["time_us"] >= self.stepped_us - LATE_US
            self.too_late += int(len(rows) - np.count_nonzero(in_time))
            rows = rows[in_time]
        self.frames += len(rows)
        if len(rows):
            self._waiting.append(rows)
            self._rows += len(rows)

    def next_step_us(self, watermark_us: int) -> int | None:
        """Give the next step that lies at or before `watermark_us`, None if there is none."""
        if self.stepped_us is None or self.end_us is None:
            return None
        due_us = min((self.stepped_us // STEP_US + 1) * STEP_US, self.end_us)
        return due_us if due_us <= watermark_us or self._rows > MAX_WAITING_ROWS else None

    def step(self, step: Step) -> tuple[Visit, ...]:
        """Make `step.until_us` final; give the visits that are over, numbered on from `made`."""
        before, self._waiting = self._split(step.until_us)
        self._rows = sum(map(len, self._waiting))
        self._pipeline.feed(before)
        if self._cut_us is not None:
            self._pipeline.rotate_at(self._cut_us)
        if not self._anonymous:
            self._classes.add(before)
        self.stepped_us = step.until_us
        events = self._pipeline.advance(step.until_us)
        self._classes.advance(step.until_us, self._register, self._pipeline.devices_of)
        return self._made(events)

    def finish(self) -> tuple[Visit, ...]:
        """Make everything final that was taken and end every visit."""
        visits = self.step(Step(until_us=max([self.stepped_us or 0, *self.until_us.values()])))
        return visits + self._made(self._pipeline.finish())

    @property
    def over(self) -> bool:
        """Tell whether the key of this life has rotated."""
        return self.end_us is not None and self.stepped_us is not None and self.stepped_us >= self.end_us

    def take_counted(self) -> tuple[CountBin, ...]:
        """Give the bins that were counted since the last call."""
        counted, self._counted = tuple(self._counted), []
        return counted

    def left_over(self) -> list[Heard]:
        """Give what was taken but belongs to the next life."""
        rows = np.concatenate([np.empty(0, SIGHTING), *self._waiting])
        return [
            Heard(probe, self.end_us or until_us, until_us, 0, rows[rows["probe"] == probe].tobytes())
            for probe, until_us in self.until_us.items()
        ]

    def open_visits(self) -> tuple[Visit, ...]:
        """Give the visits that are still open, as they stand."""
        return () if self._anonymous else self._pipeline.open_visits()

    def open_bursts(self) -> bytes:
        """Give the bursts of open visits, without any key."""
        return self._pipeline.open_bursts().tobytes()

    @property
    def late(self) -> int:
        """Frames whose time went back a little."""
        return self._pipeline.totals().late

    @property
    def unknown_class_share(self) -> float | None:
        """Share of the devices of the last whole hour whose class the site had not met before that day."""
        return self._classes.unknown_share

    @property
    def flood(self) -> Flood:
        """What was set aside of floods of addresses."""
        return self._pipeline.flood()

    def _begin(self, from_us: int) -> None:
        if self.stepped_us is None:
            self.stepped_us = from_us // STEP_US * STEP_US
            self.end_us = key_end_us(from_us, self._site)
            if self._cut_us is not None and self._cut_us > from_us:
                self.end_us = min(self.end_us, self._cut_us)
            if self._anonymous:
                self._cut_us = self.end_us
                self._pipeline.begin(from_us)

    def _split(self, until_us: int) -> tuple[NDArray[np.void], list[NDArray[np.void]]]:
        rows = np.concatenate([np.empty(0, SIGHTING), *self._waiting])
        rows = rows[np.argsort(rows["time_us"], kind="stable")]
        cut = int(np.searchsorted(rows["time_us"], until_us))
        return rows[:cut], [rows[cut:]] if cut < len(rows) else []

    def _made(self, events: Events) -> tuple[Visit, ...]:
        self._counted += events.bins
        if self._anonymous:
            return ()
        self.made += len(events.visits)
        return events.visits
