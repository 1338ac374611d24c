"""The simulated shop as a whole: settings in; people, phones, frames in the air and frames heard out. No files."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hostkit.core.dot11 import parse_frames
from hostkit.core.pseudonym import KEY_BYTES
from hostkit.errors import UsageError
from hostkit.model import Site, ZoneKind
from hostkit.sim.elements import frame
from hostkit.sim.people import Person, PersonKind, Shares, people
from hostkit.sim.phones import Bodies, Phone, fixed_devices, phones_of, transmissions
from hostkit.sim.plan import Plan, Points, build_plan, default_site
from hostkit.sim.radio import Ear, ears, heard_by, receptions

MIN_HOURS, MAX_HOURS = 0.5, 24.0
MAX_PEOPLE = 50_000  # about 20 M frames: bounds memory
_FIXED_DEVICES = 4  # in the shop, at the till and in the staff room
_NEXT_DOOR_M = 5.0  # beyond the shop's side and back walls stands one of the neighbours' devices each
_FIXED_POWER_SIGMA_DB = 3.0

Progress = Callable[[int, int], None]  # phones done, phones in all


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSettings:
    """What to simulate. `start` is site-local wall time without offset; equal settings give equal worlds."""

    site: Site = field(default_factory=default_site)
    people: int = 200
    staff: int = 3
    hours: float = 8.0
    start: datetime = datetime(2025, 3, 4, 10, 0)
    seed: int = 1
    shares: Shares = field(default_factory=Shares)
    clock_error_s: float = 0.2
    offset_sigma_db: float = 2.0  # gain spread between probes that nobody calibrated

    @property
    def duration_s(self) -> float:
        """Give the length in seconds."""
        return self.hours * 3600.0

    @property
    def start_us(self) -> int:
        """Give the start as Unix time."""
        local = self.start.replace(tzinfo=ZoneInfo(self.site.time_zone))
        return round(local.astimezone(UTC).timestamp()) * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulation:
    """A world that has run. `emissions` (EMISSION) and `receptions` (RECEPTION) are sorted by time."""

    settings: SimSettings
    plan: Plan
    people: tuple[Person, ...]
    phones: tuple[Phone, ...]  # of people, then fixed devices: the shop's, then the neighbours'
    ears: tuple[Ear, ...]
    bodies: tuple[bytes, ...]
    emissions: NDArray[np.void]
    receptions: NDArray[np.void]

    @property
    def visitors(self) -> tuple[Person, ...]:
        """Everybody who came but staff."""
        end_s = self.settings.duration_s
        return tuple(one for one in self.people if one.kind is not PersonKind.STAFF and one.times_s[0] <= end_s)

    def until(self, to_s: float) -> "Simulation":
        """Give the world as it was `to_s` after its start: nothing later has happened. At most its whole length."""
        if to_s >= self.settings.duration_s:
            return self
        frames, heard = (np.searchsorted(rows["time_s"], to_s) for rows in (self.emissions, self.receptions))
        return replace(
            self,
            settings=replace(self.settings, hours=to_s / 3600.0),
            people=tuple(person.until(to_s) for person in self.people),
            emissions=self.emissions[:frames],
            receptions=self.receptions[:heard],
        )

    def between(self, from_s: float, to_s: float) -> NDArray[np.void]:
        """Give the receptions within [from_s, to_s) since the start, in time order."""
        low, high = np.searchsorted(self.receptions["time_s"], (from_s, to_s))
        return self.receptions[low:high]

    def heard_by(self, ear: Ear, index: int) -> NDArray[np.void]:
        """Give what probe `index` would hear of the same emissions with another ear."""
        tx_offset_db = np.array([phone.tx_offset_db for phone in self.phones])
        return heard_by(self.plan, ear, index, self.emissions, tx_offset_db, seed=self.settings.seed)

    def heard_us(self, heard: NDArray[np.void]) -> NDArray[np.int64]:
        """Give the Unix time in µs that the hearing probe's own clock showed at each reception."""
        shown_us = np.empty(len(heard), dtype=np.int64)
        for index, ear in enumerate(self.ears):
            of_probe = heard["probe"] == index
            shown_us[of_probe] = np.rint(ear.clock_s(heard["time_s"][of_probe]) * 1e6)
        return shown_us + self.settings.start_us

    def frames(self, emission: NDArray[np.uint32]) -> list[bytes]:
        """Give the 802.11 frames of the emissions at these indices."""
        rows = self.emissions[emission]
        fields = zip(rows["address"].tolist(), rows["sequence"].tolist(), rows["body"].tolist(), strict=True)
        return [frame(address, sequence, self.bodies[body]) for address, sequence, body in fields]

    def parsed(self, heard: NDArray[np.void], key: bytes) -> NDArray[np.void]:
        """Give FRAME rows of receptions as the probe's own parser makes them, in probe-local time."""
        emission, back = np.unique(heard["emission"], return_inverse=True)
        whole = self.frames(emission)
        lengths = np.array([len(one) for one in whole], dtype=np.int64)
        rows = parse_frames(b"".join(whole), np.cumsum(lengths) - lengths, lengths, key)[back]
        rows["time_us"] = self.heard_us(heard)
        rows["rssi_dbm"], rows["noise_dbm"] = heard["rssi_dbm"], heard["noise_dbm"]
        rows["channel"] = np.where(rows["channel"] == 0, heard["channel"], rows["channel"])
        return rows


