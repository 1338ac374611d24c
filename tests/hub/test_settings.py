"""site.toml changed by commands: whole or not at all, comments kept, every version kept, the way back open."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.config import dump_site, parse_site
from hostkit.config.edit import Tree, changed, tree_of, with_site
from hostkit.errors import ConfigError, StorageError, UsageError
from hostkit.hub.settings import (
    MAX_VERSIONS,
    adopt,
    change,
    config_hash,
    kept_until_restart,
    roll_back,
    taken_over,
    version_of,
    versions,
)
from hostkit.model import Privacy, PrivacyMode, Probe, Site, Thresholds, Zone, ZoneKind
from hostkit.sim.plan import default_site

SHOP = default_site(4)
BY_HAND = """\
# our shop
tenant = "acme"   # the chain
site = "main"
time_zone = "Europe/Berlin"

[thresholds]  # agreed with the manager
bounce_s = 45.0  # we are quick

[[floors]]
id = "g"
bounds_m = [0, 0, 30, 20]
interior_m = [[0, 0], [30, 0], [30, 20], [0, 20]]

# two zones
[[zones]]
id = "till"  # beside the door
floor = "g"
polygon_m = [[0, 0], [5, 0], [5, 4]]

[[zones]]
id = "men"
floor = "g"
polygon_m = [[10, 0], [15, 0], [15, 4]]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(BY_HAND)
    return path


def quicker(site: Site) -> Site:
    return replace(site, thresholds=replace(site.thresholds, bounce_s=30.0))


def test_a_change_keeps_what_people_wrote_and_both_versions(path: Path) -> None:
    version, site = change(path, quicker, by="command t-1", at_s=1_773_486_300)
    assert version.number == 2
    assert site.thresholds.bounce_s == 30.0
    assert path.read_text() == BY_HAND.replace("45.0", "30.0")
    assert [(one.number, one.by, one.text) for one in versions(path)] == [
        (1, "hand", BY_HAND),
        (2, "command t-1", path.read_text()),
    ]


def test_a_rollback_is_a_version_and_gives_the_very_text_back(path: Path) -> None:
    change(path, quicker, by="a", at_s=1)
    version, site = roll_back(path, 1, by="b", at_s=2)
    assert (version.number, site) == (3, parse_site(BY_HAND, "x"))
    assert path.read_text() == BY_HAND
    roll_back(path, 2, by="c", at_s=3)
    assert [one.number for one in versions(path)] == [1, 2, 3, 4]
    with pytest.raises(UsageError, match="there is no version 9; 1 to 4 are kept"):
        roll_back(path, 9, by="d", at_s=4)


def test_what_was_changed_by_hand_in_between_is_a_version_too(path: Path) -> None:
    change(path, quicker, by="a", at_s=1)
    mine = path.read_text() + "\n[rings]\nnear_dbm = -85.0\n"
    path.write_text(mine)
    assert adopt(path, at_s=2).rings.near_dbm == -85.0
    assert [(one.number, one.by) for one in versions(path)] == [(1, "hand"), (2, "a"), (3, "hand")]
    change(path, quicker, by="b", at_s=3)
    assert version_of(path, 3).text == mine
    assert "near_dbm = -85.0" in path.read_text()


