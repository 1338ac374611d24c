"""The `footfall` command: finds command families, turns expected errors into one line and an exit code."""

import importlib
import sys
from typing import NoReturn

import click

from hostkit import __version__
from hostkit.errors import ExitCode, HostkitError

# Loaded only when named: a Pi needs a second to import the plotting library.
COMMANDS = {
    "collector": "hostkit.cli.collector",
    "contract": "hostkit.cli.contract",
    "demo": "hostkit.cli.demo",
    "hub": "hostkit.cli.hub",
    "replay": "hostkit.cli.replay",
    "simulate": "hostkit.cli.simulate",
    "watch": "hostkit.cli.watch",
}


class LazyGroup(click.Group):
    """A click group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, without importing any."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of `cmd_name` and return the command it defines under the same name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="footfall")
def cli() -> None:
    """Measure how people move through shops from the radio their phones already emit."""


def main() -> NoReturn:
    """Run the command line; expected errors print one line to stderr and exit with their documented code."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("footfall: stopped by you", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except HostkitError as error:
        click.echo(f"footfall: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(ExitCode.OK)
