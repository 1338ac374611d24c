"""Independent windows of a simulated shop with known truth: phones that come and go, heard by probes, tracked, binned.

A window is ten minutes after twenty that the tracker has heard before, where its scene says
nothing else. Nothing is shared between windows but the shop.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hostkit.core.associate import Tracker, revise
from hostkit.core.bins import BinCounter, CountBin
from hostkit.core.count import devices_in_window
from hostkit.core.heard import MEDIAN_INTERVAL_S
from hostkit.core.inside import share_inside
from hostkit.core.listening import Listening
from hostkit.core.pipeline import LAG_US
from hostkit.core.wire import sightings_from
from hostkit.model import Coverage, Occupancy
from hostkit.sim.people import Person, PersonKind
from hostkit.sim.phones import Bodies, Phone, phones_of, transmissions
from hostkit.sim.plan import Plan, build_plan, default_site
from hostkit.sim.radio import ears, receptions
from hostkit.sim.world import SimSettings, Simulation

KEY = bytes(range(16))
FOREVER_US = 1 << 60
MEDIAN_STAY_S, STAY_LOG_SD = 420.0, 1.0  # of log-normal stays, the sim's browsers and those who only pass
ASSOCIATED_PERIOD_S = 300.0
SLEEP_S = 60.0  # a probe that listens half the time does so by turns, not in step with others


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is heard: how many phones are near at a time, by how many probes on which channels, associated phones."""

    phones: float = 30.0
    probes: int = 4
    channels: tuple[int, ...] = (1, 6, 11)
    associated: float = 0.05
    outage: bool = False  # all probes but one fall silent for the window
    listened: float = 1.0  # share of the time
    before_s: int = 1200
    window_s: int = 600

    @property
    def length_s(self) -> int:
        """Give how long the tracker hears."""
        return self.before_s + self.window_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One counted window: `phones` is how many sent anything in it, heard or not; `heard`: share of scans."""

    scene: Scene
    phones: int
    tracks: int
    turnover: float  # tracks, as far as they were not there all the time
    heard: float
    counted: CountBin
    bursts: NDArray[np.void]


def windows(scene: Scene | None, count: int, seed: int) -> Iterator[Window]:
    """Give `count` independent windows of a scene; without one of scenes drawn at random, 3 to 150 phones."""
    for number in range(count):
        random = np.random.default_rng([seed, number])
        yield window(scene or _any(random), random)


def _any(random: np.random.Generator) -> Scene:
    return Scene(
        phones=float(np.exp(random.uniform(np.log(3), np.log(150)))),
        probes=int(random.choice((1, 2, 4))),
        channels=((1, 6, 11), (6,))[int(random.random() < 0.3)],
        associated=float(random.choice((0.05, 0.05, 0.3))),
        outage=bool(random.random() < 0.1),
        listened=float(random.choice((1.0, 0.5), p=(0.9, 0.1))),
    )


def window(scene: Scene, random: np.random.Generator) -> Window:
    """Simulate one window and count it."""
    heard, phones = _heard(scene, random)
    tracker = Tracker(scene.probes)
    bursts, rssi_dbm, _ = tracker.feed(heard)
    revise(bursts, tracker.revisions)
    rest = tracker.advance(scene.length_s * 1_000_000 + LAG_US)
    bursts, rssi_dbm = np.concatenate([bursts, rest[0]]), np.concatenate([rssi_dbm, rest[1]])
    revise(bursts, tracker.revisions)
    listening = _listening(scene)
    bins = BinCounter(
        bin_us=scene.window_s * 1_000_000, begin_us=0, end_us=FOREVER_US, rotated=False, probes_expected=scene.probes,
        listening=listening,
    )  # fmt: skip
    bins.add_sightings(heard)
    bins.add_bursts(bursts, share_inside(rssi_dbm, Occupancy().inside_dbm))
    first_us = tracker.track_table()["first_us"]
    bins.close(scene.before_s * 1_000_000, first_us, np.empty(0, np.uint32))
    found = bins.finish(scene.length_s * 1_000_000, first_us, np.empty(0, np.uint32))
    heard_share = bins.heard_share(scene.before_s * 1_000_000, scene.length_s * 1_000_000)
    within = bursts[bursts["first_us"] >= scene.before_s * 1_000_000]
    tracks = np.unique(within["track"])
    since_us = np.maximum(first_us[tracks], scene.before_s * 1_000_000)
    until_us = np.array([within["last_us"][within["track"] == track].max() for track in tracks], np.int64)
    there_s = np.minimum((until_us - since_us) / 1e6 + MEDIAN_INTERVAL_S, scene.window_s)
    return Window(
        scene=scene,
        phones=phones,
        tracks=len(tracks),
        turnover=float((1 - there_s / scene.window_s).sum()),
        heard=heard_share,
        counted=found[-1] if found else _silent(scene, heard_share),
        bursts=bursts,
    )


def _listening(scene: Scene) -> Listening:
    """What the probes would tell of when they listened: half the time where the scene says so."""
    told = Listening(_plan(scene.probes, scene.channels).site.probes)
    for probe in range(scene.probes):
        until_s = scene.before_s if scene.outage and probe else scene.length_s
        ms = scene.listened * until_s * 1000 / len(scene.channels)
        told.add(probe, 0, until_s * 1_000_000, tuple((channel, ms) for channel in scene.channels))
    return told


def _silent(scene: Scene, heard: float) -> CountBin:
    """Count a window in which nothing was heard: a live hub has no bin then, an interval it has all the same."""
    return CountBin(
        start_s=scene.before_s,
        end_s=scene.length_s,
        devices=devices_in_window(
            spans_s=np.empty(0), scans=np.empty(0, np.int64), window_s=scene.window_s, heard=heard
        ),
        addresses=0,
        frames=0,
        coverage=Coverage(listened_share=1.0, probes_up=0, probes_expected=scene.probes, completeness=None),
    )


def _heard(scene: Scene, random: np.random.Generator) -> tuple[NDArray[np.void], int]:
    plan, seed = _plan(scene.probes, scene.channels), int(random.integers(1 << 31))
    crowd = _crowd(plan, scene, random)
    carried = tuple(_phone(phone, scene, random) for phone in phones_of(crowd, power_sigma_db=5.0, seed=seed))
    bodies = Bodies()
    emissions = np.concatenate(list(transmissions(carried, crowd, bodies, float(scene.length_s), seed)))
    emissions = emissions[np.argsort(emissions["time_s"], kind="stable")]
    listeners = ears(plan.site.probes, clock_error_s=0.0, offset_sigma_db=2.0, seed=seed)
    tx_db = np.array([phone.tx_offset_db for phone in carried])
    world = Simulation(
        settings=SimSettings(site=plan.site, hours=scene.length_s / 3600), plan=plan, people=crowd, phones=carried,
        ears=listeners, bodies=tuple(bodies.table), emissions=emissions,
        receptions=receptions(plan, listeners, emissions, tx_db, seed),
    )  # fmt: skip
    heard = world.receptions
    if scene.outage:
        heard = heard[(heard["probe"] == 0) | (heard["time_s"] < scene.before_s)]
    heard = heard[(heard["time_s"] / SLEEP_S + heard["probe"] * 0.4) % 1 < scene.listened]
    frames = world.parsed(heard, KEY)
    rows = np.concatenate([sightings_from(frames[heard["probe"] == p], p, 0) for p in range(scene.probes)])
    rows["time_us"] -= world.settings.start_us
    present = len(np.unique(emissions["phone"][emissions["time_s"] >= scene.before_s]))
    return rows[np.argsort(rows["time_us"], kind="stable")], present


def _crowd(plan: Plan, scene: Scene, random: np.random.Generator) -> tuple[Person, ...]:
    """People of a Poisson stream, everybody about the shop for a while, walking between places inside."""
    mean_s = MEDIAN_STAY_S * np.exp(STAY_LOG_SD**2 / 2)
    count = 1 + random.poisson(scene.phones * (scene.length_s + mean_s) / mean_s)
    come_s = random.uniform(-mean_s, scene.length_s, count)
    leave_s = come_s + MEDIAN_STAY_S * np.exp(STAY_LOG_SD * random.standard_normal(count))
    inside = np.concatenate([plan.cells[plan.spots[zone.id]] for zone in plan.site.zones if zone.id in plan.spots])
    crowd = []
    for start_s, end_s in zip(come_s.tolist(), leave_s.tolist(), strict=True):
        if end_s <= 0:
            continue
        knots = int(random.integers(2, 6))
        times_s = np.linspace(max(start_s, 0.0), min(end_s, scene.length_s), knots)
        places = inside[random.integers(len(inside), size=knots)]
        crowd.append(Person(kind=PersonKind.BROWSER, times_s=times_s, xy_m=places))
    return tuple(crowd)


def _phone(phone: Phone, scene: Scene, random: np.random.Generator) -> Phone:
    if random.random() >= scene.associated:
        return phone
    return replace(phone, associated=True, period_s=ASSOCIATED_PERIOD_S)


@cache
def _plan(probes: int, channels: tuple[int, ...]) -> Plan:
    site = default_site(probes)
    return build_plan(replace(site, probes=tuple(replace(probe, channels=channels) for probe in site.probes)))
