"""The whole chain under a seeded killer, and what is left of it in the files of hub and collector."""

import json
import random
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hostkit.contract.codec import VISITS
from hostkit.io.process import Child, Children
from hostkit.sim.chain import Chain
from hostkit.sim.demo import Demo, DemoResult, DemoSettings

LEAST_S, MOST_S = 0.0, 0.6  # a service is down so long before it is started again


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the chain left: its result, and the visit ids in the files."""

    result: DemoResult
    produced: list[str]
    stored: list[str]
    unsent: int
    kills: tuple[str, ...]

    @property
    def footfall(self) -> float:
        return self.figure("footfall")

    def figure(self, name: str) -> float:
        (row,) = [row for row in self.result.compared if row.id == name and row.of is None]
        assert row.measured is not None
        return row.measured


class Killer:
    """Kills each of some children `times` times, at moments of a seed within (first_s, last_s) of wall time."""

    def __init__(self, children: tuple[Child, ...], *, times: int, seed: int, first_s: float, last_s: float) -> None:
        random_ = random.Random(seed)
        victims = [child for child in children for _ in range(times)]
        random_.shuffle(victims)
        slot_s = (last_s - first_s) / max(len(victims), 1)
        began_s = time.monotonic()
        self._due = [
            (began_s + first_s + (at + random_.random()) * slot_s, child, random_.uniform(LEAST_S, MOST_S))
            for at, child in enumerate(victims)
        ]
        self._down: list[tuple[float, Child]] = []
        self.killed: list[str] = []

    @property
    def done(self) -> bool:
        return not self._due and not self._down

    def has_down(self, child: Child) -> bool:
        return any(child is one for _, one in self._down)

    def step(self) -> None:
        now_s = time.monotonic()
        for up_s, child in [one for one in self._down if one[0] <= now_s]:
            self._down.remove((up_s, child))
            child.restart()
        if self._due and self._due[0][0] <= now_s and not self.has_down(self._due[0][1]):
            _, child, down_s = self._due.pop(0)
            child.kill()
            self.killed.append(child.name)
            self._down.append((now_s + down_s, child))


def run(folder: Path, settings: DemoSettings, *, kills: int = 0, seed: int = 0) -> Kept:
    """Run a world through the chain; with `kills`, kill broker, hub and collector so many times each meanwhile."""
    folder.mkdir()
    with Children() as children:
        demo = Demo(folder, settings, children, say=print)
        chain = demo.chain
        killer = Killer(
            (chain.broker, chain.hub, chain.collector),
            times=kills, seed=seed, first_s=4.0, last_s=4.0 + settings.duration_s * 0.8,
        )  # fmt: skip
        while chain.probes.running or not killer.done:
            killer.step()
            for child in (chain.broker, chain.hub, chain.collector):
                if not child.running and not killer.has_down(child):
                    raise child.ended()
            time.sleep(0.02)
        assert chain.probes.process.returncode == 0, chain.probes.last_words()
        assert killer.killed.count("hub") == killer.killed.count("broker") == killer.killed.count("collector") == kills
        result = demo.measure()
        assert result is not None
        return _kept(chain, result, tuple(killer.killed))


def waiting(data: Path, scratch: Path) -> dict[int, list[str]]:
    """Give the visit ids of each row that waits in the outbox, whose file a running hub has for itself."""
    scratch.mkdir(exist_ok=True)
    while True:
        for file in data.glob("hub.db*"):
            shutil.copy(file, scratch)
        try:
            with closing(sqlite3.connect(scratch / "hub.db")) as database:
                assert database.execute("SELECT count(*) FROM lost").fetchone() == (0,)
                rows = database.execute("SELECT seq, payload FROM outbox ORDER BY seq").fetchall()
            return {seq: [row.visit_id for row in VISITS.decoder.decode(payload).data.rows] for seq, payload in rows}
        except sqlite3.DatabaseError:  # copied in the middle of a commit
            time.sleep(0.1)


def _kept(chain: Chain, result: DemoResult, killed: tuple[str, ...]) -> Kept:
    return Kept(
        result=result,
        produced=[json.loads(data)["visit_id"] for (data,) in _rows(chain.outbox, "SELECT data FROM visit")],
        stored=[str(row[0]) for row in _rows(chain.store, "SELECT visit_id FROM visit")],
        unsent=len(_rows(chain.outbox, "SELECT seq FROM outbox")),
        kills=killed,
    )


def _rows(path: Path, sql: str) -> list[tuple[bytes, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return database.execute(sql).fetchall()
