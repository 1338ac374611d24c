"""A first site.toml from the answers of an installer: shop, street, door, walls and places for probes. Asks nobody."""

import re
from dataclasses import dataclass, replace
from datetime import time
from pathlib import Path
from typing import Literal, TypeAlias

from hostkit.config import dump_site, parse_site
from hostkit.config.keys import WEEKDAYS
from hostkit.errors import ConfigError, UsageError
from hostkit.install.picture import Placed
from hostkit.install.suggest import suggest
from hostkit.io.files import write_files
from hostkit.model import Floor, OpeningHours, OpenIntervals, Probe, Site, Wall, Zone, ZoneKind

Side: TypeAlias = Literal["bottom", "top", "left", "right"]
Point: TypeAlias = tuple[float, float]

SIDES: tuple[Side, ...] = ("bottom", "top", "left", "right")
FLOOR = "ground"
MAX_PROBES = 64
SIDE_M = (2.0, 300.0)  # of a shop: a kiosk, a hall
STREET_M = 6.0  # mapped in front of the shop: as far as passers-by walk
_MARGIN_M = 2.0  # mapped beside and behind it: neighbours are heard through walls
_DOOR_M, _DOOR_IN_M, _DOOR_OUT_M = 3.0, 2.0, 1.5  # a zone of this width, so far in and out
_OPENING_M = 2.0
# Losses at 2.4 GHz after ITU-R P.1238 and P.2040: brick 10 dB, shop glass 2 dB.
_BRICK_DB, _GLASS_DB = 10.0, 2.0
_DAYS = {day[:3]: index for index, day in enumerate(WEEKDAYS)}
_HOURS_HELP = "write it as mon-fri 09:00-20:00; sat 10:00-16:00; sun closed"
_HEAD = """\
# Made by `footfall site init`: the outline is a box, its walls are brick with a glass front, the places of the probes
# are suggestions. Correct what differs, draw shelves and inner walls, name zones; then `footfall site check`
# and `footfall site show`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is needed to begin: `shop_m` is the inside's width and depth, `entrance` the side the door is on."""

    name: str
    tenant: str
    site: str
    time_zone: str
    hours: OpeningHours
    shop_m: tuple[float, float]
    entrance: Side
    probes: int
    plan: Placed | None = None
    street_m: float = STREET_M
    ceiling_m: float | None = None


def draft(answers: Answers) -> Site:
    """Make the site: checked as the hub would check it. UsageError names the answer that cannot be."""
    plan = answers.plan
    floor = Floor(
        id=FLOOR,
        bounds_m=_bounds(answers),
        interior_m=_box(0.0, 0.0, *answers.shop_m),
        walls=_walls(answers),
        plan=plan.picture.name if plan else None,
        plan_m=plan.edges_m() if plan else None,
    )
    site = Site(
        tenant=answers.tenant, site=answers.site, name=answers.name, time_zone=answers.time_zone,
        opening_hours=answers.hours, floors=(floor,), zones=_zones(answers),
    )  # fmt: skip
    places = suggest(checked(site).floors[0], site.path_loss, answers.probes, ceiling_m=answers.ceiling_m).places_m
    probes = tuple(Probe(id=f"probe-{number}", floor=FLOOR, position_m=place) for number, place in enumerate(places, 1))
    return checked(replace(site, probes=probes))


def checked(site: Site) -> Site:
    """Give the site as the strict reader understands it; UsageError for what it refuses."""
    try:
        return parse_site(dump_site(site), "site.toml")
    except ConfigError as error:
        raise UsageError(error.what, where=error.where, next_step=error.next_step) from error


def write_draft(site: Site, path: Path, plan: Placed | None) -> tuple[Path, ...]:
    """Write site.toml, and the plan beside it, both or none; never over a file. UsageError, StorageError."""
    contents = {path: (_HEAD + dump_site(site)).encode()}
    if plan is not None:
        beside = path.parent / plan.picture.name
        if not (beside.exists() and beside.samefile(plan.picture.path)):
            contents[beside] = plan.picture.path.read_bytes()
    for one in contents:
        if one.exists():
            raise UsageError("is there already", where=str(one), next_step="move it away or name another file")
    write_files(contents)
    return tuple(contents)


def size_of(text: str) -> tuple[float, float]:
    """Read `20x15` or `20.5 x 15 m`: metres to the right and up on the plan. UsageError."""
    found = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*m?\s*[x×*]\s*(\d{1,3}(?:\.\d+)?)\s*m?\s*", text)
    width, depth = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    least, most = SIDE_M
    if not (least <= width <= most and least <= depth <= most):
        raise UsageError(
            f"{text[:40]!a} is no size of {least:g} to {most:g} m a side",
            where="size",
            next_step="write width x depth in metres: 20x15",
        )
    return width, depth


