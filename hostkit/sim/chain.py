"""The whole chain on one machine: broker, hub, collector and probes, each the process a user would start by hand."""

import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hostkit.config import dump_site
from hostkit.io.broker import LOOPBACK, BrokerPlan, free_port, plan_broker, unused_port
from hostkit.io.files import storage_error
from hostkit.io.process import Child, Children
from hostkit.model import Provenance
from hostkit.sim.world import SimSettings

FOOTFALL = (sys.executable, "-c", "from hostkit.cli.main import main; main()")
_BROKER_S, _SERVICE_S = 20.0, 60.0  # a Pi imports the libraries of the collector in some 20 s
PLAYED = "played"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What runs, and where. `played` is the folder the probes leave their world in when they have ended."""

    folder: Path
    settings: SimSettings
    broker: Child
    hub: Child
    collector: Child
    probes: Child
    plan: BrokerPlan
    http: str

    @property
    def played(self) -> Path:
        """Give the folder with truth and sales of what was played; there once `probes` has ended."""
        return self.folder / PLAYED

    @property
    def api(self) -> str:
        """Give where the collector answers for the demo's place."""
        site = self.settings.site
        return f"{self.http}/api/v1/places/{site.tenant}/{site.site}/{Provenance.SIMULATED.value}"

    @property
    def outbox(self) -> Path:
        """Give the hub's file."""
        return self.folder / "hub" / "hub.db"

    @property
    def store(self) -> Path:
        """Give the collector's file."""
        return self.folder / "collector" / "collector.sqlite"


def start_chain(
    folder: Path,
    settings: SimSettings,
    children: Children,
    *,
    speed: float,
    say: Callable[[str], None],
    broker_kind: str | None = None,
    http_port: int | None = None,
) -> Chain:
    """Start everything in `folder`, first what the others need; `children` takes charge.

    Raises PeerError for a service that does not start, StorageError, UsageError.
    """
    port = free_port() if http_port is None else unused_port(http_port, "page")
    plan = plan_broker(folder / "broker", kind=broker_kind)
    site_file = folder / "site.toml"
    try:
        site_file.write_text(dump_site(settings.site), encoding="utf-8")
    except OSError as error:
        raise storage_error(str(site_file), error) from error
    say(plan.remark)
    broker = children.start("broker", plan.argv, folder)
    broker.wait_until(plan.accepts, _BROKER_S)
    collector = children.start("collector", _collector(folder, plan, port), folder)
    hub = children.start("hub", _hub(folder, plan, site_file), folder)
    collector.wait_until(lambda: accepts(port), _SERVICE_S)
    probes = children.start("probes", _probes(folder, plan, site_file, settings, speed), folder)
    return Chain(
        folder=folder,
        settings=settings,
        broker=broker,
        hub=hub,
        collector=collector,
        probes=probes,
        plan=plan,
        http=f"http://{LOOPBACK}:{port}",
    )


def accepts(port: int) -> bool:
    """Tell whether somebody listens on a port of this machine."""
    with socket.socket() as knock:
        knock.settimeout(0.5)
        return knock.connect_ex((LOOPBACK, port)) == 0


def _hub(folder: Path, plan: BrokerPlan, site_file: Path) -> tuple[str, ...]:
    options = ("--site", str(site_file), "--broker", plan.url, "--data", str(folder / "hub"), "--clock", "batch")
    return (*FOOTFALL, "hub", "run", *options)


def _collector(folder: Path, plan: BrokerPlan, port: int) -> tuple[str, ...]:
    options = ("--broker", plan.url, "--data", str(folder / "collector"), "--clock", "batch")
    return (*FOOTFALL, "collector", "run", *options, "--http", f"{LOOPBACK}:{port}")


def _probes(folder: Path, plan: BrokerPlan, site_file: Path, settings: SimSettings, speed: float) -> tuple[str, ...]:
    world = {
        "--site": site_file,
        "--people": settings.people,
        "--hours": settings.hours,
        "--start": settings.start.isoformat(timespec="minutes"),
        "--seed": settings.seed,
        "--mqtt": plan.url,
        "--speed": speed,
        "--out": folder / PLAYED,
    }
    options = (str(part) for pair in world.items() for part in pair)
    return (*FOOTFALL, "simulate", *options, "--json")
