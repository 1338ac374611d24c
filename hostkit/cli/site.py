"""`footfall site`: finds what is done with a site file. No logic."""

from types import MappingProxyType

import click

from hostkit.cli.lazy import LazyGroup


class Sites(LazyGroup):
    """Everything that is done with a site file."""

    modules: MappingProxyType[str, str] = MappingProxyType(
        {
            "bundle": "hostkit.cli.site_bundle",
            "check": "hostkit.cli.site_check",
            "init": "hostkit.cli.site_init",
            "show": "hostkit.cli.site_show",
        }
    )


@click.group(cls=Sites)
def site() -> None:
    """Write, check and draw the file that describes a shop."""
