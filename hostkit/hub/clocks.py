"""What health says of the probes' clocks: by their arrivals, and by frames that two of them heard."""

from collections.abc import Iterator

from hostkit.contract.messages import ProbeClock
from hostkit.hub.clockcheck import Agreement
from hostkit.hub.intake import Intake
from hostkit.model import Site


def probe_clocks(site: Site, intake: Intake) -> Iterator[ProbeClock]:
    """Give the clock of every probe that was heard."""
    for index, probe in enumerate(site.probes):
        clock, found = intake.clock_of(probe.id), intake.check.found.get(index, Agreement())
        if clock is not None:
            yield ProbeClock(
                probe=probe.id,
                synced=None if found.offset_s is None else not found.differs,
                drift_ppm=clock.skew_ppm,
                offset_us=None if found.offset_s is None else found.offset_s * 1e6,
                error_us=None if found.residual_s is None else found.residual_s * 1e6,
                frames=found.frames,
            )
