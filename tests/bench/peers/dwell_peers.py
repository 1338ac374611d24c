"""Stays (S, 3: device, from and to in s) of fixes: every library with its own rule at its best radius.

Radii are the best of 4 to 32 m on walks of another seed than the table's; each library means something else by it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import main

METRES_A_DEGREE = 111_320.0  # at the equator, where both axes are alike
EPOCH = "2026-01-01"
RADIUS_M = {"trackintel": 16.0, "scikit-mobility": 16.0, "movingpandas": 20.0, "infostop": 12.0, "fastmob": 16.0}


class Case:
    """Input of a script: fixes by device and time as degrees beside the equator."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.device, self.time_s = file["device"], file["time_s"]
            self.longitude, self.latitude = file["x_m"] / METRES_A_DEGREE, file["y_m"] / METRES_A_DEGREE
            self.stay_s, self.gap_s = float(file["stay_s"]), float(file["gap_s"])
            self.radius_m = dict(RADIUS_M)
            if "radius_m" in file:
                self.radius_m = dict.fromkeys(RADIUS_M, float(file["radius_m"]))

    def frame(self, user: str, moment: str, longitude: str, latitude: str, *, utc: bool = False) -> object:
        """Give a pandas frame with these column names."""
        import pandas as pd  # noqa: PLC0415

        when = pd.Timestamp(EPOCH, tz="UTC" if utc else None) + pd.to_timedelta(self.time_s, unit="s")
        return pd.DataFrame({user: self.device, moment: when, longitude: self.longitude, latitude: self.latitude})


def seconds(column: object) -> np.ndarray:
    """Seconds since EPOCH of a column of moments."""
    import pandas as pd  # noqa: PLC0415

    moments = pd.DatetimeIndex(column)
    return (moments.tz_localize(None) - pd.Timestamp(EPOCH)).total_seconds().to_numpy()


def instants(column: object) -> np.ndarray:
    """Seconds since EPOCH of an Arrow column of moments."""
    return (column.to_numpy() - np.datetime64(EPOCH)) / np.timedelta64(1, "s")


def by_trackintel(path: Path) -> Callable[[], object]:
    """Sliding staypoints (Li et al. 2008)."""
    import geopandas as gpd  # noqa: PLC0415
    import trackintel as ti  # noqa: PLC0415

    case = Case(path)
    frame = case.frame("user_id", "tracked_at", "x", "y", utc=True)
    points = gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(frame["x"], frame["y"]), crs="EPSG:4326")
    fixes = ti.Positionfixes(points)

    def work() -> object:
        return fixes.generate_staypoints(
            method="sliding",
            distance_metric="haversine",
            dist_threshold=case.radius_m["trackintel"],
            time_threshold=case.stay_s / 60,
            gap_threshold=case.gap_s / 60,
            include_last=True,
            n_jobs=1,
        )[1]

    return work


def by_scikit_mobility(path: Path) -> Callable[[], object]:
    """skmob.preprocessing.detection.stay_locations."""
    import skmob  # noqa: PLC0415
    from skmob.preprocessing import detection  # noqa: PLC0415

    case = Case(path)
    frame = skmob.TrajDataFrame(
        case.frame("uid", "datetime", "lng", "lat"), latitude="lat", longitude="lng", datetime="datetime", user_id="uid"
    )

    def work() -> object:
        return detection.stay_locations(
            frame,
            stop_radius_factor=1.0,
            minutes_for_a_stop=case.stay_s / 60,
            spatial_radius_km=case.radius_m["scikit-mobility"] / 1000,
            no_data_for_minutes=case.gap_s / 60,
            leaving_time=True,
        )

    return work


