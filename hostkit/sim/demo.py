"""The demo: a simulated shop through the whole chain, then measured against truth for exactly what was played."""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from hostkit.core.kpi import Kpi
from hostkit.errors import ExitCode, PeerError
from hostkit.io.fetch import fetch_json
from hostkit.io.process import Children
from hostkit.io.rows import Rows, count_rows
from hostkit.model import Coverage, Estimate
from hostkit.sim.chain import FOOTFALL, Chain, start_chain
from hostkit.sim.compare import Row, compare, read_summary
from hostkit.sim.plan import default_site
from hostkit.sim.truth import BIN_S, Summary
from hostkit.sim.world import MAX_HOURS, MIN_HOURS, SimSettings

PEOPLE_PER_HOUR = 200
_TURN_S = 0.5
_SLACK_S = 15.0  # for the probes to say goodbye, beyond what they wait for acknowledgements
_GOODBYE_S = 90.0
_SETTLE_S = 60.0
_STILL_S = 2.5  # the collector computes once a second; figures that stay so long are done
_DAY_START, _OPENING = datetime(2025, 3, 4, 0, 0), datetime(2025, 3, 4, 10, 0)
_LATEST_HOURS = 13.5  # after opening, within the same local day

# A probe process that is stopped while it still imports or makes its world, and one that has played nothing.
_STOPPED = (-signal.SIGTERM, ExitCode.INTERRUPTED)

