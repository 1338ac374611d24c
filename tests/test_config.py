"""site.toml: what is right loads and dumps; every kind of mistake gives its own complete line."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.config import dump_site, load_site, parse_site
from hostkit.config.keys import CHANNELS_2G4, CHANNELS_5G
from hostkit.errors import ConfigError, ExitCode
from hostkit.model import (
    DateHours,
    Floor,
    OpeningHours,
    PathLoss,
    Privacy,
    PrivacyMode,
    Probe,
    Site,
    Thresholds,
    Wall,
    Zone,
    ZoneKind,
)

GOOD = """
tenant = "acme"
site = "shop-12"
time_zone = "Europe/Berlin"

[opening_hours]
monday = ["14:00-18:30", "09:00-12:30"]
saturday = ["18:00-02:00"]
dates = { 2026-12-25 = [], 2026-12-24 = ["10:00-24:00"] }

[[floors]]
id = "ground"
bounds_m = [0, -6, 30, 20]
interior_m = [[0, 0], [30, 0], [30, 20], [0, 20]]
walls = [{ from_m = [10, 0], to_m = [10, 8] }]

[[zones]]
id = "till"
floor = "ground"
polygon_m = [[0, 0], [5, 0], [5, 4]]
kind = "till"

[[zones]]
id = "shoes"
floor = "ground"
polygon_m = [[6, 0], [9, 0], [9, 4], [6, 4]]
category = "女鞋"

[[probes]]
id = "probe-1"
floor = "ground"
position_m = [2, 3, 2.5]
channels = [1, 36]

[rings]
inside_dbm = -65

[thresholds]
deep_s = 600

