"""Multilateration: places (M, 2) from RSSI (M, K) at anchors (K, 2) under one path-loss model of known power."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import main

LM_STEPS = 25
MIN_DISTANCE_M = 0.5


class Case:
    """Input of a script, and distances by inverting the model."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self.anchors, self.rssi = file["anchors_m"][:, :2], file["rssi_dbm"]
            self.rssi_1m, self.exponent = float(file["rssi_1m_dbm"]), float(file["exponent"])
        self.centre = self.anchors.mean(axis=0)
        self.distance = 10 ** ((self.rssi_1m - self.rssi) / (10 * self.exponent))

    def residual(self, place: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Give measured minus expected RSSI (K,) at a place."""
        away = np.hypot(*(place - self.anchors).T)
        return row - self.rssi_1m + 10 * self.exponent * np.log10(np.maximum(away, MIN_DISTANCE_M))


def by_scipy(path: Path) -> Callable[[], np.ndarray]:
    """scipy.optimize.least_squares with its defaults, from the middle of the anchors."""
    from scipy.optimize import least_squares  # noqa: PLC0415

    case = Case(path)
    return lambda: np.array([least_squares(case.residual, case.centre, args=(row,)).x for row in case.rssi])


def by_localization(path: Path) -> Callable[[], np.ndarray]:
    """Its LSE solver on distances."""
    import localization  # noqa: PLC0415

    case = Case(path)

    def one(row: np.ndarray) -> tuple[float, float]:
        project = localization.Project(mode="2D", solver="LSE")
        target, _ = project.add_target()
        for number, anchor in enumerate(case.anchors):
            project.add_anchor(number, tuple(anchor))
            target.add_measure(number, row[number])
        project.solve()
        return target.loc.x, target.loc.y

    return lambda: np.array([one(row) for row in case.distance])


def by_easy_trilateration(path: Path) -> Callable[[], np.ndarray]:
    """Its least squares on circles, from the middle of the anchors."""
    from easy_trilateration.least_squares import easy_least_squares  # noqa: PLC0415
    from easy_trilateration.model import Circle  # noqa: PLC0415

    case = Case(path)

    def one(row: np.ndarray) -> tuple[float, float]:
        circles = [Circle(x, y, radius) for (x, y), radius in zip(case.anchors, row, strict=True)]
        found, _ = easy_least_squares(circles, Circle(*case.centre, 0))
        return found.center.x, found.center.y

    return lambda: np.array([one(row) for row in case.distance])


def by_pyceres(path: Path) -> Callable[[], np.ndarray]:
    """Ceres with a cost function in Python and analytic derivatives, dense QR, from the middle of the anchors."""
    import pyceres  # noqa: PLC0415

    case = Case(path)
    scale = 10 * case.exponent / np.log(10)

    class Burst(pyceres.CostFunction):  # type: ignore[misc]
        def __init__(self, row: np.ndarray) -> None:
            super().__init__()
            self.row = row
            self.set_num_residuals(len(row))
            self.set_parameter_block_sizes([2])

        def Evaluate(self, parameters: list, residuals: np.ndarray, jacobians: list | None) -> bool:  # noqa: N802
            flat = parameters[0] - case.anchors
            squared = np.maximum((flat**2).sum(axis=1), MIN_DISTANCE_M**2)
            residuals[:] = self.row - case.rssi_1m + scale / 2 * np.log(squared)
            if jacobians is not None and jacobians[0] is not None:
                jacobians[0][:] = (scale * flat / squared[:, None]).ravel()
            return True

    options = pyceres.SolverOptions()
    options.linear_solver_type = pyceres.LinearSolverType.DENSE_QR
    options.num_threads = 1
    options.logging_type = pyceres.LoggingType.SILENT

    def one(row: np.ndarray) -> np.ndarray:
        place, problem = case.centre.copy(), pyceres.Problem()
        problem.add_residual_block(Burst(row), None, [place])
        pyceres.solve(options, problem, pyceres.SolverSummary())
        return place

    return lambda: np.array([one(row) for row in case.rssi])


def by_numpy(path: Path) -> Callable[[], np.ndarray]:
    """Levenberg–Marquardt over all bursts at once, 25 steps."""
    case = Case(path)
    scale = 10 * case.exponent / np.log(10)

    def model(place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        flat = place[:, None] - case.anchors
        squared = np.maximum((flat**2).sum(axis=2), MIN_DISTANCE_M**2)
        residual = case.rssi - case.rssi_1m + scale / 2 * np.log(squared)
        return residual, scale * flat / squared[:, :, None], (residual**2).sum(axis=1)

    def work() -> np.ndarray:
        place = np.broadcast_to(case.centre, (len(case.rssi), 2)).copy()
        damping = np.ones(len(place))
        residual, slope, cost = model(place)
        for _ in range(LM_STEPS):
            normal = np.einsum("mki,mkj->mij", slope, slope)
            normal[:, [0, 1], [0, 1]] *= 1 + damping[:, None]
            gradient = np.einsum("mki,mk->mi", slope, residual)
            trial = place - np.linalg.solve(normal, gradient[:, :, None])[:, :, 0]
            residual_new, slope_new, cost_new = model(trial)
            better = cost_new < cost
            place[better], residual[better], slope[better] = trial[better], residual_new[better], slope_new[better]
            cost = np.minimum(cost, cost_new)
            damping = np.where(better, damping / 3, damping * 4)
        return place

    return work


if __name__ == "__main__":
    main(
        {
            "scipy": ("scipy", by_scipy),
            "numpy LM": ("numpy", by_numpy),
            "localization": ("localization", by_localization),
            "easy-trilateration": ("easy-trilateration", by_easy_trilateration),
            "pyceres": ("pyceres", by_pyceres),
        }
    )