Say = Callable[[str], None]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure as the collector's API gives it."""

    id: str
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    method: str
    zone: str | None
    hour: int | None


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The shop now, as the API gives it."""

    provenance: str
    at_s: int | None
    figures: list[Figure]


class _Bucket(msgspec.Struct, frozen=True, kw_only=True):
    figures: list[Figure]


class _Days(msgspec.Struct, frozen=True, kw_only=True):
    buckets: list[_Bucket]


class _Span(msgspec.Struct, frozen=True, kw_only=True):
    from_us: int
    until_us: int


class _Ended(msgspec.Struct, frozen=True, kw_only=True):
    played: _Span


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """What to show: `duration_s` of wall time at `speed` times real time."""

    speed: float
    duration_s: float
    seed: int
    broker: str | None = None
    http_port: int | None = None
    people_per_hour: float = PEOPLE_PER_HOUR

    @property
    def world(self) -> SimSettings:
        """Give the world to be played: as long as will be shown, within one local day."""
        hours = min(max(self.duration_s * self.speed / 3600.0, MIN_HOURS), MAX_HOURS)
        return SimSettings(
            site=default_site(),
            people=max(round(self.people_per_hour * hours), 1),
            hours=hours,
            start=_OPENING if hours <= _LATEST_HOURS else _DAY_START,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """Measured against truth for the span played, in Unix seconds."""

    start_s: float
    end_s: float
    wall_s: float
    truth: Summary
    compared: tuple[Row, ...]
    rows: Rows


class Demo:
    """A running demo. `stop` may be called from a signal handler."""

    def __init__(self, folder: Path, settings: DemoSettings, children: Children, say: Say) -> None:
        self.settings = settings
        self._children, self._say = children, say
        self._stopped = False
        self._began_s = time.monotonic()
        self._occupancy: dict[int, Figure] = {}
        self.chain: Chain = start_chain(
            folder, settings.world, children, speed=settings.speed, say=say,
            broker_kind=settings.broker, http_port=settings.http_port,
        )  # fmt: skip

    def stop(self) -> None:
        """End the play now; what was played is still measured."""
        self._stopped = True

    def play(self, show: Callable[[LiveFigures], None]) -> None:
        """Follow the play until it is over, its time is up or `stop`; `show` gets the live figures as they come."""
        end_s = time.monotonic() + self.settings.duration_s + _SLACK_S
        while self.chain.probes.running and not self._stopped and time.monotonic() < end_s:
            self._check_services()
            live = self._live()
            if live is not None:
                show(live)
            time.sleep(_TURN_S)
        self.chain.probes.ask_to_stop()

    def measure(self) -> DemoResult | None:
        """Wait for the last rows, stop the services, and compare; None if it was stopped before anything was played.

        Raises HostkitError for what went wrong.
        """
        chain = self.chain
        span = self._span()
        if span is None:
            return None
        self._import_sales()
        figures = self._settled()
        chain.hub.stop()
        chain.collector.stop()
        truth = read_summary(chain.played / "truth" / "summary.json")
        return DemoResult(
            start_s=span.from_us / 1e6,
            end_s=span.until_us / 1e6,
            wall_s=time.monotonic() - self._began_s,
            truth=truth,
            compared=(*compare(map(_kpi, figures), truth), self._mean_occupancy(truth)),
            rows=count_rows(chain.outbox, chain.store),
        )

    def _check_services(self) -> None:
        for child in (self.chain.broker, self.chain.hub, self.chain.collector):
            if not child.running:
                raise child.ended()

    def _live(self) -> LiveFigures | None:
        """Ask for the figures of now; None before there are any."""
        try:
            live = msgspec.convert(fetch_json(f"{self.chain.api}/live"), LiveFigures)
        except PeerError:
            return None
        inside = next((figure for figure in live.figures if figure.id == "occupancy"), None)
        if live.at_s is not None and inside is not None and inside.value is not None:
            self._occupancy[live.at_s] = inside
        return live

    def _span(self) -> _Span | None:
        """Wait for the probes to end and read what they played, None if that is nothing."""
        probes = self.chain.probes
        code = probes.wait(_GOODBYE_S)
        if self._stopped and code in _STOPPED:
            return None
        if code != ExitCode.OK:
            raise probes.ended()
        return msgspec.json.decode(probes.out.read_bytes(), type=_Ended).played

    def _import_sales(self) -> None:
        chain = self.chain
        options = ("--tenant", chain.settings.site.tenant, "--data", str(chain.store.parent))
        command = (*FOOTFALL, "collector", "import-sales", *options, str(chain.played / "sales.csv"))
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SETTLE_S, check=False)
        if done.returncode != 0:
            line = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise PeerError(line[:300], where="import of sales", next_step="look at the collector's log")

    def _settled(self) -> list[Figure]:
        """Give the day's figures once they have stopped changing."""
        give_up = time.monotonic() + _SETTLE_S
        figures: list[Figure] = []
        since_s = time.monotonic()
        while time.monotonic() < give_up:
            self._check_services()
            latest = self._day()
            if latest != figures:
                figures, since_s = latest, time.monotonic()
            elif figures and time.monotonic() - since_s > _STILL_S:
                return figures
            time.sleep(_TURN_S)
        if not figures:
            raise PeerError(
                "has no figures of the day", where="collector", next_step=f"read {self.chain.collector.log}"
            )
        return figures

    def _day(self) -> list[Figure]:
        day = self.chain.settings.start.date().isoformat()
        try:
            answer = fetch_json(f"{self.chain.api}/kpis?grain=day&from={day}&to={day}")
        except PeerError:
            return []
        return [figure for bucket in msgspec.convert(answer, _Days).buckets for figure in bucket.figures]

    def _mean_occupancy(self, truth: Summary) -> Row:
        """Put the mean of all live occupancies beside the true mean of the same span."""
        span_s = truth.end_s - truth.start_s
        true = sum(bin_.people for bin_ in truth.occupancy) * BIN_S / span_s if span_s else None
        seen = [figure for at_s, figure in self._occupancy.items() if truth.start_s <= at_s <= truth.end_s]
        columns = [[getattr(figure, name) or 0.0 for figure in seen] for name in ("value", "low", "high")]
        value, low, high = (sum(column) / len(column) if column else None for column in columns)
        return Row(
            id="occupancy",
            of=None,
            measured=value,
            low=low,
            high=high,
            truth=true,
            error=None if value is None or true is None else (value - true) / (true or 1.0),
            relative=bool(true),
            covered=None if low is None or high is None or true is None else low <= true <= high,
        )


def _kpi(figure: Figure) -> Kpi:
    """Read a figure of the API as the core's."""
    of = figure.zone or (None if figure.hour is None else f"{figure.hour:02d}")
    estimate = Estimate(
        value=figure.value, low=figure.low, high=figure.high, method=figure.method, reason=figure.reason
    )
    unknown = Coverage(listened_share=None, probes_up=0, probes_expected=0, completeness=None)
    return Kpi(id=figure.id, value=estimate, coverage=unknown, of=of)
