"""CPU time of calls, ratios that hold on a busy machine, and how cost grows."""

import time
from collections.abc import Callable, Sequence

import numpy as np

MIN_SAMPLE_S = 0.02  # a shorter call is repeated: the clock of CPU time is coarse on some machines


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


def least_cpu_s(work: Callable[[], object], rounds: int = 5) -> float:
    """CPU time of a call, least of rounds: what neighbours add is not its own. Short calls repeat within a round."""
    once_s = cpu_s(work)
    repeats = max(1, int(np.ceil(MIN_SAMPLE_S / max(once_s, 1e-9))))

    def several() -> None:
        for _ in range(repeats):
            work()

    return min(cpu_s(several) for _ in range(rounds)) / repeats


def cpu_s_in_turn(work: Callable[[], object], against: Callable[[], object], rounds: int = 9) -> tuple[float, float]:
    """Least CPU time of each, called in turn, so that both meet the same load."""
    least_s = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, call in enumerate((work, against)):
            least_s[index] = min(least_s[index], cpu_s(call))
    return least_s[0], least_s[1]


def slope(sizes: Sequence[float], costs_s: Sequence[float]) -> float:
    """Exponent of growth: the least-squares slope of log cost over log size."""
    return float(np.polyfit(np.log(sizes), np.log(costs_s), 1)[0])