def slug(name: str) -> str:
    """Make an id of a name, empty where nothing of it can be in one."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32].strip("-")


def hours_of(text: str) -> OpeningHours:
    """Read `mon-fri 09:00-20:00; sat,sun 10:00-13:00 14:00-18:00; ...`; days not named are closed. UsageError."""
    days: list[OpenIntervals] = [()] * 7
    for part in filter(None, (part.strip() for part in text.lower().split(";"))):
        named, _, times = part.partition(" ")
        open_ = () if times.strip() == "closed" else tuple(_interval(one, text) for one in times.split())
        if not times.strip():
            raise _no_hours(text)
        for index in _day_numbers(named, text):
            days[index] = open_
    if not text.strip():
        raise _no_hours(text)
    return OpeningHours(days=tuple(days))


def _day_numbers(named: str, text: str) -> list[int]:
    found: list[int] = []
    for span in ("mon-sun" if named == "daily" else named).split(","):
        first, dash, last = span.partition("-")
        start, end = _DAYS.get(first[:3]), _DAYS.get((last if dash else first)[:3])
        if start is None or end is None:
            raise _no_hours(text)
        found += range(start, end + 1) if start <= end else [*range(start, 7), *range(end + 1)]
    return found


def _interval(text: str, whole: str) -> tuple[int, int]:
    try:
        opens, closes = (_minute(part) for part in text.split("-"))
    except ValueError:
        raise _no_hours(whole) from None
    return opens, closes if closes > opens else closes + 1440


def _minute(text: str) -> int:
    if text in {"24:00", "24"}:
        return 1440
    at = time.fromisoformat(text if ":" in text else f"{text:0>2}:00")
    return at.hour * 60 + at.minute


def _no_hours(text: str) -> UsageError:
    return UsageError(f"{text[:60]!a} says no opening hours", where="opening hours", next_step=_HOURS_HELP)


def _bounds(answers: Answers) -> tuple[float, float, float, float]:
    reach = dict.fromkeys(SIDES, _MARGIN_M) | {answers.entrance: answers.street_m}
    width, depth = answers.shop_m
    edges = (-reach["left"], -reach["bottom"], width + reach["right"], depth + reach["top"])
    x_min, y_min, x_max, y_max = (round(edge, 3) for edge in edges)
    return x_min, y_min, x_max, y_max


def _walls(answers: Answers) -> tuple[Wall, ...]:
    """Brick around, and in front glass to both sides of an opening in the middle."""
    along = _front(answers)
    half = min(_OPENING_M, along / 2) / 2
    width, depth = answers.shop_m
    corners = _box(0.0, 0.0, width, depth)
    sides: dict[Side, tuple[Point, Point]] = {
        "bottom": (corners[0], corners[1]), "right": (corners[1], corners[2]),
        "top": (corners[2], corners[3]), "left": (corners[3], corners[0]),
    }  # fmt: skip
    brick = [Wall(from_m=a, to_m=b, loss_db=_BRICK_DB) for side, (a, b) in sides.items() if side != answers.entrance]
    glass = [
        Wall(from_m=_at(answers, t0, 0.0), to_m=_at(answers, t1, 0.0), loss_db=_GLASS_DB)
        for t0, t1 in ((0.0, along / 2 - half), (along / 2 + half, along))
    ]
    return (*brick, *glass)


def _zones(answers: Answers) -> tuple[Zone, ...]:
    """Street in front, the door across the front, the rest of the shop."""
    along, deep = _front(answers), _depth(answers)
    left = (along - min(_DOOR_M, along / 2)) / 2
    right, inner = along - left, min(_DOOR_IN_M, deep / 2)
    outer = min(_DOOR_OUT_M, answers.street_m / 2)
    low, high = -_MARGIN_M, along + _MARGIN_M
    front = ((0.0, 0.0), (left, 0.0), (left, inner), (right, inner), (right, 0.0), (along, 0.0))
    shapes: tuple[tuple[str, ZoneKind, tuple[Point, ...]], ...] = (
        ("street", ZoneKind.STREET, _box(low, -answers.street_m, high, -outer)),
        ("door", ZoneKind.DOOR, _box(left, -outer, right, inner)),
        ("shop", ZoneKind.SALES, (*front, (along, deep), (0.0, deep))),
    )
    return tuple(
        Zone(id=id_, floor=FLOOR, kind=kind, polygon_m=tuple(_at(answers, t, s) for t, s in shape))
        for id_, kind, shape in shapes
    )


def _front(answers: Answers) -> float:
    return answers.shop_m[0 if answers.entrance in {"bottom", "top"} else 1]


def _depth(answers: Answers) -> float:
    return answers.shop_m[1 if answers.entrance in {"bottom", "top"} else 0]


def _at(answers: Answers, along: float, inward: float) -> Point:
    """Give the place `along` the front and `inward` from it."""
    width, depth = answers.shop_m
    x, y = {
        "bottom": (along, inward), "top": (along, depth - inward),
        "left": (inward, along), "right": (width - inward, along),
    }[answers.entrance]  # fmt: skip
    return round(x, 3), round(y, 3)


def _box(x_min: float, y_min: float, x_max: float, y_max: float) -> tuple[Point, ...]:
    return ((x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max))
