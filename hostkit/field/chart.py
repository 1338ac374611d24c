"""What readings look like on their way: dots and lines on two axes, for the page to draw. Computes nothing."""

from dataclasses import dataclass
from typing import Literal

from hostkit.field.trial import Note

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points (x, y) under one name."""

    name: Note
    points: tuple[Point, ...]
    drawn: Literal["dots", "line", "dashes"] = "dots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`x` and `y` are words of `words.py`; `names`: what x = 0, 1, … stands for, instead of figures."""

    x: str
    y: str
    series: tuple[Series, ...]
    title: str = ""
    logarithmic: bool = False
    names: tuple[str, ...] = ()
