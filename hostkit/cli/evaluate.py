"""`footfall evaluate`: finds the evaluations. No logic: they are in hostkit.evaluate."""

from types import MappingProxyType

import click

from hostkit.cli.lazy import LazyGroup


class Evaluations(LazyGroup):
    """Everything that can be scored."""

    modules = MappingProxyType(
        {
            "associate": "hostkit.cli.evaluate_associate",
            "count": "hostkit.cli.evaluate_count",
            "dwell": "hostkit.cli.evaluate_dwell",
            "parse": "hostkit.cli.evaluate_parse",
            "position": "hostkit.cli.evaluate_position",
        }
    )


@click.group(cls=Evaluations)
def evaluate() -> None:
    """Score the product's methods on your own data, beside the baselines people know."""
