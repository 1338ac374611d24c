"""Phones and what they transmit while their owners are about. Knows nothing of walls, probes or loss."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hostkit.sim.models import AMPDU, BUILD_SHARE, FIXED_MODELS, MODELS, Addressing, PhoneModel, Varying
from hostkit.sim.people import Person, PersonKind
from hostkit.sim.plan import Points

# One frame in the air. `burst` counts scans over the whole simulation; `body` indexes the table of element bodies.
EMISSION = np.dtype(
    [
        ("time_s", "<f8"),  # since the simulation's start
        ("phone", "<u4"),
        ("burst", "<u4"),
        ("body", "<u4"),
        ("address", "<u8"),
        ("sequence", "<u2"),
        ("channel", "u1"),
        ("x_m", "<f4"),
        ("y_m", "<f4"),
        ("facing_rad", "<f4"),  # where the phone is on its owner's body; NaN: no body in the way
    ]
)

_ZIPF = 0.9
_PHONES_PER_PERSON = (0.12, 0.80, 0.08)  # none or Wi-Fi off, one, two
_OWN_PACE_LOG_SD = 0.4  # phones of one model probe at different rates: apps, screen, settings
_TIMER_JITTER_S = 0.02
_FRAME_GAP_S = 0.004  # between frames on one channel
_FRAME_JITTER_S = 0.002
_SHORT_CHANNELS = (2, 5)
_SAVED_NETWORKS = 3  # a phone asks by name for at most this many
_NETWORK_NAMES = 400
_ASSOCIATED = {PersonKind.STAFF: 0.5}
_ASSOCIATED_VISITOR = 0.05
_ASSOCIATED_PERIOD_S = 300.0
_LOCAL, _GROUP = 1 << 41, 1 << 40  # the U/L and I/G bits of the first octet


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """One transmitter: a phone in somebody's pocket, or a fixed device at `place_m`.

    `owner` indexes the people, None for a fixed device. `address` is the global one, or the sticky one.
    """

    owner: int | None
    place_m: tuple[float, float] | None
    model: PhoneModel
    variant: int
    build: int
    switched_on: bool
    associated: bool
    address: int
    uuid: bytes
    networks: tuple[bytes, ...]
    period_s: float
    tx_offset_db: float
    pocket_rad: float  # side of the body it is worn on, against the walking direction

    @property
    def addressing(self) -> Addressing:
        """Give the rule in force: an associated phone keeps the address it associated with."""
        random_rules = (Addressing.PER_SCAN, Addressing.MANY)
        return Addressing.STICKY if self.associated and self.model.addressing in random_rules else self.model.addressing

    @property
    def randomised(self) -> bool:
        """Tell whether its addresses are locally administered."""
        return self.model.addressing is not Addressing.GLOBAL


class Bodies:
    """Table of distinct element bodies; equal bytes share one number."""

    def __init__(self) -> None:
        self.table: list[bytes] = []
        self._numbers: dict[bytes, int] = {}

    def number(self, body: bytes) -> int:
        """Give the number of `body`, adding it if it is new."""
        number = self._numbers.setdefault(body, len(self.table))
        if number == len(self.table):
            self.table.append(body)
        return number


def phones_of(people: tuple[Person, ...], *, power_sigma_db: float, seed: int) -> tuple[Phone, ...]:
    """Give each person 0 to 2 phones that are on, and those without one a phone that is off."""
    rng = np.random.default_rng([seed, 2])
    popularity = 1.0 / np.arange(1, len(MODELS) + 1) ** _ZIPF
    popularity /= popularity.sum()
    phones = []
    for owner, person in enumerate(people):
        count = int(rng.choice(3, p=_PHONES_PER_PERSON))
        for _ in range(max(1, count)):
            model = MODELS[int(rng.choice(len(MODELS), p=popularity))]
            associated = bool(rng.random() < _ASSOCIATED.get(person.kind, _ASSOCIATED_VISITOR))
            phones.append(
                _phone(
                    model,
                    rng,
                    owner=owner,
                    associated=associated,
                    switched_on=count > 0,
                    power_sigma_db=power_sigma_db,
                )
            )
    return tuple(phones)


def fixed_devices(places_m: Points, *, power_sigma_db: float, seed: int) -> tuple[Phone, ...]:
    """Put one device at each of `places_m` (n, 2), mostly with global addresses, always on."""
    rng = np.random.default_rng([seed, 3])
    placed = []
    for index, (x_m, y_m) in enumerate(places_m.tolist()):
        model = FIXED_MODELS[index % len(FIXED_MODELS)]
        placed.append(_phone(model, rng, place_m=(x_m, y_m), power_sigma_db=power_sigma_db))
    return tuple(placed)


def transmissions(
    phones: tuple[Phone, ...], people: tuple[Person, ...], bodies: Bodies, duration_s: float, seed: int
) -> Iterator[NDArray[np.void]]:
    """Give what each phone transmits within [0, duration_s), one EMISSION array a phone, in its own time order."""
    burst = 0
    for index, phone in enumerate(phones):
        rng = np.random.default_rng([seed, 4, index])
        owner = None if phone.owner is None else people[phone.owner]
        start_s, end_s = (0.0, duration_s) if owner is None else (float(owner.times_s[0]), float(owner.times_s[-1]))
        starts_s = _scan_starts(phone, start_s, min(end_s, duration_s), rng) if phone.switched_on else np.empty(0)
        frames = _scans(phone, starts_s, bodies, rng)
        frames = frames[frames["time_s"] < duration_s]
        frames["phone"] = index
        frames["burst"] += burst
        burst += len(starts_s)
        if owner is None:
            frames["x_m"], frames["y_m"] = phone.place_m or (0.0, 0.0)
            frames["facing_rad"] = np.nan
        else:
            frames["x_m"], frames["y_m"] = owner.at(frames["time_s"]).T
            frames["facing_rad"] = owner.heading_rad(frames["time_s"]) + phone.pocket_rad
        yield frames


def _phone(
    model: PhoneModel,
    rng: np.random.Generator,
    *,
    power_sigma_db: float,
    owner: int | None = None,
    place_m: tuple[float, float] | None = None,
    associated: bool = False,
    switched_on: bool = True,
) -> Phone:
    randomised = model.addressing is not Addressing.GLOBAL
    wants_names = rng.random() < model.directed_share
    names = rng.zipf(1.5, int(rng.integers(1, _SAVED_NETWORKS + 1)) if wants_names else 0) % _NETWORK_NAMES
    pace = float(np.exp(_OWN_PACE_LOG_SD * rng.standard_normal())) if model.irregular else 1.0
    return Phone(
        owner=owner,
        place_m=place_m,
        model=model,
        variant=int(rng.integers(len(model.variants))),
        build=min(int(rng.geometric(BUILD_SHARE)), len(AMPDU)) - 1,
        switched_on=switched_on,
        associated=associated,
        address=int(_addresses(1, rng, randomised=randomised)[0]),
        uuid=rng.bytes(16),
        networks=tuple(b"net-%03d" % name for name in dict.fromkeys(names.tolist())),
        period_s=_ASSOCIATED_PERIOD_S if associated else float(rng.choice(model.periods_s)) * pace,
        tx_offset_db=float(power_sigma_db * rng.standard_normal()),
        pocket_rad=float(rng.uniform(-np.pi, np.pi)),
    )


def _addresses(count: int, rng: np.random.Generator, *, randomised: bool) -> NDArray[np.uint64]:
    raw = rng.integers(0, 1 << 48, count, dtype=np.uint64) & np.uint64(~(_LOCAL | _GROUP) & (1 << 48) - 1)
    return raw | np.uint64(_LOCAL) if randomised else raw


def _scan_starts(phone: Phone, start_s: float, end_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw when scans begin; the timer's phase is unknown to the world, so the first comes within one gap."""
    count = int((end_s - start_s) / phone.period_s * 3) + 8
    log_sd = phone.model.irregular
    gaps_s = phone.period_s * np.exp(log_sd * rng.standard_normal(count))
    gaps_s[0] *= rng.random()
    starts_s = start_s + np.cumsum(gaps_s)
    if not log_sd:
        starts_s += _TIMER_JITTER_S * rng.standard_normal(count)
    return starts_s[starts_s < end_s]


