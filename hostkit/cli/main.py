"""The `footfall` command: finds command families, turns expected errors into one line and an exit code."""

import sys
from types import MappingProxyType
from typing import NoReturn

import click

from hostkit import __version__
from hostkit.cli.lazy import LazyGroup
from hostkit.errors import ExitCode, HostkitError


class Families(LazyGroup):
    """Every command family."""

    modules = MappingProxyType(
        {
            "bundle": "hostkit.cli.bundle",
            "calibrate": "hostkit.cli.calibrate",
            "collector": "hostkit.cli.collector",
            "command": "hostkit.cli.command",
            "contract": "hostkit.cli.contract",
            "demo": "hostkit.cli.demo",
            "doctor": "hostkit.cli.doctor",
            "enrol": "hostkit.cli.enrol",
            "evaluate": "hostkit.cli.evaluate",
            "hub": "hostkit.cli.hub",
            "probe": "hostkit.cli.probe",
            "replay": "hostkit.cli.replay",
            "simulate": "hostkit.cli.simulate",
            "site": "hostkit.cli.site",
            "watch": "hostkit.cli.watch",
        }
    )


@click.group(cls=Families, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="footfall")
def cli() -> None:
    """Measure how people move through shops from the radio their phones already emit."""


def main() -> NoReturn:
    """Run the command line."""
    guarded(cli)


def guarded(command: click.Command) -> NoReturn:
    """Run a command; expected errors print one line to stderr and exit with their documented code."""
    try:
        # A command that ends with click's Exit comes back as its exit code, others as None.
        sys.exit(command(standalone_mode=False) or ExitCode.OK)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("footfall: stopped by you", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except HostkitError as error:
        click.echo(f"footfall: {error}", err=True)
        sys.exit(error.exit_code)
