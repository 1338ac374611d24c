"""Superposed crowds: whose frames, when, heard by whom; the same seed gives the same crowd."""

from pathlib import Path

import numpy as np
import pytest

from hostkit.errors import InputError, UsageError
from hostkit.evaluate.labelled import Labelled, read_folder
from hostkit.evaluate.mix import FLOOR_DBM, ROOM_M, Mix, probe_places_m, superpose
from hostkit.evaluate.table import read_sightings
from tests.evaluate.phones import folder, phones, table


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Labelled:
    """Six phones, one after the other."""
    return read_folder(folder(tmp_path_factory.mktemp("in"), phones(apart_s=7200.0)))


def test_all_are_there_at_once_within_the_window(recorded: Labelled) -> None:
    crowd = superpose(recorded, Mix(seed=1, window_s=300.0, clones=3))
    assert len(crowd.devices) == 18
    assert sorted(crowd.devices)[:3] == ["phone0 1", "phone0 2", "phone0 3"]
    assert (np.diff(crowd.sightings["time_us"]) >= 0).all()
    assert crowd.sightings["time_us"].min() >= 0
    assert crowd.sightings["time_us"].max() < 300_000_000
    assert set(crowd.sightings["probe"].tolist()) == {0, 1, 2, 3}
    for device in range(18):
        times_s = crowd.sightings["time_us"][crowd.label == device] / 1e6
        assert times_s.min() < 120
        assert times_s.max() > 180


def test_clones_have_addresses_of_their_own_and_the_models_elements(recorded: Labelled) -> None:
    crowd = superpose(recorded, Mix(seed=2, clones=4))
    of_device = [set(crowd.sightings["device_key"][crowd.label == n].tolist()) for n in range(24)]
    assert len(set().union(*of_device)) == sum(map(len, of_device))
    for name in ("fingerprint", "sequence"):
        assert set(crowd.sightings[name].tolist()) <= set(recorded.sightings[name].tolist())
    assert np.unique(crowd.sightings["fingerprint"]).size == 3


def test_the_seed_decides_everything_but_the_key(recorded: Labelled) -> None:
    one, again, other = (superpose(recorded, Mix(seed=seed, moving=True)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.sightings, again.sightings)
    assert len(one.sightings) != len(other.sightings)


def test_who_is_not_heard_is_not_counted_but_told(recorded: Labelled) -> None:
    crowd = superpose(recorded, Mix(seed=2, window_s=15.0, probes=1))
    assert 0 < len(crowd.devices) < 6
    assert f"{6 - len(crowd.devices)} devices sent nothing" in crowd.notes[-1]
    assert set(crowd.label.tolist()) == set(range(len(crowd.devices)))


def test_clones_do_not_send_in_step(recorded: Labelled) -> None:
    crowd = superpose(recorded, Mix(seed=2, clones=2))
    times = [set(crowd.sightings["time_us"][crowd.label == n].tolist()) for n in range(12)]
    assert not any(one & other for n, one in enumerate(times) for other in times[:n])


def test_more_clones_change_nothing_of_the_first(recorded: Labelled) -> None:
    few, many = (superpose(recorded, Mix(seed=3, clones=clones)) for clones in (1, 3))
    first = np.isin(many.label, [n for n, name in enumerate(many.devices) if name.endswith(" 1")])
    np.testing.assert_array_equal(many.sightings[first], few.sightings)


def test_a_transmission_is_heard_at_most_once_by_each_probe_above_its_floor(recorded: Labelled) -> None:
    crowd = superpose(recorded, Mix(seed=5, probes=6))
    assert crowd.probes == 6
    rows = crowd.sightings
    _, counts = np.unique(rows[["time_us", "device_key", "sequence", "probe"]], return_counts=True)
    assert counts.max() == 1
    assert rows["rssi_dbm"].min() >= FLOOR_DBM
    heard = len(rows) / (6 * len(np.unique(rows[["time_us", "device_key", "sequence"]])))
    assert 0.6 < heard < 0.9


def spread_db(crowd: Labelled) -> float:
    """Standard deviation of a phone's level at a probe over its scans, the median over phones and probes."""
    rows = crowd.sightings
    found = [
        rows["rssi_dbm"][(crowd.label == n) & (rows["probe"] == probe)].std()
        for n in range(len(crowd.devices))
        for probe in range(crowd.probes)
    ]
    return float(np.median(found))


def test_who_walks_varies_more_than_who_stays(recorded: Labelled) -> None:
    still, moving = (superpose(recorded, Mix(seed=6, clones=3, moving=one)) for one in (False, True))
    assert 3.5 < spread_db(still) < 5.5, "shadowing per burst 4 dB and per frame 2 dB"
    assert spread_db(moving) > spread_db(still) + 1


@pytest.mark.parametrize("probes", [1, 2, 3, 4, 7])
def test_probes_stand_on_the_border_apart(probes: int) -> None:
    places = probe_places_m(probes)
    on_border = np.isin(places[:, 0], (0, ROOM_M[0])) | np.isin(places[:, 1], (0, ROOM_M[1]))
    assert on_border.all()
    assert len(np.unique(places, axis=0)) == probes


def test_one_of_the_recordings_is_played(tmp_path: Path) -> None:
    frames = phones(count=1, minutes=5)
    later = [frame.__class__(**{**_fields(frame), "time_us": frame.time_us + 10**10}) for frame in phones(2, count=1)]
    for name, part in (("a", frames), ("b", later)):
        folder(tmp_path / name, part)
    (tmp_path / "in" / "phone").mkdir(parents=True)
    for name in "ab":
        for capture in (tmp_path / name / "phone0").iterdir():
            capture.rename(tmp_path / "in" / "phone" / f"{name}{capture.name}")
    recorded = read_folder(tmp_path / "in")
    sequences = [set(recorded.sightings["sequence"][recorded.session == n].tolist()) for n in (0, 1)]
    played = set()
    for seed in range(12):
        mine = set(superpose(recorded, Mix(seed=seed)).sightings["sequence"].tolist())
        assert mine <= sequences[0] or mine <= sequences[1]
        played.add(mine <= sequences[0])
    assert played == {True, False}


def _fields(frame: object) -> dict[str, object]:
    return {name: getattr(frame, name) for name in frame.__slots__}  # type: ignore[attr-defined]


def test_what_cannot_be_mixed_is_refused(recorded: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = read_sightings(table(tmp_path / "s.csv", phones(probes=2)))
    with pytest.raises(UsageError, match="a mix already"):
        superpose(mixed, Mix(seed=1))
    monkeypatch.setattr("hostkit.evaluate.mix.MAX_SIGHTINGS", 5000)
    with pytest.raises(InputError, match="more than 5,000 sightings"):
        superpose(recorded, Mix(seed=1, clones=100, probes=4))
    one = recorded.where(recorded.label == 0)
    with pytest.raises(InputError, match=r"nothing is heard within 0\.001 s"):
        superpose(one.where(np.arange(3)), Mix(seed=1, window_s=0.001, probes=1))