@pytest.mark.parametrize(
    ("make", "where", "what"),
    [
        (lambda t: t["thresholds"].update(bounse_s=3), "thresholds.bounse_s", "unknown key"),
        (lambda t: t["thresholds"].update(bounce_s=1000), "thresholds.bounce_s", "is not below thresholds.deep_s"),
        (lambda t: t["zones"][1].update(id="till"), "zones[1].id", "is also the id of zones"),
        (lambda t: t["zones"][0].update(polygon_m=[[0, 0], [99, 0], [5, 4]]), "zones[0].polygon_m", "outside floor"),
        (lambda t: t.update(privacy={"mode": "none"}), "privacy.mode", "not one of its values"),
    ],
)
def test_a_bad_one_is_refused_whole_with_the_path_to_the_key(path: Path, make, where: str, what: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as caught:
        change(path, lambda site: changed(site, make, "site.toml"), by="a", at_s=1)
    assert where in caught.value.where
    assert what in caught.value.what
    assert path.read_text() == BY_HAND
    assert versions(path) == ()


def test_a_full_disk_changes_nothing(path: Path) -> None:
    (path.with_name("site.history")).mkdir()
    (path.with_name("site.history") / "000002.toml").mkdir()  # nothing can be written in its place
    with pytest.raises(StorageError):
        change(path, quicker, by="a", at_s=1)
    assert path.read_text() == BY_HAND


def test_history_is_bounded_and_passes_over_what_is_not_its_own(path: Path) -> None:
    for number in range(MAX_VERSIONS + 5):
        change(path, lambda site, n=number: replace(site, name=f"n{n}"), by="a", at_s=1)  # type: ignore[misc]
    kept = versions(path)
    assert len(kept) == MAX_VERSIONS
    assert kept[-1].number == MAX_VERSIONS + 6
    folder = path.with_name("site.history")
    (folder / "notes.toml").write_text("x")
    (folder / "000001.toml").write_text("no header\n")
    assert versions(path) == kept


def test_changes_at_once_are_all_there(path: Path) -> None:
    def add(number: int) -> None:
        zone = Zone(id=f"z{number}", floor="g", polygon_m=((20.0, 0.0), (25.0, 0.0), (25.0, 4.0)))
        change(path, lambda site: replace(site, zones=(*site.zones, zone)), by=f"{number}", at_s=number)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(adopt(path, at_s=9).zones) == 10
    assert [one.number for one in versions(path)] == list(range(1, 10))


def test_what_a_running_hub_keeps_until_its_next_start() -> None:
    wanted = replace(
        SHOP,
        time_zone="Asia/Shanghai",
        probes=SHOP.probes[1:],
        privacy=Privacy(mode=PrivacyMode.ANONYMOUS_5MIN, rotation_hour=3),
        name="new",
    )
    assert kept_until_restart(SHOP, wanted) == ("time_zone", "privacy.rotation_hour", "probes")
    taken = taken_over(SHOP, wanted)
    assert kept_until_restart(SHOP, taken) == ()
    assert (taken.name, taken.privacy.mode) == ("new", PrivacyMode.ANONYMOUS_5MIN)
    moved = replace(SHOP, probes=(replace(SHOP.probes[0], channels=(6,)), *SHOP.probes[1:]))
    assert taken_over(SHOP, moved) == moved
    assert len({config_hash(site) for site in (SHOP, wanted, taken, moved)}) == 4


zones = st.builds(
    Zone,
    id=st.sampled_from(["till", "men", "women", "shoes"]),
    floor=st.just("g"),
    polygon_m=st.sampled_from([((0.0, 0.0), (5.0, 0.0), (5.0, 4.0)), ((10.0, 0.0), (15.0, 0.0), (15.0, 4.0))]),
    kind=st.sampled_from(ZoneKind),
    category=st.none() | st.just("shoes"),
)
sites = st.builds(
    replace,
    st.just(parse_site(BY_HAND, "x")),
    name=st.sampled_from(["", "Main Street"]),
    zones=st.lists(zones, unique_by=lambda zone: zone.id, max_size=4).map(tuple),
    probes=st.lists(st.builds(Probe, id=st.sampled_from("ab")), unique_by=lambda p: p.id, max_size=2).map(tuple),
    thresholds=st.builds(Thresholds, bounce_s=st.sampled_from([30.0, 45.0, 60.0])),
    privacy=st.builds(Privacy, mode=st.sampled_from([PrivacyMode.ANONYMOUS_5MIN, PrivacyMode.PSEUDONYM_24H])),
)


@settings(max_examples=60, deadline=None)
@given(sites, sites, st.booleans())
def test_any_text_can_be_made_to_mean_any_site(first: Site, second: Site, dumped: bool) -> None:
    text = dump_site(first) if dumped else with_site(BY_HAND, first, "x")
    assert parse_site(text, "x") == first
    assert parse_site(with_site(text, second, "x"), "x") == second
    assert with_site(text, first, "x") == text


def test_a_comment_survives_where_its_line_does() -> None:
    def fewer(tree: Tree) -> None:
        zones = tree["zones"]
        assert isinstance(zones, list)
        zones.pop()

    site = parse_site(BY_HAND, "x")
    text = with_site(BY_HAND, changed(site, fewer, "x"), "x")
    assert '# two zones\n[[zones]]\nid = "till"  # beside the door' in text
    assert "men" not in text
    assert tree_of(parse_site(text, "x"))["zones"] == tree_of(site)["zones"][:1]  # type: ignore[index]
