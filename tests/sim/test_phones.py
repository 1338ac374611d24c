"""What phones transmit: addresses, sequence numbers, timers and elements behave by the rule of the model."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hostkit.core.dot11 import parse_frames
from hostkit.core.wire import Flag
from hostkit.sim.elements import frame
from hostkit.sim.models import AMPDU, FIXED_MODELS, MODELS, Addressing, PhoneModel, Varying
from hostkit.sim.people import Person, PersonKind
from hostkit.sim.phones import Bodies, Phone, fixed_devices, phones_of, transmissions

HOUR = Person(
    kind=PersonKind.BROWSER, times_s=np.array([0.0, 1.0, 3600.0]), xy_m=np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 0.0)])
)
MANY_PEOPLE = (HOUR,) * 400
PHONES = phones_of(MANY_PEOPLE, power_sigma_db=5.0, seed=2)


def phone_of(model: PhoneModel) -> Phone:
    plain = (phone for phone in PHONES if phone.model is model and phone.switched_on and not phone.associated)
    return replace(next(plain), owner=0)


def air(phone: Phone) -> tuple[NDArray[np.void], Bodies]:
    bodies = Bodies()
    (frames,) = transmissions((phone,), (HOUR,), bodies, 3600.0, 4)
    return frames, bodies


def parsed(frames: NDArray[np.void], bodies: Bodies) -> NDArray[np.void]:
    whole = [
        frame(address, sequence, bodies.table[body])
        for address, sequence, body in zip(
            frames["address"].tolist(), frames["sequence"].tolist(), frames["body"].tolist(), strict=True
        )
    ]
    lengths = np.array([len(one) for one in whole])
    return parse_frames(b"".join(whole), np.cumsum(lengths) - lengths, lengths, bytes(16))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_frames_parse_whole_with_their_channel_and_address_kind(model: PhoneModel) -> None:
    frames, bodies = air(phone_of(model))
    rows = parsed(frames, bodies)
    assert len(rows) > 30
    assert not (rows["flags"] & Flag.MALFORMED).any()
    assert ((rows["flags"] & Flag.RANDOMISED > 0) == (model.addressing is not Addressing.GLOBAL)).all()
    assert ((rows["channel"] == frames["channel"]) | (rows["channel"] == 0)).all()
    assert np.array_equal(rows["sequence"], frames["sequence"])
    assert (np.diff(frames["time_s"]) > -0.01).all()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_addresses_per_scan_follow_the_model(model: PhoneModel) -> None:
    frames, _ = air(phone_of(model))
    scans = np.split(frames, np.flatnonzero(np.diff(frames["burst"])) + 1)
    per_scan = [len(np.unique(scan["address"])) for scan in scans]
    total = len(np.unique(frames["address"]))
    match model.addressing:
        case Addressing.GLOBAL | Addressing.STICKY:
            assert total == 1
        case Addressing.PER_SCAN:
            assert set(per_scan) == {1}
            assert total == len(scans)
        case Addressing.MANY:
            full = [count for count, scan in zip(per_scan, scans, strict=True) if len(scan) >= 13]
            low, high = model.addresses_per_scan
            assert low <= min(full) <= max(full) <= high
            assert total == sum(per_scan)


def test_sequence_numbers_go_on_through_address_changes_on_old_phones_only() -> None:
    for model in MODELS:
        if model.addressing not in (Addressing.PER_SCAN, Addressing.MANY):
            continue
        frames, _ = air(phone_of(model))
        change = np.flatnonzero(np.diff(frames["address"].astype(np.int64)))
        step = (frames["sequence"][change + 1].astype(int) - frames["sequence"][change]) % 4096
        assert np.mean(step == 1) == pytest.approx(1.0 if model.continuous_sequence else 0.0, abs=0.1)


@pytest.mark.parametrize("period_s", [20.0, 60.0, 120.0, 180.0])
def test_exact_timers_are_exact(period_s: float) -> None:
    model = next(model for model in MODELS if not model.irregular)
    frames, _ = air(replace(phone_of(model), period_s=period_s))
    starts_s = frames["time_s"][np.flatnonzero(np.diff(frames["burst"].astype(int), prepend=-1))]
    assert len(starts_s) == pytest.approx(3600 / period_s, abs=1)
    assert np.diff(starts_s) == pytest.approx(np.full(len(starts_s) - 1, period_s), abs=0.2)


def test_twins_look_the_same_and_models_differ() -> None:
    masked = {}
    for model in MODELS:
        twins = [p for p in PHONES if p.model is model and p.variant == 0 and p.switched_on and not p.associated][:2]
        prints = [set(parsed(*air(replace(twin, owner=0, build=0)))["fingerprint"].tolist()) for twin in twins]
        if Varying.COUNTER not in model.variants[0].tail:
            assert all(some == prints[0] for some in prints)
        masked[model.name] = frozenset(prints[0])
    assert len(set(masked.values())) == len(MODELS)


def test_releases_of_a_model_differ() -> None:
    phone = replace(phone_of(MODELS[0]), owner=0)
    prints = [set(parsed(*air(replace(phone, build=build)))["fingerprint"].tolist()) for build in range(len(AMPDU))]
    assert len(set.union(*prints)) == sum(len(one) for one in prints)
    assert [p.build for p in PHONES].count(0) > [p.build for p in PHONES].count(1) > 0


def test_popularity_makes_twins_common() -> None:
    names = [phone.model.name for phone in PHONES]
    counts = sorted((names.count(model.name) for model in MODELS), reverse=True)
    assert names.count(MODELS[0].name) == counts[0] > 5 * counts[-1] > 0


def test_volatile_fields_change_between_frames_of_one_address() -> None:
    model = next(model for model in MODELS if Varying.FILS in model.variants[0].tail)
    frames, bodies = air(replace(phone_of(model), networks=()))
    one = frames[frames["address"] == frames["address"][0]]
    on_one_channel = one[one["channel"] == one["channel"][0]]
    assert len({bodies.table[number] for number in frames["body"].tolist()}) > len(model.channels)
    assert len(on_one_channel) >= 1


def test_associated_phones_barely_probe_and_keep_their_address() -> None:
    quiet = next(phone for phone in PHONES if phone.associated and phone.model.addressing is Addressing.PER_SCAN)
    plain, _ = air(phone_of(quiet.model))
    frames, _ = air(replace(quiet, owner=0))
    assert len(np.unique(frames["address"])) == 1
    assert 0 < len(frames) < len(plain) / 2


def test_phones_that_are_off_are_silent() -> None:
    off = next(phone for phone in PHONES if not phone.switched_on)
    assert len(air(replace(off, owner=0))[0]) == 0


def test_people_carry_none_one_or_two_phones() -> None:
    on = np.bincount([phone.owner for phone in PHONES if phone.switched_on], minlength=len(MANY_PEOPLE))
    shares = np.bincount(on, minlength=3) / len(MANY_PEOPLE)
    assert shares == pytest.approx([0.12, 0.80, 0.08], abs=0.05)


def test_wildcard_frames_have_no_network_and_directed_ones_do() -> None:
    frames, bodies = air(replace(phone_of(MODELS[0]), networks=(b"net-001", b"net-002")))
    keys = parsed(frames, bodies)["ssid_key"]
    assert np.mean(keys == 0) == pytest.approx(1 / 3, abs=0.02)
    assert len(np.unique(keys)) == 3


def test_fixed_devices_are_mostly_global_and_always_on() -> None:
    devices = fixed_devices(np.zeros((8, 2)), power_sigma_db=3.0, seed=1)
    assert sum(device.model.addressing is Addressing.GLOBAL for device in devices) >= 6
    assert {device.model.name for device in devices} == {model.name for model in FIXED_MODELS}
    (frames,) = transmissions(devices[:1], (), Bodies(), 3600.0, 1)
    assert np.isnan(frames["facing_rad"]).all()
    assert len(frames) > 50
