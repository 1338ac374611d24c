"""Which probe heard which capture."""

from pathlib import Path

import pytest

from hostkit.errors import ConfigError
from hostkit.hub.probes import MAX_ID_LENGTH, name_probes, overlapping, slug
from hostkit.hub.survey import Survey, survey
from hostkit.model import Probe, Site
from tests.builders import KEY
from tests.crowd import crowd, overhear, save, shifted

FRAMES = overhear(crowd(1, phones=3, minutes=20))
SITE = Site(tenant="t", site="s", time_zone="UTC", probes=(Probe(id="door"), Probe(id="till")))


def surveys(root: Path, starts_s: dict[str, float]) -> list[Survey]:
    paths = [save(root / name, shifted(FRAMES, second)) for name, second in starts_s.items()]
    return [survey(path, KEY, 0, lambda read: None) for path in paths]


def test_captures_that_follow_each_other_are_one_probe(tmp_path: Path) -> None:
    found = surveys(tmp_path, {"monday.pcap": 0, "tuesday.pcap": 86_400})
    assert name_probes(found, {}, None) == ("probe", "probe")
    assert overlapping(found) is None


def test_captures_that_overlap_are_named_by_their_folder_on_every_day(tmp_path: Path) -> None:
    found = surveys(
        tmp_path,
        {"Position 1/a.pcap": 0, "position_2/a.pcap": 5, "Position 1/b.pcap": 86_400, "position_2/c.pcap": 86_400},
    )
    assert name_probes(found, {}, None) == ("position-1", "position-2", "position-1", "position-2")


def test_captures_of_one_folder_that_overlap_are_named_by_file(tmp_path: Path) -> None:
    found = surveys(tmp_path, {"x/Door.pcap": 0, "x/till.pcap": 0, "y/till.pcap": 0})
    assert name_probes(found, {}, None) == ("door", "till", "till-2")


def test_a_given_name_stays(tmp_path: Path) -> None:
    found = surveys(tmp_path, {"a.pcap": 0, "b.pcap": 0})
    assert name_probes(found, {found[0].path: "door"}, None) == ("door", "probe")


def test_seams_of_seconds_do_not_overlap(tmp_path: Path) -> None:
    length_s = (FRAMES[-1].time_us - FRAMES[0].time_us) / 1e6
    assert overlapping(surveys(tmp_path, {"a.pcap": 0, "b.pcap": length_s - 9})) is None
    assert overlapping(surveys(tmp_path, {"a.pcap": 0, "b.pcap": length_s - 11})) is not None


def test_an_overlap_behind_a_shorter_capture_is_found(tmp_path: Path) -> None:
    found = surveys(tmp_path, {"a.pcap": 0, "c.pcap": 900})
    long = surveys(tmp_path, {"long.pcap": 0})
    short = save(tmp_path / "short.pcap", FRAMES[:50])
    assert overlapping([*long, survey(short, KEY, 0, lambda read: None), found[1]]) is not None


@pytest.mark.parametrize("name", ["door.pcap", "Door.pcapng", "door/monday.pcap"])
def test_the_probe_of_a_site_is_found_by_file_or_folder(tmp_path: Path, name: str) -> None:
    assert name_probes(surveys(tmp_path, {name: 0}), {}, SITE) == ("door",)


def test_a_site_with_one_probe_needs_no_name(tmp_path: Path) -> None:
    site = Site(tenant="t", site="s", time_zone="UTC", probes=(Probe(id="window"),))
    found = surveys(tmp_path, {"monday.pcap": 0, "tuesday.pcap": 86_400})
    assert name_probes(found, {}, site) == ("window", "window")
    with pytest.raises(ConfigError, match="--probe ID=FILE, ID one of: window"):
        name_probes(surveys(tmp_path, {"a.pcap": 0, "b.pcap": 0}), {}, site)


def test_a_probe_the_site_does_not_know_is_refused(tmp_path: Path) -> None:
    found = surveys(tmp_path, {"a.pcap": 0})
    with pytest.raises(ConfigError, match="no probe 'attic'; use one of: door, till"):
        name_probes(found, {found[0].path: "attic"}, SITE)


def test_ids_are_clean() -> None:
    assert slug("Obergeschoß_2 (alt)") == "obergescho-2-alt"
    assert slug("---") == "probe"
    assert len(slug("x" * 99)) == MAX_ID_LENGTH
