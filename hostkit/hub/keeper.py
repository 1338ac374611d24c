"""One life of the key after the other, kept so that a SIGKILL costs nothing: journal, checkpoint, committed visits.

What a SIGKILL loses, and what covers it:
- A batch that was not committed was neither confirmed to the broker nor acked to the probe: both send it again.
- Tracks and open visits are in memory. Every entry that made them is in the journal, sealed under a key derived from
  the site key, device keys replaced by tags. A probe gives the site key back, the entries go through a new chain, and
  it stands where the old one stood: the same visits with the same numbers and ids. Those already committed are known
  by their count and passed over. Nothing is lost and nothing doubled; the figures are those of an undisturbed run.
- If no probe has the key any more, or the configuration changed: open visits are closed with `end_reason: restart`
  from a checkpoint of their bursts, which carry track numbers only.
  Lost then are bursts of the last `CHECKPOINT_US` of event time (of `CHECKPOINT_S` where it runs fast) and visits
  that waited for their time grain to end; who stayed on is counted once more.
- A kill between a rotation and its last batches loses the key of the day before: as if no probe had it.
- In anonymous_5min there are no visits, and nothing is written but hours and days: no journal, no checkpoint. A restart
  loses the windows of the running day; hours and days of which more was known before it stay as they are.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from hostkit.config import dump_site, parse_site
from hostkit.contract.codec import VISITS, encode
from hostkit.contract.messages import Visits
from hostkit.contract.visitrows import rows_of_visits
from hostkit.core.classes import ClassRegister
from hostkit.core.flood import Flood, flood_of
from hostkit.core.pipeline import close_open
from hostkit.core.wire import SIGHTING
from hostkit.errors import ConfigError, StorageError, UsageError
from hostkit.hub.chain import Chain, Change, Cut, Entry, Heard, Step
from hostkit.hub.figures import KEPT_S, Figures
from hostkit.hub.keys import HeldKey
from hostkit.hub.seal import Seal
from hostkit.hub.settings import kept_until_restart
from hostkit.hub.voice import Voice
from hostkit.hub.windows import WindowFigures
from hostkit.io.outbox import Life, Outbox
from hostkit.model import Site, Visit

EMIT_ROWS = 200  # in one message
CLASSES = "classes"  # the outbox's word that holds the register of phone models
CHECKPOINT_US = 120_000_000
CHECKPOINT_S = 1.0  # at most this often, however fast event time runs
MAX_JOURNAL_BYTES = 512 << 20  # of a day; half a million people
_visit_encoder = msgspec.json.Encoder()
_visit_decoder = msgspec.json.Decoder(Visit)


class Keeper:
    """Owns chain, journal and closed visits; a life is named by the caller, ids of visits derive from the key."""

    def __init__(self, site: Site, outbox: Outbox, voice: Voice) -> None:
        self._site = site
        self._outbox = outbox
        self._voice = voice
        self._text = dump_site(site)
        self._anonymous = site.privacy.anonymous
        if self._anonymous:
            outbox.give_up_visits()  # of another mode
        kept = outbox.visits()
        read = [visit for data in kept if (visit := _read(data)) is not None]
        self.strange = len(kept) - len(read)  # visits in the file that are none of this release; they stay there
        self.figures = WindowFigures(site) if self._anonymous else Figures(site, read)
        self._register = ClassRegister.load(outbox.word(CLASSES))
        self.chain = Chain(site, self._register)
        self._past: Counter[str] = Counter()
        self._past_flood = flood_of([])
        self.seal: Seal | None = None
        self.key_id: int | None = None
        self.resumed = 0  # journal entries taken again
        self.abandoned = 0  # visits closed with end_reason restart
        self._life: Life | None = None
        self._whole = not self._anonymous
        self._bytes = 0
        self._committed = 0  # visits of this life
        self._entries: list[Entry] = []
        self._pending: list[Visit] = []
        self._pending_since_s: float | None = None
        self._checkpoint_us = 0
        self._checkpoint_s = float("-inf")

    def begin(self, key: HeldKey, life_id: str, at_s: float) -> None:
        """Go on with the life of this key if it can be, else close what is left of it and begin `life_id`."""
        life = self._outbox.life()
        if self._anonymous:
            self.figures.whole_from_s, life = at_s, None
        elif life is not None and not self._resume(life, key):
            self._abandon(life, at_s)
            life = None
        if life is None:
            self._new_life(key, life_id)

    def take(self, heard: Heard) -> None:
        """Take a batch into journal and chain."""
        self._entries.append(heard)
        self._hear(heard)

    def step_to(self, watermark_us: int, at_s: float) -> None:
        """Take all steps that are due."""
        while (until_us := self.chain.next_step_us(watermark_us)) is not None:
            step = Step(until_us=until_us)
            self._entries.append(step)
            self._collect(self.chain.step(step), at_s)
            if self.chain.over:
                return

    def next_life(self, key: HeldKey, life_id: str, at_s: float) -> None:
        """The key has rotated: what is left over begins the life of the next one."""
        left = self.chain.left_over() if self.chain.end_us is not None else []
        self.emit(at_s, all_=True)
        self._new_life(key, life_id)
        for heard in left:
            self._past["frames"] -= len(heard.rows) // SIGHTING.itemsize  # counted where they are taken last
            self._entries.append(heard)
            self.chain.take(heard)

    def devices(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Give the devices that entered and that passed within a span; open visits count as they stand.

        UsageError in anonymous_5min, where nobody is told to have entered.
        """
        if self._anonymous:
            step = "count in pseudonym_24h; people per device stays as it is in site.toml"
            raise UsageError("nobody is told to enter in anonymous_5min", where="privacy.mode", next_step=step)
        kpis = self.figures.between(start_s, end_s, self.chain.open_visits())
        by_id = {kpi.id: kpi.devices for kpi in kpis if kpi.of is None and kpi.devices}
        return by_id["footfall"].value or 0.0, by_id["passersby"].value or 0.0

    def reconfigure(self, site: Site) -> None:
        """Go on by another configuration of the same probes, key life and time zone (see settings.py)."""
        self._site, self._text = site, dump_site(site)
        self.figures.reconfigure(site)
        self._enter(Change(self._text))

    def forget(self, now_s: float) -> None:
        """Drop what is too old for the figures."""
        self.figures.forget_before(now_s - KEPT_S)

    def cut(self, end_us: int) -> None:
        """Let the running key's life end at `end_us`."""
        self._enter(Cut(end_us))

    def flush(self, key: HeldKey, life_id: str, at_s: float) -> None:
        """End of input: end every visit and put all into the outbox. A new life under the same key begins."""
        self._collect(self.chain.finish(), at_s)
        self.emit(at_s, all_=True)
        self._new_life(key, life_id)

    def emit(self, at_s: float, *, all_: bool = False) -> None:
        """Put pending visits into the outbox, in no order, when the time grain in which they ended is over, or `all_`.

        A message of one grain comes after it, so that the moment it is published tells no more than its rows do.
        """
        grain_s, since_s = self._site.privacy.time_grain_s, self._pending_since_s
        if not all_ and (since_s is None or at_s // grain_s <= since_s // grain_s):
            return
        waiting = sorted(self._pending, key=lambda visit: visit.visit_id)
        self._pending, self._pending_since_s = [], None
        for first in range(0, len(waiting), EMIT_ROWS):
            self._put(waiting[first : first + EMIT_ROWS], at_s)

    def store(self, now_s: float) -> None:
        """Write journal and, when due, checkpoint; the caller commits."""
        if self._entries and self._whole and self.seal is not None:
            sealed = self.seal.seal(self._entries)
            self._bytes += len(sealed)
            self._outbox.journal(sealed)
            if self._bytes > MAX_JOURNAL_BYTES:
                self._outbox.give_up_journal()
                self._whole = False
        self._entries = []
        if self._register.changed:
            self._outbox.set_word(CLASSES, self._register.dump())
        stepped_us = self.chain.stepped_us or 0
        if self._anonymous:
            return
        if stepped_us >= self._checkpoint_us + CHECKPOINT_US and now_s >= self._checkpoint_s + CHECKPOINT_S:
            self._checkpoint_us, self._checkpoint_s = stepped_us, now_s
            self._outbox.set_checkpoint(self.chain.open_bursts())

    def close(self) -> None:
        """Overwrite what this life's key derived."""
        if self.seal is not None:
            self.seal.close()

    @property
    def counts(self) -> Counter[str]:
        """Frames, late and too late ones, and visits of all lives since the start."""
        return self._past + _counts(self.chain)

    @property
    def flood(self) -> Flood:
        """What was set aside of floods of addresses in all lives since the start."""
        return flood_of([self._past_flood, self.chain.flood])

    def _resume(self, life: Life, key: HeldKey) -> bool:
        if life.key_id != key.key_id or not life.whole or not self._goes_on(life.site):
            return False
        seal = Seal(key.secret.raw, life.id)
        try:
            groups = [seal.open(sealed) for sealed in self._outbox.journal_entries()]
        except StorageError:
            seal.close()
            return False
        site, text = self._site, self._text
        self._site = parse_site(life.site, "the outbox")
        self._adopt(life, seal)
        self._site, text_then = site, life.site
        for entry in (entry for group in groups for entry in group):
            self.resumed += 1
            if isinstance(entry, Heard):
                self._hear(entry)
            elif isinstance(entry, Step):
                self._collect(self.chain.step(entry), entry.until_us / 1e6)
            else:
                text_then = entry.site if isinstance(entry, Change) else text_then
                self._do(entry)
        if text_then != text:
            self._enter(Change(text))
        return True

    def _goes_on(self, text: str) -> bool:
        """Tell whether a life that began with this site.toml can go on with the present one."""
        try:
            return not kept_until_restart(parse_site(text, "the outbox"), self._site)
        except ConfigError:  # an older release's
            return False

    def _enter(self, entry: Change | Cut) -> None:
        if self.seal is not None:
            self._entries.append(entry)
            self._do(entry)

    def _do(self, entry: Change | Cut) -> None:
        if isinstance(entry, Change):
            self.chain.change(entry)
        else:
            self.chain.cut(entry)

    def _abandon(self, life: Life, at_s: float) -> None:
        """Close what was open when the key was lost."""
        try:
            site = parse_site(life.site, "the outbox")
            visits = close_open(site, self._outbox.checkpoint(), "")
        except (ConfigError, ValueError):  # an older release's
            visits = ()
        self._committed = life.visits
        named = [replace(visit, visit_id=_lost_id(life, number)) for number, visit in enumerate(visits)]
        self.abandoned += len(named)
        self.figures.add(named)
        for first in range(0, len(named), EMIT_ROWS):
            self._put(named[first : first + EMIT_ROWS], at_s)

    def _new_life(self, key: HeldKey, life_id: str) -> None:
        life = Life(id=life_id, key_id=key.key_id, site=self._text, whole=not self._anonymous)
        self._outbox.begin_life(life)
        self._adopt(life, Seal(key.secret.raw, life.id))

    def _adopt(self, life: Life, seal: Seal) -> None:
        self._past += _counts(self.chain)
        self._past_flood = self.flood
        self.close()
        self._life, self.seal, self.key_id, self.chain = life, seal, life.key_id, Chain(self._site, self._register)
        self._committed, self._whole, self._bytes, self._entries = life.visits, life.whole, 0, []
        self._checkpoint_us = 0

    def _hear(self, heard: Heard) -> None:
        self.figures.heard(heard)
        self.chain.take(heard)

    def _collect(self, visits: Sequence[Visit], at_s: float) -> None:
        """Name new visits; those committed before a restart are in the outbox and the figures already."""
        assert self.seal is not None
        self.figures.count(self.chain.take_counted())
        first = self.chain.made - len(visits) + 1
        committed = self._committed + len(self._pending)
        named = [
            replace(visit, visit_id=self.seal.visit_id(number))
            for number, visit in enumerate(visits, first)
            if number > committed
        ]
        if named:
            self.figures.add(named)
            self._pending += named
            self._pending_since_s = at_s if self._pending_since_s is None else self._pending_since_s

    def _put(self, visits: Sequence[Visit], at_s: float) -> None:
        self._committed += len(visits)
        mode, grain_s = self._site.privacy.mode, self._site.privacy.time_grain_s
        data = Visits(time_grain_s=grain_s, privacy_mode=mode, rows=rows_of_visits(visits, grain_s))
        told_s = at_s - at_s % grain_s  # when a message was made must not tell when its visits ended
        self._outbox.put(
            int(at_s),
            lambda seq: encode(VISITS, self._voice.compose(VISITS, data, told_s, boot=self._outbox.boot, seq=seq)),
        )
        rows = [(visit.end_s.hi, _visit_encoder.encode(visit)) for visit in visits]
        self._outbox.add_visits(rows, self._committed)


def database(folder: Path) -> Path:
    """Give the place of the hub's file in its data folder."""
    return folder / "hub.db"


def _read(data: bytes) -> Visit | None:
    try:
        return _visit_decoder.decode(data)
    except (msgspec.DecodeError, ValueError):
        return None


def _lost_id(life: Life, number: int) -> str:
    """Name a visit whose key is lost. It must not give the life away, which opens what its key derived."""
    return f"r{hashlib.blake2b(f'{life.id}/{number}'.encode(), digest_size=8).hexdigest()}"


def _counts(chain: Chain) -> Counter[str]:
    return Counter(frames=chain.frames, frames_late=chain.late, frames_too_late=chain.too_late, visits=chain.made)
