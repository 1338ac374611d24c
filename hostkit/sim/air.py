"""The simulated shop as probes hear it, one source a probe. Only what its own radio heard, on its own clock."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hostkit.config.keys import CHANNELS_2G4
from hostkit.contract.commands import Measured
from hostkit.core.describe import describe_frame
from hostkit.core.wire import Listened
from hostkit.model import Probe, Provenance, Radio
from hostkit.sim.probe import Heard
from hostkit.sim.survey import carried
from hostkit.sim.world import Simulation

MAX_MET = 4096


class SimulatedAir:
    """What probe `index` of a simulation hears; a `Source`.

    `technician`: a file with `x,y`, read at every `measure`: where somebody stands with a reference phone.
    """

    provenance = Provenance.SIMULATED
    hardware = "simulated"

    def __init__(self, simulation: Simulation, index: int, technician: Path | None = None) -> None:
        self._technician = technician
        self._simulation = simulation
        self._ear = simulation.ears[index]
        self._heard = simulation.receptions[simulation.receptions["probe"] == index]
        self._local_us = simulation.heard_us(self._heard)
        self._next = 0
        self._index = index
        self._met: dict[int, int] = {}  # fingerprint: an emission that has it
        self.probe = self._ear.probe.id
        self.start_us = self._shown_us(0.0)
        self._end_us = self._shown_us(simulation.settings.duration_s)

    def true_us(self, local_us: int) -> int:
        """Give the true time at which the probe's clock shows `local_us`."""
        return self._simulation.settings.start_us + round(self._since_start_s(local_us) * 1e6)

    def listen(self, from_us: int, to_us: int, most: int, key: bytes) -> Heard | None:
        """Hear on; see `Source`."""
        if from_us >= self._end_us:
            return None
        low = self._next
        until_us = min(to_us, self._end_us)
        high = int(np.searchsorted(self._local_us, until_us))
        if high - low > most:
            high = low + most
            until_us = max(int(self._local_us[high]), from_us + 1)
            high = int(np.searchsorted(self._local_us, until_us))  # frames of one microsecond stay together
        self._next = high
        frames = self._simulation.parsed(self._heard[low:high], key)
        self._meet(frames["fingerprint"], self._heard["emission"][low:high])
        return Heard(
            from_us=from_us,
            to_us=until_us,
            frames=frames,
            listened=self._listened(from_us, until_us),
        )

    def describe(self, fingerprint: int) -> bytes | None:
        """Describe a frame it heard."""
        emission = self._met.get(fingerprint)
        if emission is None:
            return None
        (frame,) = self._simulation.frames(np.array([emission], np.uint32))
        return describe_frame(frame).data

    def measure(self, seconds: int) -> Measured:
        """Hear the technician's phone where the file says it is; nothing while it says nothing."""
        place = None if self._technician is None else _place(self._technician)
        if place is None:
            return Measured(frames=0)
        seed = self._simulation.settings.seed
        heard = carried(self._simulation.plan, self._ear, self._index, place, seed=seed, seconds=seconds)
        if not len(heard):
            return Measured(frames=0)
        low, middle, high = np.quantile(heard, (0.1, 0.5, 0.9)).tolist()
        return Measured(frames=len(heard), rssi_dbm=middle, low_dbm=low, high_dbm=high)

    def take_up(self, probe: Probe) -> str | None:
        """Hop by another plan: what it hears from now on is drawn anew. It stands where it stood."""
        if not probe.channels or max(probe.channels) > CHANNELS_2G4[-1]:
            return "this board hears channels 1 to 14 only"
        hop = (probe.channels, probe.dwell_ms)
        if hop == (self._ear.probe.channels, self._ear.probe.dwell_ms):
            return None
        self._ear = replace(self._ear, probe=replace(self._ear.probe, channels=probe.channels, dwell_ms=probe.dwell_ms))
        from_us = int(self._local_us[self._next]) if self._next < len(self._local_us) else self._end_us
        self._heard = self._simulation.heard_by(self._ear, self._index)
        self._local_us = self._simulation.heard_us(self._heard)
        self._next = int(np.searchsorted(self._local_us, from_us))
        return None

    def _meet(self, fingerprints: NDArray[np.uint32], emissions: NDArray[np.uint32]) -> None:
        for fingerprint, emission in zip(fingerprints.tolist(), emissions.tolist(), strict=True):
            if fingerprint not in self._met and len(self._met) < MAX_MET:
                self._met[fingerprint] = emission

    def _listened(self, from_us: int, to_us: int) -> tuple[Listened, ...]:
        span_ms = (to_us - from_us) // 1000
        listened_ms = self._ear.listened_ms(self._since_start_s(from_us), self._since_start_s(to_us))
        return tuple(
            Listened(radio=Radio.WIFI, channel=channel, listened_ms=min(channel_ms, span_ms))
            for channel, channel_ms in listened_ms.items()
        )

    def _shown_us(self, time_s: float) -> int:
        return self._simulation.settings.start_us + round(float(self._ear.clock_s(np.array([time_s]))[0]) * 1e6)

    def _since_start_s(self, local_us: int) -> float:
        shown_s = (local_us - self._simulation.settings.start_us) / 1e6
        return (shown_s - self._ear.clock_offset_s) / (1.0 + self._ear.clock_drift)


def _place(file: Path) -> tuple[float, float] | None:
    try:
        x, y = file.read_text("ascii").strip().split(",")
        return float(x), float(y)
    except (OSError, ValueError):
        return None