def site_key(seed: int) -> bytes:
    """Give the site key a simulation of this seed uses: no secret, its addresses are made up."""
    return np.random.default_rng([seed, 7]).bytes(KEY_BYTES)


def simulate(settings: SimSettings, progress: Progress | None = None) -> Simulation:
    """Run a world. Raises ConfigError for a site one cannot walk in, UsageError for impossible settings."""
    _check(settings)
    plan = build_plan(settings.site)
    crowd = people(
        plan,
        count=settings.people,
        staff=settings.staff,
        start_hour=settings.start.hour + settings.start.minute / 60.0,
        duration_s=settings.duration_s,
        shares=settings.shares,
        seed=settings.seed,
    )
    phones = _all_phones(settings, plan, crowd)
    bodies = Bodies()
    parts = []
    for done, part in enumerate(transmissions(phones, crowd, bodies, settings.duration_s, settings.seed), start=1):
        parts.append(part)
        if progress:
            progress(done, len(phones))
    emissions = np.concatenate(parts)
    emissions = emissions[np.argsort(emissions["time_s"], kind="stable")]
    listeners = ears(
        settings.site.probes,
        clock_error_s=settings.clock_error_s,
        offset_sigma_db=settings.offset_sigma_db,
        seed=settings.seed,
    )
    tx_offset_db = np.array([phone.tx_offset_db for phone in phones])
    return Simulation(
        settings=settings,
        plan=plan,
        people=crowd,
        phones=phones,
        ears=listeners,
        bodies=tuple(bodies.table),
        emissions=emissions,
        receptions=receptions(plan, listeners, emissions, tx_offset_db, settings.seed),
    )


def _check(settings: SimSettings) -> None:
    if not MIN_HOURS <= settings.hours <= MAX_HOURS:
        raise UsageError(
            f"{settings.hours:g} h is not in {MIN_HOURS:g}..{MAX_HOURS:g}", where="--hours", next_step="choose another"
        )
    if not 1 <= settings.people <= MAX_PEOPLE:
        raise UsageError(
            f"{settings.people} is not in 1..{MAX_PEOPLE}", where="--people", next_step="choose another number"
        )


def _all_phones(settings: SimSettings, plan: Plan, crowd: tuple[Person, ...]) -> tuple[Phone, ...]:
    carried = phones_of(crowd, power_sigma_db=settings.site.path_loss.power_sigma_db, seed=settings.seed)
    fixed = fixed_devices(_fixed_places(plan), power_sigma_db=_FIXED_POWER_SIGMA_DB, seed=settings.seed)
    return (*carried, *fixed)


def _fixed_places(plan: Plan) -> Points:
    """Give places of the shop's own devices, then of the neighbours'."""
    spots = np.concatenate([plan.spots[zone.id] for zone in plan.zones_of(ZoneKind.TILL, ZoneKind.STAFF)])
    own = plan.cells[spots[np.linspace(0, len(spots) - 1, _FIXED_DEVICES).astype(np.int64)]]
    outline = np.array(plan.floor.interior_m)
    (left, low), (right, high) = outline.min(axis=0), outline.max(axis=0)
    middle_x, middle_y = (left + right) / 2, (low + high) / 2
    next_door = [(left - _NEXT_DOOR_M, middle_y), (right + _NEXT_DOOR_M, middle_y), (middle_x, high + _NEXT_DOOR_M)]
    return np.concatenate([own, np.array(next_door)])