def _pattern(phone: Phone) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Lay out a full scan: for each frame its offset in seconds, the index of its channel and of its SSID."""
    model, names = phone.model, 1 + len(phone.networks)
    channel, repeat, name = np.indices((len(model.channels), model.repeats, names)).reshape(3, -1)
    dwell_s = max(model.dwell_s, model.repeats * names * _FRAME_GAP_S)
    return channel * dwell_s + (repeat * names + name) * _FRAME_GAP_S, channel, name


def _scans(phone: Phone, starts_s: NDArray[np.float64], bodies: Bodies, rng: np.random.Generator) -> NDArray[np.void]:
    offset_s, channel, name = _pattern(phone)
    kept = _visited(phone, len(starts_s), rng)[:, channel]
    scan, slot = np.nonzero(kept)
    frames = np.zeros(len(scan), dtype=EMISSION)
    first_s = (
        offset_s[np.argmax(kept, axis=1)] if len(kept) else np.empty(0)
    )  # a short scan starts at its first channel
    frames["time_s"] = starts_s[scan] + offset_s[slot] - first_s[scan] + rng.random(len(scan)) * _FRAME_JITTER_S
    frames["burst"] = scan
    frames["channel"] = np.array(phone.model.channels)[channel[slot]]
    changed = _set_addresses(phone, frames, kept.sum(axis=1), rng)
    frames["sequence"] = _sequences(phone, scan, changed, rng)
    frames["body"] = _bodies(phone, frames, name[slot], bodies, rng)
    return frames


def _visited(phone: Phone, scans: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which channels each scan visits, shape (scans, channels): all, or a few neighbours in a short scan."""
    channels = len(phone.model.channels)
    short = rng.random(scans) < (1.0 if phone.associated else phone.model.short_share)
    length = np.where(short, rng.integers(*_SHORT_CHANNELS, scans, endpoint=True), channels)
    first = (rng.random(scans) * (channels - length + 1)).astype(np.int64)
    index = np.arange(channels)
    return np.asarray((index >= first[:, None]) & (index < (first + length)[:, None]), dtype=bool)


