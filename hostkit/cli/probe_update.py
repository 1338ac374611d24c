"""`footfall probe update`: signed firmware over the air, in stages. No logic."""

from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from hostkit.cli import probe_options as options
from hostkit.cli import text
from hostkit.cli.identity_options import hub_data
from hostkit.cli.options import json_option, site_option
from hostkit.config import load_site
from hostkit.contract.commands import ProbeUpdate, RolloutState
from hostkit.errors import ExitCode, UsageError
from hostkit.hub.update import stop_update, update_probes
from hostkit.install.frames import shown


@click.command(
    epilog="""Examples:

    \b
      footfall probe update --site site.toml --as installer --release release --data footfall-hub     on the hub
      footfall probe update --site site.toml --as installer till door       the release that lies at the hub
      footfall probe update --site site.toml --as installer --stop

    \b
    Ctrl-C stops looking on, not the update. Exit codes: 0 all kept the new image or had it, 2 wrong option or probe,
    3 a release that is none, 4 site.toml or the credential, 6 no hub, or a probe went back to its old image."""
)
@click.argument("probes", nargs=-1, metavar="[PROBE]...")
@site_option
@options.as_option
@options.broker_option
@click.option(
    "--release",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Signed release to put into the hub's folder first: on the hub's machine alone.",
)
@hub_data
@click.option("--stop", "stopping", is_flag=True, help="Let no further stage begin.")
@json_option
def update(
    *,
    probes: tuple[str, ...],
    site_path: Path,
    folder: Path | None,
    broker: str | None,
    release: Path | None,
    data: Path,
    stopping: bool,
    as_json: bool,
) -> None:
    """Update PROBEs, or all, with a signed release: one, then a quarter, then the rest.

    Each must take the image, restart into it, reach the hub and be well for two minutes before the next stage begins;
    one that does not goes back to its old image by itself, and no further stage begins.
    """
    site = load_site(site_path)
    for name in probes:
        options.probe_of(site, name)
    if stopping and (release or probes):
        raise UsageError("stops all of it", where="--stop", next_step="leave out --release and the probes")
    envoy = options.hub_of(site, broker, folder)
    if stopping:
        state = stop_update(envoy)
    else:
        told = _teller()
        state = update_probes(envoy, release=release, data=data, probes=probes, on_state=told)
    if as_json:
        text.emit(msgspec.json.encode(state).decode() + "\n")
    else:
        text.emit(_summary(state))
    if not stopping and state.state != "done":
        raise click.exceptions.Exit(ExitCode.PEER)


def _teller() -> Callable[[RolloutState], None]:
    """Give what prints each change once."""
    last: dict[str, str] = {}

    def tell(state: RolloutState) -> None:
        for one in state.probes:
            line = _line(one)
            if last.get(one.probe) != line:
                last[one.probe] = line
                text.remark(f"stage {state.stage} of {state.stages}: {one.probe}: {line}")

    return tell


def _line(one: ProbeUpdate) -> str:
    """Say how far one probe is; sending in steps of a quarter."""
    word = one.state.value.replace("_", " ")
    if word == "sending":
        return f"{word} {one.percent // 25 * 25} %"
    return f"{word}: {shown(one.what)}" if one.what else word


def _summary(state: RolloutState) -> str:
    rows = [f"  {one.probe}: {_line(one)}" for one in state.probes]
    version = f" {shown(state.version)}" if state.version else ""
    return "\n".join([f"update{version}: {state.state}, stage {state.stage} of {state.stages}", *rows]) + "\n"
