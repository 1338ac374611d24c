"""`footfall hub`: the service in the shop, and who may talk to its broker. No logic."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType

import click

from hostkit.cli import hub_audit, hub_config, hub_enrol, hub_identity, hub_notice, hub_tag, text
from hostkit.cli.options import site_option
from hostkit.field.nights import apply_newest
from hostkit.hub.parts import HubSettings
from hostkit.hub.service import run as run_hub
from hostkit.hub.settings import adopt
from hostkit.io.memory import guard_process
from hostkit.io.mqtt import parse_url
from hostkit.io.webserver import parse_listen


@click.group()
def hub() -> None:
    """The machine in the shop that turns sightings into visits: run it, and say who may talk to it."""
    guard_process()


for _command in (
    hub_identity.init,
    hub_identity.issue,
    hub_identity.revoke,
    hub_identity.identities,
    hub_enrol.enrol,
    hub_audit.audit,
    hub_config.config,
    hub_notice.notice,
    hub_tag.tag,
):
    hub.add_command(_command)


@hub.command(
    epilog="""Examples:

    \b
      footfall hub run --site site.toml
      footfall hub run --site site.toml --serial '/dev/ttyUSB*' --page 0.0.0.0:8890
      footfall hub run --site site.toml --broker mqtt://127.0.0.1:1883 \\
        --uplink "mqtts://head.example:8883?ca=ca.pem&cert=shop.pem&key=shop.key"

    \b
    Exit codes: 0 stopped by SIGTERM or SIGINT, 2 wrong option, 4 site.toml or TLS files are broken,
    5 the data folder cannot be written (disk full, another hub uses it): probes keep what was not taken."""
)
@site_option
@click.option(
    "--broker",
    default="mqtt://127.0.0.1:1883",
    show_default=True,
    metavar="URL",
    help="Site broker, which the probes use; other machines need mqtts.",
)
@click.option("--uplink", metavar="URL", help="The collector's broker.  [default: the site broker]")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("footfall-hub"),
    show_default=True,
    metavar="DIR",
    help="Folder of the outbox; one hub each.",
)
@click.option(
    "--serial",
    multiple=True,
    metavar="PORT",
    help="Serial port of a probe, or a glob in quotes ('/dev/ttyUSB*'), plugged in at any time. Repeatable.",
)
@click.option(
    "--clock",
    type=click.Choice(("wall", "batch")),
    default="wall",
    show_default=True,
    help="Time of day, or that of the batches: for demos and replays, however fast.",
)
@click.option(
    "--page",
    metavar="HOST:PORT",
    help="Serve the phone page there, 0.0.0.0:8890 for the shop's network: how each probe does, read only. "
    "Its address is printed and holds a token.",
)
def run(
    *,
    site_path: Path,
    broker: str,
    uplink: str | None,
    data: Path,
    serial: tuple[str, ...],
    clock: str,
    page: str | None,
) -> None:
    """Take the probes' batches, publish visits and figures, until SIGTERM or SIGINT.

    Prints one line for every event to standard error. Keys and device pseudonyms never reach the disk.
    """
    settings = HubSettings(
        site=adopt(site_path, at_s=time.time()),
        path=site_path,
        broker=parse_url(broker),
        uplink=parse_url(uplink) if uplink else None,
        data=data,
        batch_clock=clock == "batch",
        serial=serial,
        page=parse_listen(page, "--page") if page else None,
        fit_night=apply_newest,
    )
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    text.remark(f"hub: {settings.site.tenant}/{settings.site.site} on {settings.broker}; stop with Ctrl-C")
    run_hub(settings, text.remark, stop)
    text.remark("hub: stopped; what was not acked is sent again after the next start")