def _set_addresses(
    phone: Phone, frames: NDArray[np.void], sizes: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Fill in `address`; returns where it differs from the frame before."""
    if phone.addressing in (Addressing.GLOBAL, Addressing.STICKY):
        frames["address"] = phone.address
        return np.zeros(len(frames), dtype=bool)
    low, high = phone.model.addresses_per_scan
    wanted = np.minimum(rng.integers(low, high, len(sizes), endpoint=True), sizes)
    scan = frames["burst"].astype(np.int64)
    rank = np.arange(len(frames)) - (np.cumsum(sizes) - sizes)[scan]
    within = rank * wanted[scan] // sizes[scan]  # equal runs of frames share an address
    number = (np.cumsum(wanted) - wanted)[scan] + within
    frames["address"] = _addresses(int(wanted.sum()), rng, randomised=True)[number]
    return np.asarray(np.diff(number, prepend=-1) != 0, dtype=bool)


def _sequences(
    phone: Phone, scan: NDArray[np.int64], changed: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Count frames modulo 4096: through address changes on old phones, from a random start at each on new ones."""
    count = np.arange(len(scan)) + rng.integers(4096)
    if not phone.model.continuous_sequence:
        runs = np.cumsum(changed)
        starts = rng.integers(0, 4096, int(runs[-1]) + 1 if len(runs) else 0)
        count = count + starts[runs]
    if phone.associated:
        count = count + np.cumsum(np.diff(scan, prepend=0) * rng.integers(0, 200, len(scan)))  # other traffic between
    return np.asarray(count % 4096, dtype=np.int64)


def _bodies(
    phone: Phone, frames: NDArray[np.void], name: NDArray[np.int64], bodies: Bodies, rng: np.random.Generator
) -> NDArray[np.int64]:
    per_scan = rng.integers(0, 256, int(frames["burst"].max()) + 1 if len(frames) else 0)
    volatile = per_scan[frames["burst"]] if _counts(phone) else rng.integers(0, 4, len(frames))
    minimal = rng.random(len(frames)) < phone.model.minimal_share
    codes, back = np.unique(np.stack([frames["channel"], name, volatile, minimal]), axis=1, return_inverse=True)
    ssids = (b"", *phone.networks)
    elements = phone.model.variants[phone.variant]
    numbers = [
        bodies.number(
            elements.body(
                ssid=ssids[which],
                channel=channel,
                volatile=value,
                uuid=phone.uuid,
                build=phone.build,
                minimal=bool(short),
            )
        )
        for channel, which, value, short in codes.T.tolist()
    ]
    return np.array(numbers, dtype=np.int64)[back.reshape(-1)]


def _counts(phone: Phone) -> bool:
    return Varying.COUNTER in phone.model.variants[phone.variant].tail
