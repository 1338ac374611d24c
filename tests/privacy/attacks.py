"""Attacks on what leaves a site: is this phone among the day's visitors, and is it the phone of another day?

The attacker has every visit row of both days as the collector gets them, both days' keys and every address the phone
used. Rows of the same world in which the truth is known teach the classifier; worlds it never saw test it. For control
the same attack is made on rows that still carry device keys. `python -m tests.privacy.attacks 12` runs more worlds.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hostkit.contract.messages import VisitRow
from hostkit.contract.visitrows import row_of_visit
from hostkit.core.dot11 import device_keys
from hostkit.core.pipeline import Pipeline
from hostkit.core.pseudonym import KEY_BYTES
from hostkit.core.wire import sightings_from
from hostkit.model import Visit, VisitClass
from hostkit.sim.people import people
from hostkit.sim.phones import Bodies, Phone, phones_of, transmissions
from hostkit.sim.plan import build_plan
from hostkit.sim.radio import ears, receptions
from hostkit.sim.world import SimSettings, Simulation

PEOPLE, HOURS, BATCH_S = 150, 3.0, 60.0
NEAR_S = 2.0  # a visit is a phone's if it begins and ends with what was heard of the phone
CHANCE, ALLOWED = 0.5, 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """One visit as it left the site, and what its row does not say: whose it was, and under which keys it was heard."""

    row: VisitRow
    phone: int
    keys: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """Two days of the same phones with everything else drawn anew. `known[d][phone]`: its keys by the seized key."""

    days: tuple[tuple[Sight, ...], tuple[Sight, ...]]
    known: tuple[dict[int, frozenset[int]], dict[int, frozenset[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How an attack did: balanced accuracy and its 95 % interval, by the share of phones of each kind."""

    accuracy: float
    low: float
    high: float
    cases: int

    def __str__(self) -> str:
        return f"{self.accuracy:.3f} ({self.low:.3f} to {self.high:.3f}), {self.cases} cases"


def world(seed: int, count: int = PEOPLE) -> World:
    """Make two days of one population of phones."""
    settings = SimSettings(people=count, hours=HOURS, seed=seed)
    phones: tuple[Phone, ...] | None = None
    days, known = [], []
    for day in (0, 1):
        simulation = _day(settings, day, phones)
        phones = simulation.phones
        key = np.random.default_rng([seed, day, 9]).bytes(KEY_BYTES)
        heard = _keys_of_phones(simulation, key)
        days.append(tuple(_sights(simulation, key, heard)))
        known.append(heard)
    return World(days=(days[0], days[1]), known=(known[0], known[1]))


def linkage(train: Sequence[World], test: Sequence[World], *, with_keys: bool = False) -> Score:
    """Same phone or not, for a visit of the first day and one of the second."""
    fits = [_pairs(one, with_keys=with_keys, seed=number) for number, one in enumerate(train)]
    trained = _trained(np.concatenate([x for x, _ in fits]), np.concatenate([y for _, y in fits]))
    tests = [_pairs(one, with_keys=with_keys, seed=100 + number) for number, one in enumerate(test)]
    return _score(trained, np.concatenate([x for x, _ in tests]), np.concatenate([y for _, y in tests]))


def membership(train: Sequence[World], test: Sequence[World], *, with_keys: bool = False) -> Score:
    """Was the phone of a visit of the first day there on the second? Rows of the day with it and without it."""
    pairs = [_pairs(one, with_keys=with_keys, seed=number) for number, one in enumerate(train)]
    linker = _trained(np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]))
    fits = [_days(one, linker, with_keys=with_keys) for one in train]
    trained = _trained(np.concatenate([x for x, _ in fits]), np.concatenate([y for _, y in fits]))
    tests = [_days(one, linker, with_keys=with_keys) for one in test]
    return _score(trained, np.concatenate([x for x, _ in tests]), np.concatenate([y for _, y in tests]))


