"""Every kernel beside every peer and floor, on one input in one run, as ratios of CPU time."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from hostkit.core.multilaterate import multilaterate
from tests.bench import kernels
from tests.bench import workloads as w
from tests.bench.environments import OWN, environment
from tests.bench.live import measure
from tests.bench.measure import cpu_s_in_turn, least_cpu_s
from tests.builders import pcap

PEERS = Path(__file__).with_name("peers")
PEER_S = 900
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
) | {"RAYON_NUM_THREADS": "1"}
DATA = Path(os.environ.get("FOOTFALL_DATA", Path(__file__).parents[3] / "shared" / "data"))
HASHING, BANDWIDTH = "floor: hash every octet", "floor: memory bandwidth"
LIVE_S = 15.0
RECORDED = "probes/brno-lab/pcap/*/*.pcap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: items per CPU-second, and ours over the peer's; `missing` says why a peer did not run."""

    kernel: str
    peer: str
    version: str = ""
    items: int  # that the peer was given; ours runs on the whole input
    unit: str
    peer_per_s: float | None = None
    ours_per_s: float | None = None
    ratio: float | None = None
    aim: float | None = None
    quality: str = ""  # what the quality figures are
    peer_quality: float | None = None
    ours_quality: float | None = None
    missing: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the ratio reaches its aim; None where there is none."""
        return None if self.aim is None or self.ratio is None else self.ratio >= self.aim


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer of a kernel: its script, its environment, how many items of the input it gets."""

    name: str
    script: str
    place: str = OWN
    items: int
    quick_items: int = 200
    aim: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One kernel on one input: `items` of `unit`; `save(path, items)` writes what a peer reads, `judge` grades it."""

    kernel: str
    unit: str
    items: int
    ours: Callable[[], object]
    save: Callable[[Path, int], None]
    quality: str = ""
    judge: Callable[[np.ndarray, int], float] | None = None
    ours_result: Callable[[], np.ndarray] | None = None

    def against(self, peer: Peer, folder: Path, say: Callable[[str], None]) -> Row:
        """Run a peer, then ours, so that both meet the same load."""
        row = Row(kernel=self.kernel, peer=peer.name, items=peer.items, unit=self.unit, aim=peer.aim)
        place = environment(peer.place, say=say)
        if place.missing:
            return replace(row, missing=place.missing)
        say(f"{self.kernel}: {peer.name}, {peer.items:,} {self.unit}")
        source, target = folder / "input", folder / "result.npy"
        source = source.with_suffix(".pcap" if peer.script == "parse_peers.py" else ".npz")
        self.save(source, peer.items)
        command = [str(place.python), str(PEERS / peer.script), peer.name, str(source), str(target)]
        done = _run(command, folder)
        if isinstance(done, str):
            return replace(row, missing=done)
        peer_per_s = peer.items / max(float(done["cpu_s"]), 1e-9)
        ours_per_s = self.items / least_cpu_s(self.ours)
        row = replace(row, version=str(done["version"]), peer_per_s=peer_per_s, ours_per_s=ours_per_s)
        return self._judged(replace(row, ratio=ours_per_s / peer_per_s), np.load(target))

    def _judged(self, row: Row, result: np.ndarray) -> Row:
        if self.judge is None or self.ours_result is None:
            return row
        return replace(
            row,
            quality=self.quality,
            peer_quality=self.judge(result, row.items),
            ours_quality=self.judge(self.ours_result(), row.items),
        )


def _run(command: list[str], folder: Path) -> dict[str, object] | str:
    """Give what a peer's script reports, or the last thing it said."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PEER_S,
            env=os.environ | ONE_THREAD | {"PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        return f"took more than {PEER_S} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return f"does not run: {lines[-1][:120] if lines else 'no message'}"
    reported: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return reported


def rows(*, quick: bool, say: Callable[[str], None], only: str | None = None) -> Iterator[Row]:
    """Run everything, or `only` one kernel; `quick`: small inputs, and only peers of this environment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for make, peers in (
            (_parse, PARSERS),
            (_locate, LOCATORS),
            (_locate_robust, ROBUST),
            (_locate_by_least_squares, SOLVERS),
            (_dwell, SEGMENTERS),
            (_dwell_as_heard, SEGMENTERS[-1:]),
            (_associate, CLUSTERERS),
            (_associate_50, (CURRENT[50],)),
            (_associate_200, (CURRENT[200],)),
            (_associate_600, (CURRENT[600],)),
        ):
            if only and not make.__name__.startswith(f"_{only}"):
                continue
            contest = make(quick)
            yield from _floors(contest.kernel, quick, folder)
            for peer in peers:
                if not quick:
                    yield contest.against(peer, folder, say)
                elif peer.place == OWN:
                    yield contest.against(replace(peer, items=peer.quick_items), folder, say)
        if not quick and only in {None, "live"}:
            say(f"live: {LIVE_S:g} s of 64 probes")
            yield _live(folder)


PARSERS = (
    Peer(name="dpkt", script="parse_peers.py", items=10_000, aim=700),
    Peer(name="scapy", script="parse_peers.py", items=2_000),
    # Its start is subtracted: of few frames nothing but the noise of that would be left.
    Peer(name="tshark", script="parse_peers.py", items=20_000, quick_items=4_000),
)
LOCATORS = (
    Peer(name="scipy", script="locate_peers.py", items=500, aim=800),
    Peer(name="localization", script="locate_peers.py", place="trilateration", items=500),
    Peer(name="easy-trilateration", script="locate_peers.py", place="trilateration", items=500),
    Peer(name="numpy LM", script="locate_peers.py", items=20_000),
    Peer(name="pyceres", script="locate_peers.py", place="pyceres", items=2_000),
)
ROBUST = (Peer(name="scipy", script="locate_peers.py", items=500, aim=200),)
SOLVERS = tuple(replace(peer, aim=None) for peer in LOCATORS)
SEGMENTERS = (
    Peer(name="trackintel", script="dwell_peers.py", place="geo", items=100_000),
    Peer(name="movingpandas", script="dwell_peers.py", place="geo", items=20_000),
    Peer(name="scikit-mobility", script="dwell_peers.py", place="scikit-mobility", items=100_000),
    Peer(name="infostop", script="dwell_peers.py", place="infostop", items=100_000),
    Peer(name="fastmob", script="dwell_peers.py", place="fastmob", items=1_000_000, aim=8),
)
CLUSTERERS = (Peer(name="scikit-learn HDBSCAN", script="associate_peers.py", items=72_000, quick_items=2_400, aim=40),)
MINUTES, QUICK_MINUTES = 30, 20  # of the crowds whose labels are kept current, a burst of each phone in each
CURRENT = {
    phones: Peer(
        name="HDBSCAN each 30 s",
        script="associate_peers.py",
        items=phones * MINUTES,
        quick_items=phones * QUICK_MINUTES,
        aim=40,
    )
    for phones in (50, 200, 600)
}


# ---- parse ----


def _parse(quick: bool) -> Contest:
    capture = w.street(4_000 if quick else 200_000)
    offsets, lengths = kernels.packets(capture)

    def save(path: Path, items: int) -> None:
        path.write_bytes(capture[: offsets[items - 1] + lengths[items - 1]])

    return Contest(
        kernel="parse",
        unit="frames",
        items=len(offsets),
        ours=lambda: kernels.parse(capture),
        save=save,
        quality="share found",
        judge=lambda found, items: min(float(found), items) / items,
        ours_result=lambda: np.array(kernels.parse(capture)),
    )


def _recorded() -> bytes:
    return pcap([]) + b"".join(path.read_bytes()[24:] for path in sorted(DATA.glob(RECORDED)))


def _live(folder: Path) -> Row:
    """Broker to outbox, pipeline included, beside who only takes the same batches from the broker."""
    row = Row(kernel="live", peer="floor: paho, discards", items=0, unit="sightings")
    if shutil.which("mosquitto") is None:
        return replace(row, missing="not installed: mosquitto")
    cost = measure(LIVE_S, folder)
    items = cost.played.frames
    return replace(
        row, items=items, version=version("paho-mqtt"), ratio=cost.bare_s / cost.hub_s,
        peer_per_s=items / cost.bare_s, ours_per_s=items / cost.hub_s,
    )  # fmt: skip


def _floors(kernel: str, quick: bool, folder: Path) -> Iterator[Row]:
    """What no kernel of this kind can be much faster than."""
    if kernel == "parse":
        captures = {"parse": w.street(4_000 if quick else 200_000), "parse recorded": _recorded()}
        for name, capture in captures.items():
            if len(capture) > 24 and not (quick and name == "parse recorded"):
                yield from _parse_floors(name, capture, folder)
    elif kernel == "dwell":
        columns = kernels.columns_of(w.walks(20 if quick else 1_000, POINTS))
        row = Row(kernel="dwell", peer=BANDWIDTH, items=len(columns[0]), unit="fixes")
        yield _measured(row, lambda: kernels.segment(columns), kernels.copying(*columns))


def _parse_floors(name: str, capture: bytes, folder: Path) -> Iterator[Row]:
    row = Row(kernel=name, peer=HASHING, items=len(kernels.packets(capture)[0]), unit="frames", aim=0.8)
    try:
        hashing = kernels.hash_octets(capture, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        yield replace(row, missing=f"needs a C compiler: {error}")
    else:
        yield _measured(row, lambda: kernels.parse(capture), hashing)
    copying = kernels.copying(np.frombuffer(capture, np.uint8))
    yield _measured(replace(row, peer=BANDWIDTH, aim=None), lambda: kernels.parse(capture), copying)


def _measured(row: Row, ours: Callable[[], object], floor: Callable[[], object]) -> Row:
    ours_s, floor_s = cpu_s_in_turn(ours, floor)
    return replace(row, peer_per_s=row.items / floor_s, ours_per_s=row.items / ours_s, ratio=floor_s / ours_s)


# ---- locate ----


def _locate(quick: bool) -> Contest:
    return _grid(quick, robust=False)


def _locate_robust(quick: bool) -> Contest:
    return _grid(quick, robust=True)


def _grid(quick: bool, *, robust: bool) -> Contest:
    case = w.bursts(1_000 if quick else 20_000)
    it, rssi_dbm = kernels.locator(case, robust=robust), case.rssi_dbm.astype(np.float32)
    return _positions(
        "locate robust" if robust else "locate", case, lambda: it.fixes(rssi_dbm), lambda: kernels.places(it, rssi_dbm)
    )


def _locate_by_least_squares(quick: bool) -> Contest:
    case = w.bursts(1_000 if quick else 20_000)
    model = {"rssi_1m_dbm": w.MODEL.rssi_1m_dbm, "exponent": w.MODEL.exponent, "sigma_db": w.MODEL.sigma_db}

    def solve() -> np.ndarray:
        found = multilaterate(case.rssi_dbm, case.anchors_m, power_sigma_db=w.MODEL.power_sigma_db, **model)
        return np.column_stack((found.x_m, found.y_m))

    return _positions("locate LM", case, solve, solve)


def _positions(
    kernel: str, case: w.Bursts, ours: Callable[[], object], ours_result: Callable[[], np.ndarray]
) -> Contest:
    def save(path: Path, items: int) -> None:
        np.savez(
            path,
            anchors_m=case.anchors_m,
            rssi_dbm=case.rssi_dbm[:items],
            rssi_1m_dbm=w.MODEL.rssi_1m_dbm,
            exponent=w.MODEL.exponent,
        )

    centre = case.anchors_m[:, :2].mean(axis=0)

    def rmse_m(found: np.ndarray, items: int) -> float:
        """What has no solution counts as the middle of the anchors, where the peers begin."""
        error = np.where(np.isnan(found), centre, found)[:items] - case.places_m[:items]
        return float(np.sqrt((error**2).sum(axis=1).mean()))

    return Contest(
        kernel=kernel,
        unit="bursts",
        items=len(case.rssi_dbm),
        ours=ours,
        save=save,
        quality="RMSE m",
        judge=rmse_m,
        ours_result=ours_result,
    )


# ---- dwell ----

POINTS = 1_000


def _dwell(quick: bool) -> Contest:
    return _stays("dwell", w.walks(20 if quick else 1_000, POINTS))


def _dwell_as_heard(quick: bool) -> Contest:
    return _stays("dwell as heard", w.walks(20 if quick else 1_000, POINTS).as_heard())


def _stays(kernel: str, walks: w.Walks) -> Contest:
    columns = kernels.columns_of(walks)

    def save(path: Path, items: int) -> None:
        some = walks.first(items // POINTS)
        fixes = {"device": some.device, "time_s": some.time_s, "x_m": some.x_m, "y_m": some.y_m}
        np.savez(path, **fixes, stay_s=w.STAY_S, gap_s=w.GAP_S)

    def f1(found: np.ndarray, items: int) -> float:
        devices = items // POINTS
        return w.stays_f1(found[found[:, 0] < devices], walks.first(devices).stays)

    return Contest(
        kernel=kernel,
        unit="fixes",
        items=len(columns[0]),
        ours=lambda: kernels.segment(columns),
        save=save,
        quality="stay F1",
        judge=f1,
        ours_result=lambda: kernels.stays(columns),
    )


# ---- associate ----


def _associate(quick: bool) -> Contest:
    sightings = w.crowd(20 if quick else 200, 10 if quick else 30, 20)

    def save(path: Path, items: int) -> None:
        np.savez(path, features=kernels.burst_features(sightings[:items])[0])

    return Contest(
        kernel="associate", unit="sightings", items=len(sightings), ours=lambda: kernels.track(sightings), save=save
    )


def _associate_50(quick: bool) -> Contest:
    return _kept_current(50, quick)


def _associate_200(quick: bool) -> Contest:
    return _kept_current(200, quick)


def _associate_600(quick: bool) -> Contest:
    return _kept_current(600, quick)


def _kept_current(phones: int, quick: bool) -> Contest:
    """What a hub needs: the labels of the last quarter of an hour at every half minute."""
    sightings = w.crowd(phones, QUICK_MINUTES if quick else MINUTES, 20)
    features, last_s = kernels.burst_features(sightings)

    def save(path: Path, items: int) -> None:
        np.savez(path, features=features[:items], last_s=last_s[:items])

    return Contest(
        kernel=f"associate {phones} phones",
        unit="bursts",
        items=len(features),
        ours=lambda: kernels.track_as_heard(sightings),
        save=save,
    )
