"""The whole evaluation: what must not matter does not, and what is printed is what was promised."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hostkit.evaluate.associate import Evaluation, as_object, evaluate, track
from hostkit.evaluate.baselines import baselines
from hostkit.evaluate.labelled import Labelled, read_folder
from hostkit.evaluate.mix import Mix, superpose
from hostkit.evaluate.table import read_sightings
from tests.builders import element, phone_elements
from tests.evaluate.phones import START_US, Frame, folder, phones, readdressed, table

NAMES = ("addresses", "element_hash", "masked_element_hash", "hdbscan", "dbscan_sequence")
LEVELS_DBM = np.array([-45, -60, -70, -80])
CROWD = {"count": 12, "models": 5, "minutes": 12, "probes": 3}


def read(path: Path, frames: list[Frame], shift_s: float = 0.0) -> Labelled:
    return read_sightings(table(path / "s.csv", frames, shift_s=shift_s))


def figures(of: Evaluation) -> dict[str, object]:
    """All but what was timed."""
    whole = as_object(of)
    assert isinstance(whole["baselines"], dict)
    for one in (whole, *whole["baselines"].values()):
        del one["frames_per_s"]
    return whole


def clusters(of: Labelled) -> set[frozenset[tuple[int, int]]]:
    """The tracks as sets of transmissions, whatever their numbers."""
    begin_us = int(of.sightings["time_us"][0])
    tracks, _, _ = track(of, begin_us, int(of.sightings["time_us"][-1]) + 1)
    names = list(zip((of.sightings["time_us"] - begin_us).tolist(), of.sightings["sequence"].tolist(), strict=True))
    found: dict[int, set[tuple[int, int]]] = {}
    for name, number in zip(names, tracks.tolist(), strict=True):
        found.setdefault(number, set()).add(name)
    return set(map(frozenset, found.values()))


def test_permuting_addresses_changes_nothing(tmp_path: Path) -> None:
    frames = phones(**CROWD)
    one, other = read(tmp_path, frames), read(tmp_path, readdressed(frames, 5))
    assert clusters(one) == clusters(other)
    assert figures(evaluate(one)) == figures(evaluate(other))


@pytest.mark.parametrize("shift_s", [-1e9, 0.25, 86_400.0 * 40])
def test_shifting_time_changes_nothing(tmp_path: Path, shift_s: float) -> None:
    frames = phones(**CROWD)
    one, other = read(tmp_path, frames), read(tmp_path, frames, shift_s)
    assert clusters(one) == clusters(other)
    assert figures(evaluate(one)) == figures(evaluate(other))


def test_an_unrelated_class_changes_no_other_track(tmp_path: Path) -> None:
    frames = phones(**CROWD)
    begin = frames[0].time_us
    stranger = [
        replace(one, elements=phone_elements(tail=element(59, b"\xee")), phone=99, time_us=one.time_us + 17)
        for one in readdressed(phones(9, count=1, minutes=12, probes=3), 6)
    ]
    stranger = [one for one in stranger if one.time_us > begin]
    both = read(tmp_path, sorted([*frames, *stranger], key=lambda one: one.time_us))
    mine = {tracks for tracks in clusters(both) if not any((s.time_us - begin, s.sequence) in tracks for s in stranger)}
    assert mine == clusters(read(tmp_path, frames))


def test_frames_given_twice_change_nothing(tmp_path: Path) -> None:
    frames = phones(**CROWD)
    twice = sorted(
        [*frames, *(replace(one, time_us=one.time_us + 9000) for one in frames)], key=lambda one: one.time_us
    )
    one, other = read(tmp_path, frames), read(tmp_path, twice)
    assert clusters(one) == clusters(other)
    assert figures(evaluate(one)) == figures(evaluate(other))


def test_the_object_is_as_promised(tmp_path: Path) -> None:
    of = as_object(evaluate(read(tmp_path, phones(**CROWD))))
    method = {"devices", "count_error", "homogeneity", "completeness", "v_measure", "ari", "idf1", "id_switches"}
    method |= {"frames_per_s", "hota"}
    assert method | {"devices_true", "baselines"} <= set(of)
    assert of["devices_true"] == 12
    assert isinstance(of["baselines"], dict)
    assert tuple(of["baselines"]) == NAMES
    for one in (of, *of["baselines"].values()):
        assert method <= set(one)
        assert set(one["devices"]) == {"estimate", "low", "high"}
        assert one["count_error"] == pytest.approx(one["devices"]["estimate"] / 12 - 1)
        assert one["frames_per_s"] > 0
    assert of["devices"]["low"] < of["devices"]["estimate"] < of["devices"]["high"]
    assert json.loads(json.dumps(of, allow_nan=False)) == of


def test_baselines_are_what_their_names_say(tmp_path: Path) -> None:
    frames = phones(**CROWD)
    of = read(tmp_path, frames)
    counts = {name: len(np.unique(method(of))) for name, method in baselines().items()}
    assert counts["addresses"] == len({one.address for one in frames})
    assert counts["element_hash"] == counts["masked_element_hash"] == 5
    assert 5 <= counts["hdbscan"] < counts["addresses"]
    assert 5 <= counts["dbscan_sequence"] <= counts["addresses"]


def twins(random: np.random.Generator) -> list[Frame]:
    """Two phones of a model at two places, their sequence numbers going on from address to address."""
    return [
        Frame(
            time_us=START_US + number * 10_000_000 + phone * 3_000_000,
            phone=phone,
            address=bytes([2, phone, *number.to_bytes(4, "big")]),
            sequence=(number * 7 + phone * 2000) % 4096,
            elements=phone_elements(),
            rssi_dbm=tuple(np.rint(random.normal(0, 3, 4) + LEVELS_DBM[:: 1 - 2 * phone]).astype(int).tolist()),
        )
        for number in range(60)
        for phone in (0, 1)
    ]


def test_an_address_goes_where_most_of_its_bursts_are(tmp_path: Path) -> None:
    frames = twins(np.random.default_rng(1))
    fixed = bytes([2, 9, 9, 9, 9, 9])
    frames = [replace(one, address=fixed) if n < 40 and (n % 2 == 0 or n < 10) else one for n, one in enumerate(frames)]
    of = read(tmp_path, frames)
    labels = baselines()["hdbscan"](of)
    of_fixed = np.array([one.address == fixed for one in frames])
    assert len(np.unique(labels[np.repeat(of_fixed, 4)])) == 1
    rest = np.repeat(~of_fixed, 4)
    assert labels[0] in labels[rest & (of.label == 0)]
    assert labels[0] not in labels[rest & (of.label == 1)]


def test_clustering_finds_what_only_it_can(tmp_path: Path) -> None:
    """Twins far apart for RSSI; a phone whose sequence numbers go on for DBSCAN."""
    frames = twins(np.random.default_rng(1))
    of = read(tmp_path, frames)
    methods = baselines()
    for name in ("hdbscan", "dbscan_sequence"):
        labels = methods[name](of)
        assert 2 <= len(np.unique(labels)) <= 4, name
        assert len(np.unique(np.column_stack([labels, of.label]), axis=0)) == len(np.unique(labels)), name


def test_without_scikit_learn_its_baselines_are_named_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("sklearn", "scipy"))]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("sklearn", "sklearn.cluster", "scipy", "scipy.sparse"):
        monkeypatch.setitem(sys.modules, name, None)
    of = evaluate(read(tmp_path, phones(**CROWD)))
    assert [name for name, one in of.baselines.items() if one is None] == ["hdbscan", "dbscan_sequence"]
    assert "hdbscan: sklearn is not installed; pip install 'footfall[evaluate]'" in of.notes
    whole = as_object(of)
    assert isinstance(whole["baselines"], dict)
    assert whole["baselines"]["hdbscan"] is None


def test_a_mix_is_better_followed_than_by_addresses_or_elements(tmp_path: Path) -> None:
    recorded = read_folder(folder(tmp_path / "in", phones(count=6, models=6, minutes=20, apart_s=7200.0)))
    found = [evaluate(superpose(recorded, Mix(seed=seed, clones=2)), Mix(seed=seed).window_s) for seed in range(4)]
    assert [of.devices_true for of in found] == [12] * 4
    ours = np.mean([of.ours.scores.idf1 for of in found])
    for name in NAMES[:3]:
        assert ours > np.mean([one.scores.idf1 for of in found if (one := of.baselines[name])]), name
    assert abs(np.mean([of.ours.count_error for of in found])) < 1


@pytest.mark.parametrize("count", [1, 2])
def test_one_device_is_said_to_prove_nothing(tmp_path: Path, count: int) -> None:
    notes = evaluate(read(tmp_path, phones(count=count))).notes
    assert any("one device" in note for note in notes) == (count == 1)


def test_recordings_far_apart_are_said_to_be(tmp_path: Path) -> None:
    made: Callable[[float], Labelled] = lambda apart_s: read(tmp_path, phones(count=3, apart_s=apart_s))  # noqa: E731
    assert not any("--mix" in note for note in evaluate(made(600.0)).notes)
    assert any("--mix 1 superposes" in note for note in evaluate(made(90_000.0)).notes)