class _Both:
    """A linear and a boosted classifier, averaged: one for trends, one for corners."""

    def __init__(self, x: NDArray[np.float64], y: NDArray[np.bool_]) -> None:
        self._linear = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
        self._boosted = HistGradientBoostingClassifier(
            max_iter=60, max_depth=4, class_weight="balanced", random_state=1, early_stopping=False
        )
        self._linear.fit(x, y)
        self._boosted.fit(x, y)

    def share(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        found = self._linear.predict_proba(x)[:, 1] + self._boosted.predict_proba(x)[:, 1]
        return np.asarray(found / 2, np.float64)


def _trained(x: NDArray[np.float64], y: NDArray[np.bool_]) -> _Both:
    return _Both(x, y)


def _score(trained: _Both, x: NDArray[np.float64], y: NDArray[np.bool_]) -> Score:
    said = trained.share(x) > 0.5
    hit, passed = float(np.mean(said[y])), float(np.mean(~said[~y]))
    error = float(np.sqrt(hit * (1 - hit) / y.sum() + passed * (1 - passed) / (~y).sum()) / 2)
    accuracy = (hit + passed) / 2
    return Score(accuracy=accuracy, low=accuracy - 1.96 * error, high=accuracy + 1.96 * error, cases=int(y.sum()))


def _pairs(one: World, *, with_keys: bool, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give features of every true pair, and of four others for each."""
    random = np.random.default_rng(seed)
    first, second = one.days
    true = [(a, b) for a in first for b in second if a.phone == b.phone]
    false = []
    for a, _ in true:
        others = [b for b in second if b.phone != a.phone]
        false += [(a, others[int(at)]) for at in random.integers(0, len(others), 4)]
    y = np.array([True] * len(true) + [False] * len(false))
    return np.array([_pair(one, a, b, with_keys=with_keys) for a, b in true + false]), y


def _days(one: World, linker: _Both, *, with_keys: bool) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    first, second = one.days
    x, y = [], []
    for a in first:
        if not any(b.phone == a.phone for b in second):
            continue
        scores = linker.share(np.array([_pair(one, a, b, with_keys=with_keys) for b in second]))
        own = np.array([b.phone == a.phone for b in second])
        # Without it somebody else came instead: the number of rows must not tell.
        strangers = np.sort(np.nonzero(~own)[0])[own.sum() :]
        for there, kept in ((True, np.concatenate([strangers, np.nonzero(own)[0]])), (False, np.nonzero(~own)[0])):
            best = np.sort(scores[kept])[::-1]
            x.append([best[0], best[1], best[:5].mean(), best.mean()])
            y.append(there)
    return np.array(x), np.array(y)


def _pair(one: World, a: Sight, b: Sight, *, with_keys: bool) -> list[float]:
    left, right = _features(a.row), _features(b.row)
    known = bool(one.known[0].get(a.phone, frozenset()) & a.keys and one.known[1].get(a.phone, frozenset()) & b.keys)
    return [*np.abs(left - right), *(left * right)[:4], *([float(known)] if with_keys else [])]


def _features(row: VisitRow) -> NDArray[np.float64]:
    """Give all that a row says, on scales where near is alike."""
    low, mid, high = row.dwell_s
    zones = {stay.id: stay.leave_s - stay.enter_s for stay in row.zones}
    return np.array(
        [
            np.log1p(high - low),
            row.p_entrant,
            np.log1p(mid),
            float(row.visit_class is VisitClass.ENTRANT),
            float(row.reentry),
            row.start_s[0] % 86_400 / 3600,
            (row.start_s[1] - row.start_s[0]) / 300,
            (row.end_s[1] - row.end_s[0]) / 300,
            len(zones),
            np.log1p(max(zones.values(), default=0.0)),
            np.log1p(row.zones[0].enter_s if row.zones else 0.0),
            *(np.log1p(zones.get(name, 0.0)) for name in ("window", "door", "new-in", "women", "men", "shoes", "till")),
        ]
    )


def _day(settings: SimSettings, day: int, phones: tuple[Phone, ...] | None) -> Simulation:
    """Run one day: people and what they do are its own, phones those of `phones`."""
    plan, seed = build_plan(settings.site), settings.seed * 10 + day
    crowd = people(
        plan, count=settings.people, staff=0, start_hour=10.0, duration_s=settings.duration_s, shares=settings.shares,
        seed=seed,
    )  # fmt: skip
    sigma_db = settings.site.path_loss.power_sigma_db
    carried = phones or phones_of(crowd, power_sigma_db=sigma_db, seed=settings.seed)
    # People are numbered in the order they come: a phone's owner of one day must not come as early on the other.
    owners = np.random.default_rng([seed, 8]).permutation(len(crowd)).tolist()
    carried = tuple(replace(phone, owner=owners[phone.owner or 0]) for phone in carried)
    bodies = Bodies()
    emissions = np.concatenate(list(transmissions(carried, crowd, bodies, settings.duration_s, seed)))
    emissions = emissions[np.argsort(emissions["time_s"], kind="stable")]
    listeners = ears(settings.site.probes, clock_error_s=0.0, offset_sigma_db=2.0, seed=settings.seed)
    offset_db = np.array([phone.tx_offset_db for phone in carried])
    return Simulation(
        settings=settings, plan=plan, people=crowd, phones=carried, ears=listeners, bodies=tuple(bodies.table),
        emissions=emissions, receptions=receptions(plan, listeners, emissions, offset_db, seed),
    )  # fmt: skip


def _keys_of_phones(simulation: Simulation, key: bytes) -> dict[int, frozenset[int]]:
    """Give every device key of each phone that was heard: what the seized key makes of its addresses."""
    heard = simulation.emissions[np.unique(simulation.receptions["emission"])]
    keys: dict[int, frozenset[int]] = {}
    for phone in np.unique(heard["phone"]).tolist():
        addresses = np.unique(heard["address"][heard["phone"] == phone])
        keys[phone] = frozenset(device_keys([int(one).to_bytes(6, "big") for one in addresses], key).tolist())
    return keys


def _sights(simulation: Simulation, key: bytes, keys: dict[int, frozenset[int]]) -> list[Sight]:
    """Give the visits that are one phone's by their first and last moment, and of no other."""
    times_s = simulation.receptions["time_s"] + simulation.settings.start_us / 1e6
    of = simulation.emissions["phone"][simulation.receptions["emission"]]
    spans = {phone: times_s[of == phone] for phone in np.unique(of).tolist()}
    sights = []
    for visit in _visits(simulation, key):
        owners = [
            phone
            for phone, heard in spans.items()
            if np.abs(heard - visit.start_s.hi).min() < NEAR_S and np.abs(heard - visit.end_s.lo).min() < NEAR_S
            and np.mean((heard >= visit.start_s.hi - NEAR_S) & (heard <= visit.end_s.lo + NEAR_S)) > 0.8
        ]  # fmt: skip
        if len(owners) == 1:
            row = row_of_visit(visit, simulation.settings.site.privacy.time_grain_s)
            sights.append(Sight(row=row, phone=owners[0], keys=keys[owners[0]]))
    return sights


def _visits(simulation: Simulation, key: bytes) -> list[Visit]:
    settings = simulation.settings
    pipeline, visits = Pipeline(settings.site, visit_prefix="a"), []
    for at_s in np.arange(0.0, settings.duration_s, BATCH_S).tolist():
        heard = simulation.between(at_s, at_s + BATCH_S)
        frames = simulation.parsed(heard, key)
        each = [sightings_from(frames[heard["probe"] == n], n, 0) for n in range(len(settings.site.probes))]
        pipeline.feed(np.concatenate(each))
        visits += pipeline.advance(settings.start_us + int((at_s + BATCH_S) * 1e6)).visits
    return [*visits, *pipeline.finish().visits]


def main(worlds: int) -> None:
    """Print every attack on `worlds` worlds, half of them for learning."""
    made = [world(seed) for seed in range(1, worlds + 1)]
    train, test = made[::2], made[1::2]
    for name, attack in (("linkage", linkage), ("membership", membership)):
        print(f"{name}: {attack(train, test)}; with device keys: {attack(train, test, with_keys=True)}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
