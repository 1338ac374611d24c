"""Recorded captures as probes hear them, one source a probe: what `replay --mqtt` plays. Corrects no clock."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.contract.commands import Measured
from hostkit.core.clock import ClockFit
from hostkit.core.wire import SIGHTING, Listened
from hostkit.hub.merge import Stretch, merge
from hostkit.hub.probes import name_probes
from hostkit.hub.replay import provenance_of
from hostkit.hub.survey import SILENCE_US, Survey, joined, survey
from hostkit.model import Probe, Provenance, Radio, Site
from hostkit.sim.flush import flush
from hostkit.sim.player import Played, Player, Say
from hostkit.sim.probe import Heard
from hostkit.sim.stopping import stopping

_NO_KEY = bytes(16)  # for the first pass, whose keys nobody sees


class Recording:
    """What one probe recorded, in one order of time; a `Source`. Listens from first to last frame."""

    hardware = "recorded"

    def __init__(self, probe: Probe, surveys: Sequence[Survey], provenance: Provenance) -> None:
        self._probe = probe
        self.probe = probe.id
        self.provenance = provenance
        self._stretches = [
            Stretch(survey=one, segment=segment, probe=0, fit=ClockFit()) for one in surveys for segment in one.segments
        ]
        self._spans_us = joined((span for one in surveys for span in one.spans_us), SILENCE_US)
        self.start_us = self._spans_us[0][0]
        self._key = b""
        self._chunks: Iterator[NDArray[np.void]] = iter(())
        self._rows = np.empty(0, SIGHTING)

    def true_us(self, local_us: int) -> int:
        """Take the capture's clock at its word."""
        return local_us

    def listen(self, from_us: int, to_us: int, most: int, key: bytes) -> Heard | None:
        """Hear on; see `Source`."""
        span = next((span for span in self._spans_us if span[1] >= from_us), None)
        if span is None:
            return None
        start_us = max(from_us, span[0])
        until_us = min(start_us + to_us - from_us, span[1] + 1)
        self._read(until_us, key, start_us)
        first, high = np.searchsorted(self._rows["time_us"], (start_us, until_us)).tolist()
        if high - first > most:
            until_us = max(int(self._rows["time_us"][first + most]), start_us + 1)
            high = int(np.searchsorted(self._rows["time_us"], until_us))
        heard, self._rows = self._rows[first:high], self._rows[high:]
        return Heard(from_us=start_us, to_us=until_us, frames=heard, listened=self._listened(start_us, until_us))

    def describe(self, fingerprint: int) -> None:
        """Keep no frame."""

    def measure(self, seconds: int) -> Measured:
        """Hear no phone: nobody is in a recording now."""
        return Measured(frames=0)

    def take_up(self, probe: Probe) -> str | None:
        """Take what changes nothing of how it was recorded."""
        same = (probe.channels, probe.dwell_ms) == (self._probe.channels, self._probe.dwell_ms)
        return None if same else "a recording's channels cannot be changed"

    def _read(self, until_us: int, key: bytes, from_us: int) -> None:
        """Have every frame before `until_us` in memory, keyed with `key`; a new key means reading from the start."""
        if key != self._key:
            self._key, self._rows = key, self._rows[:0]
            self._chunks = merge(self._stretches, key, lambda read: None)
        while not len(self._rows) or int(self._rows["time_us"][-1]) < until_us:
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            self._rows = np.concatenate([self._rows, chunk[chunk["time_us"] >= from_us]])

    def _listened(self, from_us: int, to_us: int) -> tuple[Listened, ...]:
        """A capture does not say where its radio was: the time is shared among the channels the site names."""
        share_ms = (to_us - from_us) // 1000 // len(self._probe.channels)
        return tuple(Listened(radio=Radio.WIFI, channel=one, listened_ms=share_ms) for one in self._probe.channels)


def play_recorded(
    captures: Sequence[tuple[Path, str | None]], site: Site, broker: str, *, speed: float, say: Say
) -> Played:
    """Play captures to the hub of `site`, until the end or SIGINT or SIGTERM, then flush it.

    Raises as `hub.replay.replay` for captures that cannot be read or named, as `Player` for the address.
    """
    player = Player(recordings(captures, site), broker, tenant=site.tenant, site=site.site, speed=speed, say=say)
    with stopping(player.stop):
        played = player.run()
    if played.until_us == played.from_us:
        raise KeyboardInterrupt  # stopped before the hub had given a key
    provenance = player.probes[0].source.provenance
    flush(broker, tenant=site.tenant, site=site.site, at_us=played.until_us, provenance=provenance)
    return played


def recordings(captures: Sequence[tuple[Path, str | None]], site: Site) -> tuple[Recording, ...]:
    """Survey the captures and give a source for each probe that has some, in the site's order."""
    surveys = [one for one in (survey(path, _NO_KEY, 0, lambda read: None) for path, _ in captures) if one.segments]
    names = name_probes(surveys, {path: probe for path, probe in captures if probe}, site)
    provenance = provenance_of(surveys)
    named = sorted(zip(names, surveys, strict=True), key=lambda pair: pair[0])
    groups = {name: [one for _, one in pairs] for name, pairs in groupby(named, key=lambda pair: pair[0])}
    return tuple(Recording(probe, groups[probe.id], provenance) for probe in site.probes if probe.id in groups)
