"""Command groups whose commands are imported only when named: a Pi needs a second to import the plotting library."""

import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
    """A click group whose subclass gives `modules`: command name to the module that defines a function of that name."""

    modules: Mapping[str, str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command, without importing any."""
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of `cmd_name` and return the command it defines under the same name, `_` for `-`."""
        if cmd_name not in self.modules:
            return None
        command = getattr(importlib.import_module(self.modules[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command
