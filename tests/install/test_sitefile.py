"""A first site.toml: any side for the door, any size, always one that the strict reader takes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hostkit.config import dump_site, load_site, parse_site
from hostkit.config.keys import WEEKDAYS
from hostkit.core.zones import area_m2, inside
from hostkit.errors import UsageError
from hostkit.install.picture import Placed, read_picture
from hostkit.install.sitefile import SIDES, Answers, Side, draft, hours_of, size_of, slug, write_draft
from hostkit.model import ZoneKind

BASE = Answers(
    name="Acme", tenant="acme", site="main", time_zone="Europe/Berlin", hours=hours_of("daily 9-20"), shop_m=(20, 15),
    entrance="bottom", probes=4,
)  # fmt: skip


def answers(**changes: object) -> Answers:
    return Answers(**{name: changes.get(name, getattr(BASE, name)) for name in Answers.__slots__})


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from(SIDES),
    st.tuples(st.floats(7, 60), st.floats(7, 40)),
    st.integers(1, 4),
    st.floats(1, 50),
    st.none() | st.floats(2, 20),
)
def test_every_answer_gives_a_site_the_reader_takes(
    side: Side, shop: tuple[float, float], probes: int, street: float, ceiling: float | None
) -> None:
    shop = (round(shop[0], 2), round(shop[1], 2))
    site = draft(answers(entrance=side, shop_m=shop, probes=probes, street_m=street, ceiling_m=ceiling))
    floor = site.floors[0]
    assert len(site.probes) == probes
    places = np.array([probe.position_m for probe in site.probes])
    assert inside(places[:, :2], floor.interior_m).all()
    kinds = {zone.kind: zone for zone in site.zones}
    assert set(kinds) == {ZoneKind.STREET, ZoneKind.DOOR, ZoneKind.SALES}
    middle = np.mean(kinds[ZoneKind.STREET].polygon_m, axis=0)
    assert not inside(middle[None], floor.interior_m).any()
    inner = area_m2(kinds[ZoneKind.SALES].polygon_m)
    assert 0 < area_m2(floor.interior_m) - inner < area_m2(kinds[ZoneKind.DOOR].polygon_m)


def test_a_kiosk_has_no_room_for_four_probes() -> None:
    assert len(draft(answers(shop_m=(2, 2.5), probes=1)).probes) == 1
    with pytest.raises(UsageError, match=r"no room for so many probes 2 m apart; ask for fewer"):
        draft(answers(shop_m=(2, 2.5)))


def test_the_door_is_where_the_entrance_is() -> None:
    for side, inward in zip(SIDES, ((0, 1), (0, -1), (1, 0), (-1, 0)), strict=True):
        site = draft(answers(entrance=side))
        street, door, _ = (np.mean(zone.polygon_m, axis=0) for zone in site.zones)
        way = (door - street) / np.linalg.norm(door - street)
        np.testing.assert_allclose(way, inward, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "monday", "saturday", "sunday"),
    [
        ("mon-sat 09:00-20:00; sun closed", ((540, 1200),), ((540, 1200),), ()),
        ("daily 10-22", ((600, 1320),), ((600, 1320),), ((600, 1320),)),
        ("Mon-Fri 9-12:30 14-18; sat,sun 10:00-13:00", ((540, 750), (840, 1080)), ((600, 780),), ((600, 780),)),
        ("fri-mon 18:00-02:00", ((1080, 1560),), ((1080, 1560),), ((1080, 1560),)),
        ("daily 09:00-24:00; sunday closed", ((540, 1440),), ((540, 1440),), ()),
    ],
)
def test_opening_hours_as_people_write_them(text: str, monday: object, saturday: object, sunday: object) -> None:
    days = hours_of(text).days
    assert (days[0], days[5], days[6]) == (monday, saturday, sunday)


@pytest.mark.parametrize("text", ["", "9-20", "mon", "mon 9", "mun 9-20", "mon 25-26", "mon 9:99-10", "mon-xyz 9-10"])
def test_hours_that_say_nothing_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="mon-fri 09:00-20:00"):
        hours_of(text)


def test_hours_the_reader_refuses_are_refused_before_anything_is_written() -> None:
    with pytest.raises(UsageError, match=r"opening_hours\.monday"):
        draft(answers(hours=hours_of("daily 9-20 19-22")))


@pytest.mark.parametrize("text", ["", "20", "20x", "1x15", "20x301", "axb", "20x15x3", "-20x15"])
def test_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="20x15"):
        size_of(text)


def test_sizes_and_names() -> None:
    assert [size_of(text) for text in ("20x15", "20.5 x 15 m", "20m×15m")] == [(20, 15), (20.5, 15), (20, 15)]
    assert slug("Acme, Main Street!") == "acme-main-street"
    assert slug("上海") == ""
    assert slug("x" * 31 + " yz") == "x" * 31


def test_written_once_with_the_plan_beside_it(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    Image.new("L", (1000, 800)).save(there / "Plan 1.PNG")
    placed = Placed(picture=read_picture(there / "Plan 1.PNG"), metres_per_px=0.02, left_px=0, bottom_px=800)
    site = draft(answers(plan=placed, shop_m=(20, 16)))
    path = tmp_path / "shop" / "site.toml"
    assert write_draft(site, path, placed) == (path, path.parent / "Plan 1.png")
    assert load_site(path) == site
    assert load_site(path).floors[0].plan_m == (0, 0, 20, 16)
    assert (path.parent / "Plan 1.png").read_bytes() == (there / "Plan 1.PNG").read_bytes()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        write_draft(draft(answers(name="Other")), path, None)
    other = tmp_path / "shop" / "other.toml"
    with pytest.raises(UsageError, match=r"Plan 1\.png: is there already"):
        write_draft(site, other, placed)  # another's plan is not written over either
    assert path.read_bytes() == before
    assert not other.exists()


def test_every_key_is_commented() -> None:
    text = dump_site(draft(BASE))
    keys = [line for line in text.splitlines() if " = " in line and not line.startswith(("#", " "))]
    seen = set()
    for line in keys:
        key = line.split(" = ")[0]
        if key not in seen and key not in (*WEEKDAYS, "walls"):
            assert "  # " in line, line
        seen.add(key)
    assert parse_site(text, "x") == draft(BASE)