def by_movingpandas(path: Path) -> Callable[[], object]:
    """Its TrajectoryStopDetector."""
    from datetime import timedelta  # noqa: PLC0415

    import movingpandas as mpd  # noqa: PLC0415

    case = Case(path)
    frame = case.frame("device", "t", "x", "y").set_index("t")
    walks = mpd.TrajectoryCollection(frame, traj_id_col="device", x="x", y="y", crs="EPSG:4326")

    def work() -> object:
        return mpd.TrajectoryStopDetector(walks).get_stop_time_ranges(
            max_diameter=case.radius_m["movingpandas"], min_duration=timedelta(seconds=case.stay_s)
        )

    return work


def by_infostop(path: Path) -> Callable[[], object]:
    """Infostop's stationary events: its first step, which is what dwell needs, with its labels of places."""
    from infostop import Infostop  # noqa: PLC0415

    case = Case(path)
    starts = np.flatnonzero(np.diff(case.device, prepend=-1))
    data = np.column_stack((case.latitude, case.longitude, case.time_s))
    tracks = np.split(data, starts[1:])

    def work() -> object:
        model = Infostop(
            r1=case.radius_m["infostop"],
            r2=case.radius_m["infostop"],
            min_staying_time=int(case.stay_s),
            max_time_between=int(case.gap_s),
            label_singleton=True,
            distance_metric="haversine",
        )
        return tracks, model.fit_predict(tracks)

    return work


def by_fastmob(path: Path) -> Callable[[], object]:
    """fastmob.preprocessing.stay_locations on an Arrow table, its fastest backend."""
    import pyarrow as pa  # noqa: PLC0415
    from fastmob.preprocessing import stay_locations  # noqa: PLC0415

    case = Case(path)
    table = pa.table(
        {
            "uid": case.device,
            "datetime": pa.array(np.datetime64(EPOCH, "ms") + (case.time_s * 1000).astype("timedelta64[ms]")),
            "lat": case.latitude,
            "lng": case.longitude,
        }
    )

    def work() -> object:
        return stay_locations(
            table,
            minutes_for_a_stop=case.stay_s / 60,
            spatial_radius_km=case.radius_m["fastmob"] / 1000,
            no_data_for_minutes=case.gap_s / 60,
        )

    return work


def stays(name: str, found: object) -> np.ndarray:
    """Give the stays (S, 3) of what a library returned."""
    return CONVERTERS[name](found)


def labelled(found: tuple[list, list]) -> np.ndarray:
    """Runs of one place's label are stays."""
    parts = []
    for number, (track, labels) in enumerate(zip(*found, strict=True)):
        cuts = np.flatnonzero(np.diff(labels, prepend=-2))
        ends = np.append(cuts[1:], len(labels)) - 1
        kept = labels[cuts] >= 0
        time_s = track[:, 2]
        parts.append(np.column_stack((np.full(kept.sum(), number), time_s[cuts[kept]], time_s[ends[kept]])))
    return np.concatenate(parts)


CONVERTERS: dict[str, Callable[..., np.ndarray]] = {
    "trackintel": lambda f: np.column_stack((f["user_id"], seconds(f["started_at"]), seconds(f["finished_at"]))),
    "scikit-mobility": lambda f: np.column_stack((f["uid"], seconds(f["datetime"]), seconds(f["leaving_datetime"]))),
    "movingpandas": lambda f: np.column_stack(
        ([float(stop.traj_id) for stop in f], seconds([stop.t_0 for stop in f]), seconds([stop.t_n for stop in f]))
    ),
    "infostop": labelled,
    "fastmob": lambda f: np.column_stack(
        (f.column("uid").to_numpy(), *(instants(f.column(name)) for name in ("datetime", "leaving_datetime")))
    ),
}


if __name__ == "__main__":
    main(
        {
            "trackintel": ("trackintel", by_trackintel),
            "scikit-mobility": ("scikit-mobility", by_scikit_mobility),
            "movingpandas": ("movingpandas", by_movingpandas),
            "infostop": ("infostop", by_infostop),
            "fastmob": ("fastmob", by_fastmob),
        },
        stays,
    )
