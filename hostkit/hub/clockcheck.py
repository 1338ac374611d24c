"""Are the clocks right? The hub's by what the system says, the probes' by frames two of them heard. Corrects nothing.

Works on sightings that are already on hub time, a window of them at a time, thinned alike for every probe.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.contract.messages import Clock
from hostkit.core.clock import CommonSample, fit_clock
from hostkit.io.osclock import read_clock

WINDOW_US = 600_000_000
SAMPLE = 500  # frames a probe and window
DISAGREES_S = 0.5  # a burst's frames then no longer meet each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A probe's clock against the others': `offset_s` more over `frames` in common; None where too few tell."""

    frames: int = 0
    offset_s: float | None = None
    residual_s: float | None = None

    @property
    def differs(self) -> bool:
        """Tell whether it is known to be wrong."""
        return self.offset_s is not None and abs(self.offset_s) > DISAGREES_S


class ClockCheck:
    """`found` holds the last whole window's result by probe index."""

    def __init__(self) -> None:
        self.found: dict[int, Agreement] = {}
        self._samples: dict[int, CommonSample] = {}
        self._until_us: int | None = None

    def add(self, probe: int, rows: NDArray[np.void]) -> None:
        """Take what a probe heard."""
        if not len(rows):
            return
        last_us = int(rows["time_us"][-1])
        if self._until_us is None or last_us >= self._until_us:
            if self._samples:
                self.close()
            self._until_us = last_us + WINDOW_US
        self._samples.setdefault(probe, CommonSample(SAMPLE)).add(rows)

    def close(self) -> None:
        """End the window: compare, and forget the frames."""
        frames = {probe: sample.frames() for probe, sample in self._samples.items()}
        self._samples = {}
        self.found = {probe: _agreement(probe, frames) for probe in frames}


def _agreement(probe: int, frames: Mapping[int, NDArray[np.void]]) -> Agreement:
    others = [sample for other, sample in frames.items() if other != probe]
    if not others:
        return Agreement()
    fit = fit_clock(np.concatenate(others), frames[probe])
    if fit.reason is not None:
        return Agreement(frames=fit.common_frames)
    return Agreement(frames=fit.common_frames, offset_s=fit.offset_s, residual_s=fit.residual_s)


def hub_clock(*, batch: bool) -> Clock:
    """Ask the system; on a batch clock, or where the system does not say, nobody knows."""
    found = None if batch else read_clock()
    if found is None:
        return Clock(synced=None)
    return Clock(synced=found.synced, offset_us=found.offset_us, error_us=found.error_us, drift_ppm=found.drift_ppm)
