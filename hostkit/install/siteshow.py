"""A floor as it is to be drawn: its plan image, its zones and probes, what they promise, and better places."""

import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hostkit.config.dump import dump_probe
from hostkit.core.predict import Forecast, room
from hostkit.errors import InputError, UsageError
from hostkit.install.check_floor import POSITIONS, SURE_P, forecast_of
from hostkit.install.picture import Picture, read_picture
from hostkit.install.suggest import Suggestion, suggest
from hostkit.io import plot_site
from hostkit.model import Floor, Probe, Site

MAX_SIDE_PX = 2000  # of a plan as it is drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One floor: its probes as they are or as suggested, and what they promise. `before_m`: mean error as it is."""

    floor: Floor
    probes: tuple[Probe, ...]
    suggested: tuple[Probe, ...]
    earlier: tuple[Probe, ...]
    seen: Forecast
    error_m: float
    before_m: float
    covered_share: float

    @property
    def positions(self) -> bool:
        """Tell whether there are probes enough for positions."""
        return len(self.probes) + len(self.suggested) >= POSITIONS


def show_floor(
    site: Site, floor_id: str | None, *, count: int = 0, keep: bool = False, ceiling_m: float | None = None
) -> Shown:
    """Forecast a floor, with `count` places suggested: beside the probes there if `keep`, else instead of them.

    UsageError where the floor is not said or not there, or has no room for so many.
    """
    floor = _floor(site, floor_id)
    there = tuple(probe for probe in site.probes if probe.floor == floor.id and probe.position_m is not None)
    kept = there if keep or not count else ()
    found: tuple[Probe, ...] = ()
    if count:
        found = _named(site, floor, suggest(floor, site.path_loss, count, kept=kept, ceiling_m=ceiling_m), kept=kept)
    seen = forecast_of(floor, (*kept, *found), site.path_loss)
    before = forecast_of(floor, there, site.path_loss) if count else seen
    return Shown(
        floor=floor, probes=kept, suggested=found, earlier=tuple(probe for probe in there if probe not in kept),
        seen=seen, error_m=seen.over(seen.inside, seen.error_m), before_m=before.over(before.inside, before.error_m),
        covered_share=seen.over(seen.inside, (seen.three_p >= SURE_P).astype(np.float64)),
    )  # fmt: skip


def snippet(probes: Sequence[Probe]) -> str:
    """Give the tables that site.toml needs for these probes."""
    return "\n".join(dump_probe(probe) for probe in probes)


def chart_of(site: Site, shown: Shown, folder: Path, language: str, note: str) -> plot_site.SiteChart:
    """Put together what is drawn; InputError for a plan that cannot be."""
    floor, seen = shown.floor, shown.seen
    errors = None
    if shown.positions:
        inside = seen.inside > 0
        errors = plot_site.ErrorMap(
            x_m=seen.x_m, y_m=seen.y_m, error_m=np.where(inside, seen.error_m, np.nan),
            deaf=inside & (seen.three_p < SURE_P),
        )  # fmt: skip
    return plot_site.SiteChart(
        title=f"{site.name or site.site}: {floor.id}",
        note=note,
        bounds_m=floor.bounds_m,
        outline=floor.interior_m,
        walls=[(wall.from_m, wall.to_m, wall.loss_db) for wall in floor.walls],
        zones=[(zone.id, zone.kind.value, zone.polygon_m) for zone in site.zones if zone.floor == floor.id],
        probes=_drawn(shown.probes),
        suggested=_drawn(shown.suggested),
        earlier=_drawn(shown.earlier),
        errors=errors,
        image=_image(floor, folder),
        words=plot_site.WORDS[language],
    )


def uninformed_m(floor: Floor) -> float:
    """Error in m of a position that nobody measured: the middle of the shop."""
    return float(np.hypot(*room(floor)))


def _floor(site: Site, floor_id: str | None) -> Floor:
    floors = {floor.id: floor for floor in site.floors}
    if not floors:
        raise UsageError("has no floor to show", where="site.toml", next_step="draw one, or see footfall site init")
    if floor_id is None and len(floors) == 1:
        return site.floors[0]
    if floor_id not in floors:
        what = f"there is no floor {floor_id!a}" if floor_id else "which floor?"
        raise UsageError(what, where="--floor", next_step=f"name one of {', '.join(floors)}")
    return floors[floor_id]


def _named(site: Site, floor: Floor, found: Suggestion, *, kept: tuple[Probe, ...]) -> tuple[Probe, ...]:
    """Give the places ids: those of the probes they replace, then new ones."""
    replaced = [probe for probe in site.probes if probe.floor == floor.id and probe not in kept]
    taken = {probe.id for probe in site.probes}
    fresh = (f"probe-{number}" for number in range(1, 10_000))
    free = [id_ for id_, _ in zip((id_ for id_ in fresh if id_ not in taken), found.places_m, strict=False)]
    models = [*replaced, *(Probe(id=id_, floor=floor.id) for id_ in free)]
    return tuple(replace(model, position_m=place) for model, place in zip(models, found.places_m, strict=False))


def _drawn(probes: Sequence[Probe]) -> list[tuple[str, tuple[float, float, float]]]:
    return [(probe.id, probe.position_m) for probe in probes if probe.position_m is not None]


def _image(floor: Floor, folder: Path) -> plot_site.Image | None:
    if floor.plan is None:
        return None
    picture = read_picture(folder / floor.plan)
    if picture.path.suffix.lower() == ".svg":
        source = io.BytesIO(_rasterised(picture))
    else:
        source = io.BytesIO(picture.path.read_bytes())
    with Image.open(source) as image:
        image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        pixels: NDArray[np.uint8] = np.asarray(ground.convert("RGB"))
    return plot_site.Image(pixels=pixels, edges_m=floor.plan_m or floor.bounds_m)


def _rasterised(picture: Picture) -> bytes:
    """Draw an SVG by resvg, which runs no script and loads nothing from outside."""
    path, wide = picture.path, picture.width_px >= picture.height_px
    try:
        resvg = importlib.import_module("resvg_py")
    except ImportError as error:
        step = "install it with: pip install 'footfall[install]'; or save the plan as PNG"
        raise InputError("is SVG, and resvg-py is not installed", where=str(path), next_step=step) from error
    size = {"width" if wide else "height": MAX_SIDE_PX}
    try:
        drawn: bytes = resvg.svg_to_bytes(svg_string=path.read_text("utf-8-sig"), background="white", **size)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be drawn ({str(error)[:80]!a})", where=str(path), next_step="save it as PNG"
        ) from error
    return drawn
