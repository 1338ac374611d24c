"""`footfall contract`: shows the published contract. No logic: the data is in hostkit.contract."""

import json
from collections.abc import Iterator

import click
import msgspec

from hostkit import contract as published
from hostkit.errors import UsageError


@click.group()
def contract() -> None:
    """Show what probes, hubs and collectors agree on."""


@contract.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def show(name: str | None, as_json: bool) -> None:
    """List topics and names, or print one: a schema, `kpi-dictionary`, `wire` or `site-toml`.

    \b
    Examples:
      footfall contract show
      footfall contract show visits
      footfall contract show kpi-dictionary --json
    """
    if name is None:
        click.echo(_dump(list(published.topics().values())) if as_json else "\n".join(_overview()))
    elif name == "kpi-dictionary":
        rows = list(published.kpi_dictionary().values())
        click.echo(_dump(rows) if as_json else "\n".join(_dictionary()))
    elif name in published.schema_names():
        click.echo(json.dumps(published.schema(name), indent=2, ensure_ascii=False))
    elif name in published.TEXTS:
        click.echo(json.dumps(published.text(name)) if as_json else published.text(name))
    else:
        raise UsageError(f"{name!r} is not part of the contract", where="contract show", next_step=f"use {_names()}")


def _names() -> str:
    return ", ".join(("kpi-dictionary", *published.TEXTS, *published.schema_names()))


def _overview() -> Iterator[str]:
    yield "footfall/v1/<tenant>/<site>/<node>/..."
    for row in published.topics().values():
        way = f"{', '.join(row.publishers)} > {', '.join(row.readers)}"
        yield f"{row.stream:<11} {way:<31} QoS {row.qos}{' R' if row.retained else '  '}  {row.schema:<7} {row.doc}"
    yield f"Print one with `footfall contract show NAME`: {_names()}"


def _dictionary() -> Iterator[str]:
    for row in published.kpi_dictionary().values():
        yield f"{row.id} v{row.version}: {row.name_en} ({row.name_zh}), {row.unit}, per {' and '.join(row.grain)}"
        yield f"  = {row.formula}"
        yield f"  null: {row.null_rule}; better: {row.direction}"


def _dump(rows: object) -> str:
    return msgspec.json.format(msgspec.json.encode(rows)).decode()
