"""Simulated shops through the pipeline: what it says, and what was true."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hostkit.core.dot11 import device_keys
from hostkit.core.kpi import Kpi, compute
from hostkit.core.pipeline import Events, Pipeline, Totals
from hostkit.core.wire import sightings_from
from hostkit.sim.compare import Row, compare
from hostkit.sim.people import ENTRANTS
from hostkit.sim.plan import default_site
from hostkit.sim.truth import summarise, true_visits
from hostkit.sim.world import SimSettings, Simulation, simulate

KEY = bytes(range(16))
PEOPLE, HOURS = 400, 8.0
FIT_SEEDS, SCORE_SEEDS = range(20, 36), (3, 4, 5, 6, 7, 8, 9)  # fitted by hand: fit_entrant.py; scored in tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One simulated day with four probes whose clocks are right, counted."""

    simulation: Simulation
    events: Events
    totals: Totals
    kpis: tuple[Kpi, ...]
    rows: tuple[Row, ...]
    entered: NDArray[np.bool_]  # per visit: did its sender's owner enter the shop?


@cache
def shop(seed: int) -> Shop:
    """Simulate and count one shop."""
    settings = SimSettings(site=default_site(4), people=PEOPLE, hours=HOURS, seed=seed, clock_error_s=0.0)
    simulation = simulate(settings)
    heard = simulation.receptions
    frames = simulation.parsed(heard, KEY)
    parts = [sightings_from(frames[heard["probe"] == p], p, 0) for p in range(len(settings.site.probes))]
    fixed = [phone.address.to_bytes(6, "big") for phone in simulation.phones if phone.owner is None]
    pipeline = Pipeline(settings.site, fixed_keys=device_keys(fixed, KEY))
    pipeline.feed(np.concatenate(parts))
    events = pipeline.finish()
    kpis = compute(events.visits, settings.site, start_s=0, end_s=4e9, coverage=events.bins[0].coverage)
    return Shop(
        simulation=simulation,
        events=events,
        totals=pipeline.totals(),
        kpis=kpis,
        rows=compare(kpis, summarise(simulation, true_visits(simulation), ())),
        entered=_entered(simulation, events),
    )


def _entered(simulation: Simulation, events: Events) -> NDArray[np.bool_]:
    """The owner of the frame with which each visit's stay began."""
    air_us = simulation.heard_us(simulation.receptions)
    order = np.argsort(air_us, kind="stable")
    first_us = np.array([visit.start_s.hi for visit in events.visits]) * 1e6
    nearest = order[np.minimum(np.searchsorted(air_us[order], first_us - 2), len(order) - 1)]
    phones = simulation.emissions["phone"][simulation.receptions["emission"][nearest]]
    owners = [simulation.phones[phone].owner for phone in phones.tolist()]
    return np.array([owner is not None and simulation.people[owner].kind in ENTRANTS for owner in owners])
