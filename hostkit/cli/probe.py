"""`footfall probe`: finds what is done with one board or many. No logic."""

from types import MappingProxyType

import click

from hostkit.cli.lazy import LazyGroup


class Probes(LazyGroup):
    """Everything that is done with probes."""

    modules = MappingProxyType(
        {
            "backup": "hostkit.cli.probe_backup",
            "flash": "hostkit.cli.probe_flash",
            "identify": "hostkit.cli.probe_identify",
            "install": "hostkit.cli.probe_install",
            "label": "hostkit.cli.probe_label",
            "list": "hostkit.cli.probe_list",
            "monitor": "hostkit.cli.probe_monitor",
            "ports": "hostkit.cli.probe_ports",
            "provision": "hostkit.cli.probe_provision",
            "put-app": "hostkit.cli.probe_put_app",
            "replace": "hostkit.cli.probe_replace",
            "update": "hostkit.cli.probe_update",
            "verify": "hostkit.cli.probe_verify",
        }
    )


@click.group(cls=Probes)
def probe() -> None:
    """Flash, provision, prove and look after probes."""