[privacy]
mode = "anonymous_5min"
"""


def test_a_site_loads_with_its_types_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("\ufeff" + GOOD, "utf-8")
    site = load_site(path)
    assert (site.tenant, site.site, site.name) == ("acme", "shop-12", "")
    assert site.opening_hours.days[0] == ((540, 750), (840, 1110))
    assert site.opening_hours.days[5] == ((1080, 1560),)
    assert site.opening_hours.days[6] == ()
    assert site.opening_hours.dates == (
        DateHours(date=date(2026, 12, 24), open=((600, 1440),)),
        DateHours(date=date(2026, 12, 25)),
    )
    assert site.floors[0].bounds_m == (0.0, -6.0, 30.0, 20.0)
    assert isinstance(site.floors[0].bounds_m[0], float)
    assert site.floors[0].walls == (Wall(from_m=(10.0, 0.0), to_m=(10.0, 8.0), loss_db=6.0),)
    assert site.zones[0].kind is ZoneKind.TILL
    assert site.zones[1].category == "女鞋"
    assert site.probes[0] == Probe(id="probe-1", floor="ground", position_m=(2.0, 3.0, 2.5), channels=(1, 36))
    assert site.privacy == Privacy(mode=PrivacyMode.ANONYMOUS_5MIN)
    assert site.thresholds == Thresholds(deep_s=600.0)
    assert site.path_loss == PathLoss()


def test_three_lines_are_a_site() -> None:
    assert parse_site('tenant = "a"\nsite = "b"\ntime_zone = "UTC"', "x") == Site(tenant="a", site="b", time_zone="UTC")


POLYGON = "[[0, 0], [5, 0], [5, 4]]"
LONG = "a" * 33
# (what is replaced in GOOD, by what, the whole line of the error after "site.toml: ")
MISTAKES = [
    (
        "tenant =",
        "tenant",
        "not TOML: Expected '=' after a key in a key/value pair (at line 2, column 8); correct that line",
    ),
    ('tenant = "acme"', "", 'tenant: is missing; add tenant = "acme"'),
    ('tenant = "acme"', "tenant = 7", 'tenant: is a whole number, needs text; write it as tenant = "acme"'),
    ('tenant = "acme"', "tenant = 2026-01-01", 'tenant: is a date or time, needs text; write it as tenant = "acme"'),
    ('"acme"', '"Acme"', 'tenant: "Acme" is not 1 to 32 of a-z, 0-9 and -; write it as tenant = "acme"'),
    ('"acme"', '""', 'tenant: "" is not 1 to 32 of a-z, 0-9 and -; write it as tenant = "acme"'),
    ('"acme"', f'"{LONG}"', f'tenant: "{LONG}" is not 1 to 32 of a-z, 0-9 and -; write it as tenant = "acme"'),
    ('"acme"', '"a\\n"', 'tenant: "a?" is not 1 to 32 of a-z, 0-9 and -; write it as tenant = "acme"'),
    ("tenant =", "tenat =", "tenat: unknown key; did you mean tenant? (and 1 more)"),
    ("kind =", "kid =", "zones[0].kid: unknown key; did you mean kind?"),
    (
        "deep_s",
        '"x\\u001b[31m"',
        "thresholds.x?[31m: unknown key; remove it; known here: visit_timeout_s, reentry_s, entrant_min_s, bounce_s, "
        "deep_s, deep_zones, window_stop_s, passage_s",
    ),
    (
        "Berlin",
        "Bern",
        'time_zone: time zone "Europe/Bern" is unknown; use a name like Europe/Berlin or Asia/Shanghai',
    ),
    (
        "Europe/Berlin",
        "../../etc",
        'time_zone: time zone "../../etc" is unknown; use a name like Europe/Berlin or Asia/Shanghai',
    ),
    ("[rings]", "[[rings]]", "rings: is a list, needs a table; write it as a [rings] table"),
    ("[[floors]]", "[floors]", "floors: is a table, needs a list; write each as a [[floors]] table"),
    (
        "bounds_m = [0, -6, 30, 20]",
        "bounds_m = [0, -6, 30]",
        "floors[0].bounds_m: has 3 numbers, needs 4; write it as bounds_m = [0.0, -6.0, 30.0, 20.0]",
    ),
    (
        "[0, -6, 30, 20]",
        "[30, -6, 0, 20]",
        "floors[0].bounds_m: [30.0, -6.0, 0.0, 20.0] has no area; write x_min, y_min, x_max, y_max in metres",
    ),
    (
        "[0, -6, 30, 20]",
        "[0, -6, nan, 20]",
        "floors[0].bounds_m[2]: nan is not in -10000..10000; write it as bounds_m = [0.0, -6.0, 30.0, 20.0]",
    ),
    (
        "[0, -6, 30, 20]",
        "[0, -6, 30, inf]",
        "floors[0].bounds_m[3]: inf is not in -10000..10000; write it as bounds_m = [0.0, -6.0, 30.0, 20.0]",
    ),
    (
        "[0, -6, 30, 20]",
        "[0, -6, 30, true]",
        "floors[0].bounds_m[3]: is true or false, needs a number; write it as bounds_m = [0.0, -6.0, 30.0, 20.0]",
    ),
    (
        "[30, 20], [0, 20]]",
        "[31, 20], [0, 20]]",
        'floors[0].interior_m[2]: [31, 20] is outside floor "ground"; '
        "move it within bounds_m [0.0, -6.0, 30.0, 20.0] or widen them",
    ),
    ("to_m = [10, 8]", "to_m = [10, 0]", "floors[0].walls[0].to_m: begins where it ends; give the wall's other end"),
    (
        "to_m = [10, 8]",
        "to_m = [10, 80]",
        'floors[0].walls[0].to_m: [10, 80] is outside floor "ground"; '
        "move it within bounds_m [0.0, -6.0, 30.0, 20.0] or widen them",
    ),
    (
        "walls =",
        'plan = "../plan.png"\nwalls =',
        'floors[0].plan: "../plan.png" is not a .png, .jpg or .svg file name without a folder; '
        'write it as plan = "plan.png"',
    ),
    (
        "walls =",
        "plan_m = [0, 0, 1, 1]\nwalls =",
        'floors[0].plan_m: is of no image; add plan = "..." or remove plan_m',
    ),
    (
        "walls =",
        'plan = "plan.png"\nplan_m = [0, 9, 1, 1]\nwalls =',
        "floors[0].plan_m: [0.0, 9.0, 1.0, 1.0] has no area; write x_min, y_min, x_max, y_max in metres",
    ),
    ('id = "shoes"', 'id = "till"', 'zones[1].id: "till" is also the id of zones[0]; give each its own id'),
    (
        'id = "till"\nfloor = "ground"',
        'id = "till"\nfloor = "first"',
        'zones[0].floor: there is no floor "first"; use one of ground',
    ),
    (
        POLYGON,
        "[[0, 0], [5, 0]]",
        "zones[0].polygon_m: needs at least 3 corners, has 2; add corners in metres as [x, y]",
    ),
    (
        POLYGON,
        "[[0, 0], [5, 0], [5, 4, 1]]",
        "zones[0].polygon_m[2]: has 3 numbers, needs 2; "
        "write it as polygon_m = [[0.0, 0.0], [5.0, 0.0], [5.0, 4.0], [0.0, 4.0]]",
    ),
    (
        POLYGON,
        "[[0, 0], [5, 4], [5, 0], [0, 4]]",
        "zones[0].polygon_m: its edges from corner 0 and corner 2 meet; list the corners in order around the outline",
    ),
    (
        POLYGON,
        "[[0, 0], [5, 0], [5, 0], [5, 4]]",
        "zones[0].polygon_m: corner 2 repeats corner 1; name each corner once; the outline closes by itself",
    ),
    (
        POLYGON,
        "[[0, 0], [6, 0], [6, 4], [3, 0], [0, 4]]",
        "zones[0].polygon_m: its edges from corner 0 and corner 2 meet; list the corners in order around the outline",
    ),
    (
        POLYGON,
        "[[0, 0], [5, 0], [5, 4], [0, 0]]",
        "zones[0].polygon_m: corner 3 repeats corner 0; name each corner once; the outline closes by itself",
    ),
    (
        POLYGON,
        "[[0, 0], [1, 1], [2, 2]]",
        "zones[0].polygon_m: has no area; list the corners in order around the outline",
    ),
    (
        POLYGON,
        f"[{'[0, 0],' * 201}]",
        "zones[0].polygon_m: has 201 corners, at most 200; simplify the outline",
    ),
    (
        POLYGON,
        f"[{'[0, 0],' * 1001}]",
        "zones[0].polygon_m: has 1001 entries, at most 1000; split the site or simplify it",
    ),
    (
        POLYGON,
        '"square"',
        "zones[0].polygon_m: is text, needs a list; "
        "write it as polygon_m = [[0.0, 0.0], [5.0, 0.0], [5.0, 4.0], [0.0, 4.0]]",
    ),
    (
        'kind = "till"',
        'kind = "cash"',
        'zones[0].kind: "cash" is not one of its values; use one of sales, window, door, till, street, staff',
    ),
    ('kind = "till"', "kind = 3", 'zones[0].kind: is a whole number, needs text; write it as kind = "sales"'),
    (
        '"女鞋"',
        '"女\\u2028鞋"',
        'zones[1].category: "女?鞋" is not 1 to 100 printable characters; write it as category = "shoes"',
    ),
    (
        '"女鞋"',
        '"\u202eshoes"',
        'zones[1].category: "?shoes" is not 1 to 100 printable characters; write it as category = "shoes"',
    ),
    (
        "[2, 3, 2.5]",
        "[2, 33, 2.5]",
        'probes[0].position_m: [2, 33] is outside floor "ground"; '
        "move it within bounds_m [0.0, -6.0, 30.0, 20.0] or widen them",
    ),
    (
        'floor = "ground"\nposition_m',
        "position_m",
        'probes[0].floor: position_m without a floor; add floor = "..." or remove position_m',
    ),
    (
        'floor = "ground"\nposition_m',
        'floor = "roof"\nposition_m',
        'probes[0].floor: there is no floor "roof"; use one of ground',
    ),
    (
        "channels = [1, 36]",
        "channels = [1, 15]",
        "probes[0].channels[1]: 15 is not a Wi-Fi channel; use 1 to 14, 36 to 64, 100 to 144 or 149 to 177",
    ),
    (
        "channels = [1, 36]",
        "channels = [1, 37]",
        "probes[0].channels[1]: 37 is not a Wi-Fi channel; use 1 to 14, 36 to 64, 100 to 144 or 149 to 177",
    ),
    ("channels = [1, 36]", "channels = [6, 6]", "probes[0].channels[1]: channel 6 is listed twice; remove one"),
    (
        "channels = [1, 36]",
        "channels = [1, 0]",
        "probes[0].channels[1]: 0 is not in 1..177; write it as channels = [1, 6, 11]",
    ),
    (
        "channels = [1, 36]",
        "dwell_ms = 250.5",
        "probes[0].dwell_ms: is a number, needs a whole number; write it as dwell_ms = 1000",
    ),
    (
        "channels = [1, 36]",
        "dwell_ms = 19",
        "probes[0].dwell_ms: 19 is not in 20..60000; write it as dwell_ms = 1000",
    ),
    (
        "channels = [1, 36]",
        f"dwell_ms = {10**30}",
        "probes[0].dwell_ms: huge is not in 20..60000; write it as dwell_ms = 1000",
    ),
    (
        '"09:00-12:30"',
        '"09:00-14:30"',
        "opening_hours.monday: 09:00-14:30 and 14:00-18:30 overlap; merge them or correct a time",
    ),
    (
        '["18:00-02:00"]',
        '["18:30-09:00"]',
        'opening_hours.saturday[0]: "18:30-09:00" closes before it opens; '
        "swap the times; over midnight a shop may close until 06:00",
    ),
    (
        "saturday =",
        'sunday = ["01:30-12:00"]\nsaturday =',
        "opening_hours.saturday: 18:00-02:00 runs into sunday's 01:30-12:00; close earlier or open later",
    ),
    (
        '["18:00-02:00"]',
        '["09:00-09:00"]',
        'opening_hours.saturday[0]: "09:00-09:00" closes before it opens; '
        "swap the times; over midnight a shop may close until 06:00",
    ),
    (
        '["18:00-02:00"]',
        '["9-18"]',
        'opening_hours.saturday[0]: "9-18" is not HH:MM-HH:MM; write it as saturday = ["09:00-18:30"]',
    ),
    (
        '["18:00-02:00"]',
        '["24:00-24:01"]',
        'opening_hours.saturday[0]: "24:00-24:01" is not HH:MM-HH:MM; write it as saturday = ["09:00-18:30"]',
    ),
    (
        '["18:00-02:00"]',
        '"18:00-02:00"',
        'opening_hours.saturday: is text, needs a list of from-to; write it as saturday = ["09:00-18:30"]',
    ),
    ("saturday", "caturday", "opening_hours.caturday: unknown key; did you mean saturday?"),
    (
        "2026-12-25",
        "2026-02-30",
        "opening_hours.dates.2026-02-30: is not a date; name the day as year-month-day, e.g. 2026-12-24 = []",
    ),
    (
        "{ 2026-12-25 = [], 2026-12-24",
        '{ 2026-12-25 = ["09:00-12:00", "11:00-13:00"], 2026-12-24',
        "opening_hours.dates.2026-12-25: 09:00-12:00 and 11:00-13:00 overlap; merge them or correct a time",
    ),
    (
        "inside_dbm = -65",
        "inside_dbm = -82",
        "rings.inside_dbm: -82 is not above rings.near_dbm -82; inside is the stronger level, nearer to 0",
    ),
    (
        "inside_dbm = -65",
        "inside_dbm = -76",
        "rings.hysteresis_db: 3 is half the 6 dB between the rings or more; lower it or set the rings further apart",
    ),
    (
        "inside_dbm = -65",
        "inside_dbm = 65",
        "rings.inside_dbm: 65 is not in -120..0; write it as inside_dbm = -70.0",
    ),
    (
        "deep_s = 600",
        "deep_s = 600\nbounce_s = 600",
        "thresholds.bounce_s: 600 is not below thresholds.deep_s 600; a bounce is the shorter stay",
    ),
    (
        "deep_s = 600",
        "deep_s = 600\nentrant_min_s = 601",
        "thresholds.entrant_min_s: 601 is not below thresholds.deep_s 600; a deep visit is longer than the least stay",
    ),
    (
        'mode = "anonymous_5min"',
        "rotation_hour = 24",
        "privacy.rotation_hour: 24 is not in 0..23; write it as rotation_hour = 4",
    ),
    (
        'mode = "anonymous_5min"',
        "time_grain_s = 420",
        "privacy.time_grain_s: 420 does not divide an hour; use 60, 300, 600, 900, 1800 or 3600",
    ),
    (
        'mode = "anonymous_5min"',
        'mode = "consent"',
        'privacy.mode: "consent" needs people who signed up, and there is no registry of them yet; '
        "use pseudonym_24h or anonymous_5min",
    ),
    (
        'mode = "anonymous_5min"',
        'mode = "anonymous"',
        'privacy.mode: "anonymous" is not one of its values; use one of anonymous_5min, pseudonym_24h, consent',
    ),
    (
        'mode = "anonymous_5min"',
        "k = 1\nrotation_hour = 99\ntime_grain_s = 1",
        "privacy.time_grain_s: 1 is not in 60..3600; write it as time_grain_s = 300 (and 2 more)",
    ),
]


@pytest.mark.parametrize(("old", "new", "line"), MISTAKES, ids=[line for _, _, line in MISTAKES])
def test_each_mistake_has_its_line(old: str, new: str, line: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(ConfigError) as caught:
        parse_site(GOOD.replace(old, new, 1), "site.toml")
    assert str(caught.value) == f"site.toml: {line}"
    assert caught.value.exit_code == ExitCode.CONFIG


def test_a_site_without_floors_names_the_table_to_add() -> None:
    text = 'tenant = "a"\nsite = "b"\ntime_zone = "UTC"\n[[probes]]\nid = "p"\nfloor = "f"'
    with pytest.raises(ConfigError) as caught:
        parse_site(text, "site.toml")
    assert str(caught.value) == 'site.toml: probes[0].floor: there is no floor "f"; add a [[floors]] table'


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"name = '\xff'", "is not UTF-8 (byte 8); save it as UTF-8 text"),
        (b"#" * 1_000_001, "is over 1000000 bytes; give a site.toml"),
        (b"", 'tenant: is missing; add tenant = "acme" (and 2 more)'),
        (b"x = " + b"[" * 100_000, "not TOML: nested too deeply; correct that line"),
    ],
)
def test_files_that_are_no_site(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    assert str(caught.value) == f"{path}: {line}"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as caught:
            load_site(path)
        assert str(caught.value) == f"{path}: cannot read: {why}; give the path of a site.toml you may read"


@pytest.mark.parametrize(
    "corners",
    [
        ((0, 0), (9, 0), (9, 9), (0, 9)),
        ((0, 9), (9, 9), (9, 0), (0, 0)),
        ((0, 0), (9, 0), (9, 9), (5, 9), (5, 4), (0, 4)),
        ((0, 0), (4, 0), (9, 0), (9, 9)),  # a corner on a straight edge
    ],
)
def test_outlines_of_either_sense_and_any_shape_are_welcome(corners: tuple[tuple[int, int], ...]) -> None:
    text = GOOD.replace(POLYGON, str([list(corner) for corner in corners]), 1)
    assert parse_site(text, "x").zones[0].polygon_m == corners


def test_hours_may_touch_but_not_overlap() -> None:
    text = 'tenant = "a"\nsite = "b"\ntime_zone = "UTC"\n[opening_hours]\n'
    hours = parse_site(text + 'saturday = ["09:00-12:00", "12:00-02:00"]\nsunday = ["02:00-06:00"]', "x").opening_hours
    assert hours.days[5:] == (((540, 720), (720, 1560)), ((120, 360),))


def test_the_dump_explains_every_key_once() -> None:
    text = dump_site(parse_site(GOOD, "x"))
    assert "deep_s = 600.0  # stay that makes a deep visit" in text
    assert text.count("# what part of the shop it is") == 1
    assert '# category = "shoes"' in text
    assert '2026-12-24 = ["10:00-24:00"]' in text


ids = st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True)
lengths = st.floats(1.0, 9_999.0)
free_text = st.text(st.characters().filter(str.isprintable), max_size=100)


@st.composite
def open_intervals(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    times = sorted(draw(st.lists(st.integers(0, 1440), max_size=6, unique=True)))
    return tuple(zip(times[::2], times[1::2], strict=False))


@st.composite
def sites(draw: st.DrawFn) -> Site:
    floors, zones, probes = [], [], []
    for id_ in draw(st.lists(ids, max_size=3, unique=True)):
        x, y = draw(lengths), draw(lengths)
        plan = draw(st.sampled_from([None, 'ground "1".png', "平面.svg"]))
        where = draw(st.none() | st.just((-0.5, -1.0, x, y))) if plan else None
        outline = ((0.0, 0.0), (x, 0.0), (x, y))
        wall = Wall(from_m=(0.0, 0.0), to_m=(x, y), loss_db=draw(st.floats(0, 60)))
        bounds = (-1.0, -1.0, x, y)
        floors.append(Floor(id=id_, bounds_m=bounds, interior_m=outline, walls=(wall,), plan=plan, plan_m=where))
        category = draw(st.none() | free_text.filter(bool))
        zones.append(
            Zone(id=id_, floor=id_, polygon_m=outline, kind=draw(st.sampled_from(ZoneKind)), category=category)
        )
        channels = draw(st.lists(st.sampled_from(CHANNELS_2G4 + CHANNELS_5G), unique=True))
        probes.append(Probe(id=id_, floor=id_, position_m=(x / 2, y / 2, 2.5), channels=tuple(channels)))
    dates = draw(st.dictionaries(st.dates(), open_intervals(), max_size=3))
    return Site(
        tenant=draw(ids),
        site=draw(ids),
        time_zone=draw(st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin"])),
        name=draw(free_text),
        opening_hours=OpeningHours(
            days=tuple(draw(open_intervals()) for _ in range(7)),
            dates=tuple(DateHours(date=day, open=dates[day]) for day in sorted(dates)),
        ),
        floors=tuple(floors),
        zones=tuple(zones),
        probes=tuple(probes),
        path_loss=PathLoss(exponent=draw(st.floats(1, 8)), sigma_db=draw(st.floats(0.1, 30))),
    )


@settings(max_examples=60, deadline=None)
@given(sites())
def test_a_dumped_site_loads_back_equal(site: Site) -> None:
    assert parse_site(dump_site(site), "x") == site


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_loads_or_says_why_in_one_line(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD) - 1))
    cut = data.draw(st.integers(0, 12))
    text = GOOD[:at] + data.draw(st.text(max_size=8)) + GOOD[at + cut :]
    line = _refusal(text)
    assert line.startswith("site.toml: ")
    assert line.isprintable()


def _refusal(text: str) -> str:
    """Give the line a text is refused with, or the shortest that would do."""
    try:
        parse_site(text, "site.toml")
    except ConfigError as error:
        return str(error)
    return "site.toml: "
