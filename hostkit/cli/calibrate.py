"""`footfall calibrate`: finds the calibrations. No logic."""

from types import MappingProxyType

import click

from hostkit.cli.lazy import LazyGroup


class Calibrations(LazyGroup):
    """Everything that can be calibrated, and its history."""

    modules = MappingProxyType(
        {
            "anchors": "hostkit.cli.calibrate_anchors",
            "count": "hostkit.cli.calibrate_count",
            "list": "hostkit.cli.calibrate_list",
            "undo": "hostkit.cli.calibrate_undo",
            "link": "hostkit.cli.calibrate_link",
            "walk": "hostkit.cli.calibrate_walk",
            "zones": "hostkit.cli.calibrate_zones",
        }
    )


@click.group(cls=Calibrations)
def calibrate() -> None:
    """Fit a site to what people counted or measured there; every calibration can be taken back."""
