"""Link, anchors and zones: known parameters, minima, and what does not help."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hostkit.core.calibrate_distance import fit_distances
from hostkit.core.calibrate_links import fit_links
from hostkit.errors import InputError
from hostkit.field.anchors import anchors_trial, links_of_record, newest, read_links_table
from hostkit.field.ground import ground_of
from hostkit.field.link import link_trial, read_stands, stands_of
from hostkit.field.survey import read_survey
from hostkit.field.walk import positions
from hostkit.field.zones import read_rounds, zones_trial
from hostkit.hub.adjust import trial_site
from hostkit.io.anchorlinks import Anchor, Link, LinksRecord
from hostkit.model import Site
from tests.field.shop import SITE, TRUTH, level_dbm, offsets, recorded, table, write

GROUND = ground_of(SITE)


# ---- link ----


def test_link_finds_level_exponent_and_offsets(tmp_path: Path) -> None:
    misses = []
    for seed in (1, 2, 3):
        stands, _ = read_stands(table(tmp_path, "link.csv", seed), SITE)
        trial = link_trial(SITE, stands, phone=True)
        found = {one.key: one.after for one in trial.changes}
        assert found["path_loss.exponent"] == pytest.approx(TRUTH.exponent, abs=0.5)
        assert found["path_loss.rssi_1m_dbm"] == pytest.approx(level_dbm(seed), abs=4.0)
        misses += [found[f"probes.{name}.offset_db"] - value for name, value in offsets(seed).items()]
        assert trial.held is not None
        assert trial.held.naive is not None
        assert trial.held.after < 0.6 * min(trial.held.before, trial.held.naive)
        assert trial.passed
    assert np.sqrt(np.mean(np.square(misses))) < 0.8 * 3.0


def exact(*stands: tuple[int, float], frames: int = 20) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = [(probe, distance, -50.0 - probe - 20.0 * np.log10(distance)) for probe, distance in stands]
    return np.repeat(np.array(rows), frames, axis=0)


def test_two_points_of_one_probe_are_enough_and_say_what_was_held_out() -> None:
    probe, distance, rssi = exact((2, 1.0), (2, 8.0)).T
    trial = link_trial(SITE, stands_of(probe.astype(int), distance, rssi, "x"), phone=True)
    assert trial.enough
    found = {one.key: one.after for one in trial.changes}
    assert found["path_loss.exponent"] == pytest.approx(2.0, abs=0.1)
    assert "path_loss.rssi_1m_dbm" not in found  # of one probe of six
    level = SITE.path_loss.rssi_1m_dbm + found["probes.probe-3.offset_db"]
    assert level == pytest.approx(-52.0, abs=1.0)
    assert [note.word for note in trial.weak] == ["not_measured", "two_points"]


@pytest.mark.parametrize(
    ("stands", "frames", "unmet"),
    [
        ([(0, 1.0)], 20, [("distances", 1, 2)]),
        ([(0, 2.0), (0, 3.0)], 20, [("distances", 1, 2)]),
        ([(0, 1.0), (0, 8.0)], 7, [("frames", 7, 20), ("distances", 0, 2)]),
    ],
)
def test_too_little_says_have_and_of(stands: list[tuple[int, float]], frames: int, unmet: object) -> None:
    probe, distance, rssi = exact(*stands, frames=frames).T
    trial = link_trial(SITE, stands_of(probe.astype(int), distance, rssi, "x"), phone=True)
    assert [(need.word, need.have, need.least) for need in trial.needs if not need.met] == unmet
    assert not trial.passed
    assert trial.held is None


def test_a_level_that_does_not_fall_fails() -> None:
    probe, distance, rssi = exact(*[(probe, distance) for probe in range(6) for distance in (1.0, 2.0, 4.0, 8.0)]).T
    trial = link_trial(SITE, stands_of(probe.astype(int), distance, np.full(len(rssi), -60.0), "x"), phone=True)
    assert not trial.passed
    assert "exponent" in [check.word for check in trial.checks if not check.passed]


@pytest.mark.parametrize(("name", "read"), [("link.csv", read_stands), ("zones.csv", read_rounds)])
def test_a_phone_that_changes_its_address_on_the_way_is_told(
    tmp_path: Path, name: str, read: Callable[[Path, Site], object]
) -> None:
    header, rows = recorded(1)[name]
    later = [
        (*row, "a" if number < 500 else "b") for number, row in enumerate(sorted(rows, key=lambda row: str(row[0])))
    ]
    with pytest.raises(InputError, match="the phone changed its address on the way") as refused:
        read(write(tmp_path / name, (*header, "device"), later), SITE)
    assert "carry a tag" in refused.value.next_step


# ---- anchors ----


def test_anchors_find_offsets_and_leave_the_level_alone(tmp_path: Path) -> None:
    misses = []
    for seed in (1, 2, 3, 4):
        links, _ = read_links_table(table(tmp_path, "anchors.csv", seed), GROUND)
        trial = anchors_trial(SITE, GROUND, links)
        found = {one.key: one.after for one in trial.changes}
        assert "path_loss.rssi_1m_dbm" not in found
        misses += [found.get(f"probes.{name}.offset_db", 0.0) - value for name, value in offsets(seed).items()]
    spread = np.std([value for seed in (1, 2, 3, 4) for value in offsets(seed).values()])
    assert np.sqrt(np.mean(np.square(misses))) < 0.85 * spread


def test_links_that_contradict_each_other_are_not_applied(tmp_path: Path) -> None:
    header, rows = recorded(1)["anchors.csv"]
    rng = np.random.default_rng(3)
    level = {row[1:3]: int(rng.integers(-95, -35)) for row in rows}
    links, _ = read_links_table(
        write(tmp_path / "a.csv", header, [(*row[:3], level[row[1:3]]) for row in rows]), GROUND
    )
    trial = anchors_trial(SITE, GROUND, links)
    assert not trial.passed
    assert not trial.improves


def test_two_probes_that_were_exchanged_are_named_by_their_links(tmp_path: Path) -> None:
    header, rows = recorded(1)["anchors.csv"]
    other = {"probe-2": "probe-5", "probe-5": "probe-2"}
    turned = [(row[0], *(other.get(str(one), one) for one in row[1:3]), row[3]) for row in rows]
    links, _ = read_links_table(write(tmp_path / "a.csv", header, turned), GROUND)
    with pytest.raises(InputError, match="probe-2 and probe-5 look exchanged"):
        anchors_trial(SITE, GROUND, links)


def test_too_few_pairs_and_unknown_probes(tmp_path: Path) -> None:
    header, rows = recorded(1)["anchors.csv"]
    few = [row for row in rows if "probe-1" in row[1:3]]
    links, _ = read_links_table(write(tmp_path / "a.csv", header, few), GROUND)
    trial = anchors_trial(SITE, GROUND, links)
    assert [(need.word, need.have, need.least) for need in trial.needs] == [("pairs", 5, 7)]
    _, remarks = read_links_table(write(tmp_path / "a.csv", header, [*rows, (0.0, "ghost", "probe-1", -50)]), GROUND)
    assert "1 readings of unknown probes, first 'ghost to probe-1'" in remarks[0]
    with pytest.raises(InputError, match="no link between probes of this floor"):
        read_links_table(write(tmp_path / "a.csv", header, [(0.0, "ghost", "probe-1", -50)]), GROUND)


def test_the_newest_night_with_links_is_taken() -> None:
    anchors = tuple(Anchor(id=name, floor="ground", position_m=(0.0, 0.0, 2.0)) for name in GROUND.names)
    links = (
        Link(sender="probe-1", receiver="probe-2", n=9, median_dbm=-60.0, mad_db=1.0),
        Link(sender="probe-1", receiver="gone", n=9, median_dbm=-60.0, mad_db=1.0),
        Link(sender="probe-2", receiver="probe-1", n=1, median_dbm=-60.0, mad_db=1.0),
    )
    nights = [
        LinksRecord(day=f"2026-03-1{at}", at_s=float(at), probes=anchors, links=links if at < 2 else ())
        for at in range(3)
    ]
    found, night = newest(GROUND, nights)
    assert night.day == "2026-03-11"
    assert (found.sender.tolist(), found.receiver.tolist()) == ([0], [1])
    assert len(links_of_record(GROUND, nights[2]).sender) == 0
    with pytest.raises(InputError, match="no night"):
        newest(GROUND, nights[2:])


# ---- zones ----


def test_zones_of_positions_show_what_is_taken_for_what(tmp_path: Path) -> None:
    rounds, _ = read_rounds(table(tmp_path, "zones.csv", every=3), SITE)
    trial = zones_trial(SITE, rounds)
    assert trial.enough
    assert {change.key for change in trial.changes} <= {"path_loss.sigma_db"}
    assert sum(map(sum, trial.confusion)) == len(rounds.zone)
    assert trial.held is not None
    assert trial.held.naive is not None
    assert trial.held.after < 0.8 * trial.held.naive
    assert "no_threshold" in {note.word for note in trial.weak}


@pytest.mark.parametrize(("sigma_db", "changed"), [(5.0, False), (15.0, True)])
def test_zones_of_positions_change_what_is_clearly_better(tmp_path: Path, sigma_db: float, changed: bool) -> None:
    rounds, _ = read_rounds(table(tmp_path, "zones.csv"), SITE)
    trial = zones_trial(replace(SITE, path_loss=replace(SITE.path_loss, sigma_db=sigma_db)), rounds)
    assert bool(trial.changes) == trial.improves == changed
    assert ("chance" in {note.word for note in trial.weak}) != changed
    assert all(one.after < 10.0 for one in trial.changes)


def test_a_probe_that_heard_nothing_in_any_zone_is_named(tmp_path: Path) -> None:
    header, rows = recorded(1)["zones.csv"]
    deaf = [row for row in rows[::3] if row[1] != "probe-3"]
    rounds, _ = read_rounds(write(tmp_path / "z.csv", header, deaf), SITE)
    first = zones_trial(SITE, rounds).weak[0]
    assert (first.word, first.values[0]) == ("probe_silent", "probe-3")


def rings(inside_dbm: float, outside_dbm: float, seed: int = 1) -> list[tuple[object, ...]]:
    """One probe: 4 rounds of 60 s each inside (`men`) and before the shop (`street`), a reading a second."""
    rng = np.random.default_rng(seed)
    where = [("men", inside_dbm), ("street", outside_dbm)] * 4
    return [
        (60.0 * number + second, "probe-1", round(float(rng.normal(level, 3.0)), 1), zone)
        for number, (zone, level) in enumerate(where)
        for second in range(60)
    ]


ONE = replace(SITE, probes=SITE.probes[:1])
HEADER = ("time_s", "anchor", "rssi_dbm", "zone")


def ringed(path: Path, site: Site = ONE) -> object:
    rounds, _ = read_rounds(path, site)
    return zones_trial(site, rounds)


def test_rings_lie_between_what_was_heard_inside_and_outside(tmp_path: Path) -> None:
    rounds, _ = read_rounds(write(tmp_path / "z.csv", HEADER, rings(-55.0, -63.0)), ONE)
    trial = zones_trial(ONE, rounds)
    assert trial.passed
    assert trial.improves
    found = {one.key: one.after for one in trial.changes}
    assert -62.0 <= found["rings.inside_dbm"] <= -56.0  # the product says -70: all inside
    assert [list(row) for row in trial.confusion] == [[24, 0], [0, 24]]


def test_inside_and_outside_alike_fail(tmp_path: Path) -> None:
    rounds, _ = read_rounds(write(tmp_path / "z.csv", HEADER, rings(-60.0, -60.0)), ONE)
    trial = zones_trial(ONE, rounds)
    assert not trial.passed
    assert not trial.improves


def test_zones_need_two_rounds_and_known_names(tmp_path: Path) -> None:
    once = [row for row in rings(-55.0, -63.0) if float(str(row[0])) < 120]
    rounds, _ = read_rounds(write(tmp_path / "z.csv", HEADER, once), ONE)
    unmet = [(need.of, need.word, need.have) for need in zones_trial(ONE, rounds).needs if not need.met]
    assert unmet == [("street", "rounds", 1), ("men", "rounds", 1)]
    with pytest.raises(InputError, match="there is no zone 'cellar'") as refused:
        read_rounds(write(tmp_path / "z.csv", HEADER, [*once, (999.0, "probe-1", -50, "cellar")]), ONE)
    assert refused.value.where.endswith("line 122")


# ---- held out means held out ----


def test_stands_are_tried_by_turns(tmp_path: Path) -> None:
    stands, _ = read_stands(table(tmp_path, "link.csv"), SITE)
    trial = link_trial(SITE, stands, phone=True)
    fit = fit_distances(stands.probe, stands.distance_m, stands.mean_dbm, len(SITE.probes), own_exponents=False)
    assert trial.held is not None
    assert trial.held.after > 1.2 * fit.sigma_db


def test_own_exponents_keep_their_levels() -> None:
    rng = np.random.default_rng(1)
    probe, distance = np.repeat([0, 1], 12), np.tile(np.geomspace(1, 20, 12), 2)
    exponent, level = np.array([2.0, 3.2])[probe], np.array([-50.0, -44.0])[probe]
    fit = fit_distances(probe, distance, level - 10 * exponent * np.log10(distance) + rng.normal(0, 0.3, 24), 2)
    assert [one.value for one in fit.rssi_1m_dbm] == pytest.approx([-50.0, -44.0], abs=1.0)
    assert [one.value for one in fit.exponent] == pytest.approx([2.0, 3.2], abs=0.1)
    for one, true in zip((*fit.rssi_1m_dbm, *fit.exponent), (-50.0, -44.0, 2.0, 3.2), strict=True):
        assert one.low is not None
        assert one.high is not None
        assert one.low - 0.2 < true < one.high + 0.2


def test_pairs_are_tried_by_turns(tmp_path: Path) -> None:
    ratios = []
    for seed in range(1, 7):
        links, _ = read_links_table(table(tmp_path, "anchors.csv", seed), GROUND)
        free = links.rssi_dbm + GROUND.losses_db(GROUND.places_m[:, :2])[links.sender, links.receiver]
        held = anchors_trial(SITE, GROUND, links).held
        assert held is not None
        ratios.append(held.after / fit_links(GROUND.places_m, links.sender, links.receiver, free).sigma_db)
    assert np.mean(ratios) > 1.25


def test_each_makes_positions_better_that_it_never_saw(tmp_path: Path) -> None:
    """Mean error over the walk's points, which neither anchors nor stands were part of; guessing the centre: 6.9 m."""
    errors = []
    for seed in (2, 3, 4):
        walk, _ = read_survey(table(tmp_path, "walk.csv", seed, every=3), GROUND)
        anchors = anchors_trial(SITE, GROUND, read_links_table(table(tmp_path, "anchors.csv", seed), GROUND)[0])
        link = link_trial(SITE, read_stands(table(tmp_path, "link.csv", seed), SITE)[0], phone=True)
        sites = (SITE, *(trial_site(SITE, trial.changes) for trial in (anchors, link)))
        found = [positions(site, GROUND, walk.rssi_dbm, walk.frames) for site in sites]
        errors.append([float(np.hypot(*(one - walk.place_m).T).mean()) for one in found])
    before, by_anchors, by_link = np.mean(errors, axis=0)
    assert by_anchors < 0.95 * before
    assert by_link < 0.8 * before
    assert by_link < 3.0
