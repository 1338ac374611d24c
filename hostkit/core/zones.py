"""Polygons on a floor plan and what a grid of cells or a device has to do with them. Knows no radio."""

import numpy as np
from numpy.typing import NDArray

from hostkit.core._zones import EVENT as ZONE_EVENT
from hostkit.core._zones import ZoneTracker
from hostkit.errors import ConfigError
from hostkit.model import Polygon

__all__ = ["ZONE_EVENT", "ZoneTracker", "area_m2", "cell_shares", "inside"]

SUBCELLS = 4  # a cell's share inside a polygon is taken from 4 × 4 points, so in steps of 1/16


def inside(points_m: NDArray[np.float64], polygon_m: Polygon) -> NDArray[np.bool_]:
    """Even-odd test of points (N, 2) against a closed polygon; its left and lower edges belong to it, others not."""
    corner = np.asarray(polygon_m, np.float64)
    x, y = np.asarray(points_m, np.float64).T
    result = np.zeros(len(x), np.bool_)
    for (ax, ay), (bx, by) in zip(corner, np.roll(corner, -1, axis=0), strict=True):
        spans = (ay <= y) != (by <= y)
        if ay != by:
            result ^= spans & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return result


def area_m2(polygon_m: Polygon) -> float:
    """Area of a simple polygon by the shoelace formula."""
    x, y = np.asarray(polygon_m, np.float64).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2.0)


def cell_shares(
    x_m: NDArray[np.float64], y_m: NDArray[np.float64], cell_m: float, polygon_m: Polygon
) -> NDArray[np.float32]:
    """Share of each cell's area inside a polygon, (rows, columns), for cell centres `x_m` (columns,), `y_m` (rows,)."""
    check_polygon(polygon_m)
    step = ((np.arange(SUBCELLS) + 0.5) / SUBCELLS - 0.5) * cell_m
    fine_x, fine_y = (x_m[:, None] + step).ravel(), (y_m[:, None] + step).ravel()
    grid_x, grid_y = np.meshgrid(fine_x, fine_y)
    hit: NDArray[np.float32] = inside(np.column_stack((grid_x.ravel(), grid_y.ravel())), polygon_m).astype(np.float32)
    shares: NDArray[np.float32] = hit.reshape(len(y_m), SUBCELLS, len(x_m), SUBCELLS).mean(axis=(1, 3))
    return shares


def check_polygon(polygon_m: Polygon) -> None:
    """Raise ConfigError for fewer than three corners, for corners that are not finite, and for no area."""
    corners = np.asarray(polygon_m, np.float64)
    if corners.ndim != 2 or corners.shape[0] < 3 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ConfigError("not a polygon", where="polygon_m", next_step="give at least three corners [x, y] in metres")
    if area_m2(polygon_m) <= 0.0:
        raise ConfigError("the polygon has no area", where="polygon_m", next_step="give corners in order around it")
