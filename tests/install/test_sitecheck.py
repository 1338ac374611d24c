"""What an installer would see on the plan before drilling: each fault is found where it is, a good shop has none."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from hostkit.config import dump_site, parse_site
from hostkit.install.check_radio import REGIONS, region_of
from hostkit.install.findings import Level
from hostkit.install.sitecheck import check_site
from hostkit.model import OpeningHours, Probe, Site, Wall, ZoneKind
from hostkit.sim.plan import default_site
from tests.cli.command import footfall, refused

ROOT = Path(__file__).parents[2]
GOOD = default_site(6)
FLOOR = GOOD.floors[0]


def said(site: Site, folder: Path = ROOT) -> list[str]:
    """What is found; the site must be one that the strict reader takes."""
    assert parse_site(dump_site(site), "x") == site
    return [f"{finding.level}: {finding}" for finding in check_site(site, folder).findings]


def places(*at: tuple[float, ...]) -> Site:
    """The good shop with probes at other places, 2.5 m high where no height is given."""
    probes = tuple(
        Probe(id=f"p{index}", floor="ground", position_m=(x, y, rest[0] if rest else 2.5))
        for index, (x, y, *rest) in enumerate(at)
    )
    return replace(GOOD, probes=probes)


def zone(id_: str, **changes: object) -> Site:
    zones = tuple(replace(one, **changes) if one.id == id_ else one for one in GOOD.zones)  # type: ignore[arg-type]
    return replace(GOOD, zones=zones)


def probe(**changes: object) -> Site:
    first = replace(GOOD.probes[0], **changes)  # type: ignore[arg-type]
    return replace(GOOD, probes=(first, *GOOD.probes[1:]))


def every(**changes: object) -> Site:
    return replace(GOOD, probes=tuple(replace(one, **changes) for one in GOOD.probes))  # type: ignore[arg-type]


def box(x0: float, y0: float, x1: float, y1: float) -> tuple[tuple[float, float], ...]:
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


SPREAD = ((3.5, 6.5), (22.5, 6.5), (22.5, 20.5), (3.5, 20.5))
FAULTS: dict[str, tuple[Site, str]] = {
    "no probes": (replace(GOOD, probes=()), "problem: probes: there are none; place some"),
    "two": (places(*SPREAD[:2]), "advice: floor ground: 2 placed: presence and rings only, no positions"),
    "one wall": (
        places((4, 6.3), (12, 6.3), (22, 6.5)),
        "problem: floor ground: p0, p1, p2 are on one wall: which side of it a phone is on cannot be told",
    ),
    "a line": (places((4, 7), (10, 12), (17, 18)), "problem: floor ground: p0, p1, p2 are in a line"),
    "little enclosed": (
        places((4, 7), (9, 7), (9, 12), (4, 12)), "lies between the probes; positions beyond them are drawn inwards",
    ),
    "too close": (places(*SPREAD, (4.5, 6.5)), "advice: probes[0].position_m: p0 and p4 are 1.0 m apart"),
    "the same place": (places(*SPREAD, (3.5, 6.5)), "problem: probes[0].position_m: p0 and p4 are 0.0 m apart"),
    "low": (places(*SPREAD[:3], (3.5, 20.5, 0.8)), "advice: probes[3].position_m (p3): is 0.8 m high, behind people"),
    "high": (places(*SPREAD[:3], (3.5, 20.5, 8)), "is 8 m high: all below is about equally far"),
    "centimetres": (places(*SPREAD[:3], (3.5, 20.5, 250)), "problem: probes[3].position_m (p3): is 250 m above"),
    "outside": (places(*SPREAD, (1.0, 2.0)), "advice: probes[4].position_m (p4): is 4.5 m outside the shop; swap x"),
    "not placed": (
        replace(GOOD, probes=(*GOOD.probes, Probe(id="spare"))), "advice: probes[6] (spare): has no place",
    ),
    "deaf": (every(floor_dbm=-62.0), "problem: floor ground: three probes hear a phone (9 frames of 10) in "),
    "no walls": (
        replace(GOOD, floors=(replace(FLOOR, walls=()),)), "advice: floors[0].walls: no walls are drawn",
    ),
    "blind": (
        replace(GOOD, path_loss=replace(GOOD.path_loss, sigma_db=25.0)), "positions say next to nothing; add probes",
    ),
    "inexact": (replace(GOOD, path_loss=replace(GOOD.path_loss, sigma_db=12.0)), "m on average, worst at ["),
    "overlap": (
        zone("men", polygon_m=box(8, 12, 17.5, 20.5)),
        "problem: zones[4].polygon_m: women and men share 17.0 m²: a visit there counts in both; move",
    ),
    "small": (zone("till", polygon_m=box(18, 7, 19, 8)), "advice: zones[7] (till): is 1.0 m across, a position there"),
    "sales in the street": (zone("shoes", polygon_m=box(18, 1, 22, 4)), "problem: zones[6] (shoes): is sales, but "),
    "street indoors": (zone("street", polygon_m=box(11, 8, 17, 11)), "problem: zones[0] (street): is street, but 100%"),
    "zone unheard": (every(floor_dbm=-55.0), "problem: zones[6] (shoes): three probes hear "),
    "no door": (zone("door", kind=ZoneKind.WINDOW), "advice: floor ground: no zone of kind door"),
    "no street": (
        replace(GOOD, zones=GOOD.zones[1:]), "advice: floor ground: no zone of kind street: passers-by have no place",
    ),
    "no zones": (replace(GOOD, zones=()), "advice: floor ground: no zones: figures are of the shop as a whole"),
    "5 GHz": (probe(channels=(1, 36)), "problem: probes[0].channels (probe-1): channel 36 is in the 5 GHz band"),
    "region": (probe(channels=(1, 13, 14)), "problem: probes[0].channels (probe-1): channel 14 is not used in Europe/"),
    "in step": (probe(dwell_ms=250), "advice: probes[0].dwell_ms (probe-1): 250 ms keep step with a phone's sweep"),
    "long round": (probe(dwell_ms=5000), "advice: probes[0].dwell_ms (probe-1): comes back to a channel after 15.0 s"),
    "rare channel": (probe(channels=(1, 6, 11, 3)), "advice: floor ground: channel 3 is heard by fewer than 3 probes"),
    "nothing together": (
        replace(GOOD, probes=tuple(replace(p, channels=(i + 1,)) for i, p in enumerate(GOOD.probes))),
        "problem: floor ground: no channel is heard by 3 probes",
    ),
    "BLE alone": (every(channels=()), "advice: probes: no probe listens to Wi-Fi"),
    "never open": (replace(GOOD, opening_hours=OpeningHours()), "advice: opening_hours: closed all week"),
    "no floor": (
        replace(GOOD, floors=(), zones=(), probes=(Probe(id="p"),)), "advice: floors: there are none: presence only",
    ),
    "plan missing": (
        replace(GOOD, floors=(replace(FLOOR, plan="no.png"),)), "problem: floors[0].plan: no.png cannot be read",
    ),
}  # fmt: skip


def test_a_good_shop_has_no_problem() -> None:
    report = check_site(GOOD, ROOT)
    assert report.problems == 0
    assert [f for f in said(GOOD) if "zones[" not in f] == []  # small zones are told of
    assert report.floors[0].covered_share == 1.0
    assert report.floors[0].error_m == pytest.approx(3.8, abs=0.3)
    assert (report.floors[0].probes, report.floors[0].walls, report.floors[0].zones) == (6, len(FLOOR.walls), 9)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_where_it_is(fault: str) -> None:
    site, expected = FAULTS[fault]
    found = said(site)
    assert any(expected in line for line in found), found
    assert not any(expected in line for line in said(GOOD))
    assert all(line.count("; ") >= 1 and "\n" not in line for line in found)


def test_a_stretched_plan_is_found_and_one_that_fits_is_not(tmp_path: Path) -> None:
    Image.new("L", (1300, 1100)).save(tmp_path / "plan.png")
    fits = replace(GOOD, floors=(replace(FLOOR, plan="plan.png"),))  # on bounds_m: 26 × 22 m
    assert not [line for line in said(fits, tmp_path) if "plan" in line]
    stretched = replace(GOOD, floors=(replace(FLOOR, plan="plan.png", plan_m=(0.0, 0.0, 26.0, 20.0)),))
    assert [line for line in said(stretched, tmp_path) if "plan_m would stretch it by 1.10" in line]


def test_walls_are_what_makes_a_corner_deaf() -> None:
    """The same probes without a vault around the till: nothing to remark."""
    vault = tuple(
        Wall(from_m=a, to_m=b, loss_db=60.0)
        for a, b in zip(box(18, 6.5, 22.5, 10), box(18, 6.5, 22.5, 10)[1:] + box(18, 6.5, 22.5, 10)[:1], strict=True)
    )
    site = replace(GOOD, floors=(replace(FLOOR, walls=(*FLOOR.walls, *vault)),))
    assert [line for line in said(site) if "zones[7] (till): three probes hear 0%" in line]


def test_regions_are_the_firmwares() -> None:
    hop = (ROOT / "firmware" / "sensor" / "hop.py").read_text()
    table = hop[hop.index("REGIONS = {") + len("REGIONS = ") : hop.index("class Hop")]
    assert dict(REGIONS) == ast.literal_eval(table)
    places_ = ("Europe/Berlin", "Asia/Tokyo", "Asia/Shanghai", "America/Lima", "Asia/Seoul")
    assert [region_of(place) for place in places_] == ["eu", "jp", "cn", "us", "world"]


def test_by_command(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(dump_site(GOOD))
    done = footfall("site", "check", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("floor ground: 6 probes, 9 zones, 17 walls; three probes hear 100% of it, predicted")
    path.write_text(dump_site(FAULTS["one wall"][0]))
    done = footfall("site", "check", "--site", path, "--json")
    assert done.returncode == 7
    report = json.loads(done.stdout)
    assert report["problems"] == sum(one["level"] == Level.PROBLEM for one in report["findings"]) > 0
    assert set(report["findings"][0]) == {"level", "where", "what", "next_step"}
    path.write_text(dump_site(replace(GOOD, floors=(), zones=(), probes=(Probe(id="p"),))))
    assert footfall("site", "check", path).returncode == 0
    refused(footfall("site", "check", path, "--site", path), 2, "FILE and --site: are the same thing; give one")
    path.write_text("tenant = 5")
    refused(footfall("site", "check", path), 4, "tenant: is a whole number, needs text")
    refused(footfall("site", "check", tmp_path / "none"), 4, "cannot be read|cannot read")
