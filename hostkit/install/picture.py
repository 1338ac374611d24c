"""A floor plan image as its owner has it: its size, its scale, where its edges lie in metres. Changes no pixel."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, UnidentifiedImageError

from hostkit.errors import InputError, UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".svg")
MAX_BYTES = 50_000_000
MAX_PIXELS = 100_000_000  # a decoded picture then takes 400 MB at most; more is a bomb or a poster
_METRES_PER_PIXEL = (1e-4, 10.0)  # a plan of a drawer, and one of a town
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(?:px|pt|mm|cm|in)?\s*", re.ASCII)
_NUMBER = r"\s*(-?\d{1,6}(?:\.\d{1,6})?)\s*"
_TWO_POINTS = re.compile(rf"{_NUMBER},{_NUMBER}:{_NUMBER},{_NUMBER}={_NUMBER}m?\s*", re.ASCII)
_BOX = re.compile(rf"{_NUMBER},{_NUMBER}:{_NUMBER},{_NUMBER}", re.ASCII)
_FORMS = "write width=24.5 (metres of the whole picture), 0.02m/px, or two points and their distance: 80,40:980,40=18"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image file and its size in pixels; an SVG's user units count as pixels."""

    path: Path
    width_px: float
    height_px: float

    @property
    def name(self) -> str:
        """What it is called beside a site.toml, which knows endings in small letters."""
        return f"{self.path.stem}{self.path.suffix.lower()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a picture lies: pixel (`left_px`, `bottom_px`), counted from its top left, is the plan's origin."""

    picture: Picture
    metres_per_px: float
    left_px: float
    bottom_px: float

    def edges_m(self) -> tuple[float, float, float, float]:
        """Give x_min, y_min, x_max, y_max of the picture's edges."""
        scale, picture = self.metres_per_px, self.picture
        edges = (
            -self.left_px, self.bottom_px - picture.height_px, picture.width_px - self.left_px, self.bottom_px
        )  # fmt: skip
        x_min, y_min, x_max, y_max = (round(edge * scale, 3) for edge in edges)
        return x_min, y_min, x_max, y_max


def read_picture(path: Path) -> Picture:
    """Find an image's size; InputError for what is no PNG, JPEG or SVG, or is cut short."""
    try:
        if path.suffix.lower() not in SUFFIXES:
            raise _no_picture(path, "is no .png, .jpg or .svg file")
        if path.stat().st_size > MAX_BYTES:
            raise _no_picture(path, f"is over {MAX_BYTES // 1_000_000} MB")
        width, height = _svg_size(path) if path.suffix.lower() == ".svg" else _raster_size(path)
    except OSError as error:
        what = "is no image, or cut short" if isinstance(error, UnidentifiedImageError) else error.strerror
        raise _no_picture(path, f"cannot be read ({what or 'cut short'})") from error
    if not (0 < width * height <= MAX_PIXELS and min(width, height) >= 1):
        raise _no_picture(path, f"is {width:g} × {height:g} pixels")
    return Picture(path=path, width_px=width, height_px=height)


def scale_of(text: str, picture: Picture) -> float:
    """Read a scale, metres per pixel: `width=24.5`, `0.02m/px` or `x,y:x,y=METRES`. UsageError."""
    squeezed = text.replace(" ", "").removesuffix("m/px")
    found = _TWO_POINTS.fullmatch(text)
    try:
        if found:
            x1, y1, x2, y2, metres = map(float, found.groups())
            scale = metres / math.hypot(x2 - x1, y2 - y1)
        elif squeezed.startswith("width="):
            scale = float(squeezed.removeprefix("width=").removesuffix("m")) / picture.width_px
        else:
            scale = float(squeezed)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{text[:60]!a} is no scale", where="scale", next_step=_FORMS) from None
    least, most = _METRES_PER_PIXEL
    if not least <= scale <= most:
        raise UsageError(f"{text[:60]!a} makes a pixel {scale:g} m", where="scale", next_step=_FORMS)
    return scale


def box_of(text: str, picture: Picture) -> tuple[float, float, float, float]:
    """Read `left,top:right,bottom` in pixels, a box within the picture; empty is all of it. UsageError."""
    if not text.strip():
        return 0.0, 0.0, picture.width_px, picture.height_px
    found = _BOX.fullmatch(text)
    x1, y1, x2, y2 = map(float, found.groups()) if found else (0.0, 0.0, 0.0, 0.0)
    left, right, top, bottom = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if not (0 <= left < right <= picture.width_px and 0 <= top < bottom <= picture.height_px):
        size = f"{picture.width_px:g} × {picture.height_px:g} pixels"
        raise UsageError(
            f"{text[:60]!a} is no box within {size}",
            where="shop in the picture",
            next_step="write left,top:right,bottom",
        )
    return left, top, right, bottom


def _raster_size(path: Path) -> tuple[float, float]:
    try:
        with Image.open(path) as image:
            size = image.size
            if size[0] * size[1] <= MAX_PIXELS:
                image.load()
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _no_picture(path, "is damaged") from error
    return float(size[0]), float(size[1])


def _svg_size(path: Path) -> tuple[float, float]:
    try:
        root = ElementTree.fromstring(path.read_bytes())
        box = root.get("viewBox", "").replace(",", " ").split()
        if len(box) == 4:
            return float(box[2]), float(box[3])
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _no_picture(path, "is no SVG") from error
    sizes = [_LENGTH.fullmatch(root.get(name, "")) for name in ("width", "height")]
    if root.tag.rpartition("}")[2] != "svg" or None in sizes:
        raise _no_picture(path, "is an SVG without a size")
    width, height = (float(size[1]) for size in sizes if size)
    return width, height


def _no_picture(path: Path, what: str) -> InputError:
    return InputError(what, where=str(path), next_step="give a floor plan as a PNG, JPEG or SVG file")
