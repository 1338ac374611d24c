"""What every peer's script shares. Imports nothing but NumPy: it runs in the peers' own environments."""

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

ENOUGH_S = 0.3  # a peer that needs longer runs twice, a quicker one five times


def measure(work: Callable[[], object]) -> tuple[float, object]:
    """Least CPU time of two to five calls, and what the last gave; nothing of what it prints is shown."""
    spent = []
    while len(spent) < (2 if spent and spent[0] > ENOUGH_S else 5):
        with contextlib.redirect_stdout(io.StringIO()):
            start_s = time.process_time()
            result = work()
            spent.append(time.process_time() - start_s)
    return min(spent), result


def main(
    peers: dict[str, tuple[str, Callable[[Path], Callable[[], object]]]],
    convert: Callable[[str, object], np.ndarray] = lambda name, result: np.asarray(result),
    one_in: int = 1,
) -> None:
    """Run `PEER INPUT OUTPUT`: `peers` maps a name to its package and a function from input to the work itself.

    `convert` makes an array of a peer's result; its time does not count. Work that does but one in so many of its parts
    has its time scaled by `one_in`.
    """
    name, source, target = sys.argv[1:]
    package, prepare = peers[name]
    spent_s, result = measure(prepare(Path(source)))
    np.save(target, convert(name, result))
    print(json.dumps({"version": version(package), "cpu_s": spent_s * one_in}))
