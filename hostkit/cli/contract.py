"""`footfall contract`: shows the contract, checks messages, tells changes. No logic: it is in hostkit.contract."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import click
import msgspec

from hostkit import contract as published
from hostkit.cli.lazy import LazyGroup
from hostkit.cli.options import json_option
from hostkit.cli.text import emit, remark
from hostkit.contract.check import refusal, split_line
from hostkit.contract.codec import MAX_MESSAGE_BYTES
from hostkit.contract.diff import Change, differences
from hostkit.errors import ExitCode, InputError, UsageError


class _Group(LazyGroup):
    """The commands here, and `test`, which loads a simulated shop."""

    modules = MappingProxyType({"test": "hostkit.cli.contract_test"})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command."""
        return sorted({*self.commands, *self.modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Give the command of that name."""
        return self.commands.get(cmd_name) or super().get_command(ctx, cmd_name)


@click.group(cls=_Group)
def contract() -> None:
    """Show what probes, hubs and collectors agree on, check messages against it, and tell what a change breaks."""


@contract.command()
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """List topics and names, or print one: a schema, a text or the `kpi-dictionary`.

    \b
    Examples:
      footfall contract show
      footfall contract show visits
      footfall contract show reference
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


@contract.command()
@click.argument("file", type=click.File("rb"))
@click.option("--topic", help="The topic FILE was published on; without it FILE has lines `topic payload`.")
@json_option
def validate(file: BinaryIO, topic: str | None, as_json: bool) -> None:
    """Check messages: one file with its --topic, or lines as `mosquitto_sub -v` prints them (- for standard input).

    Exit code 0: all keep the contract; 6: some break it.

    \b
    Examples:
      mosquitto_sub -v -t 'footfall/v1/#' -C 100 | footfall contract validate -
      footfall contract validate visits.json --topic footfall/v1/acme/shop-12/hub/visits
    """
    messages, refused = 0, []
    for number, line in enumerate(_messages(file, whole=topic is not None), 1):
        name, payload = (topic, line) if topic else split_line(line)
        messages += 1
        fault = refusal(name, payload)
        if fault:
            refused.append({"line": number, "where": fault.where, "what": fault.what})
            remark(str(fault) if topic else f"line {number}: {fault}")
    totals = {"messages": messages, "refused": len(refused)}
    emit(_dump({**totals, "faults": refused}) + "\n" if as_json else f"{messages} messages, {len(refused)} refused\n")
    if refused:
        raise click.exceptions.Exit(ExitCode.PEER)


def _messages(file: BinaryIO, *, whole: bool) -> Iterator[bytes]:
    try:
        yield from [file.read(MAX_MESSAGE_BYTES + 1)] if whole else file
    except OSError as error:
        step = "check the disk, or give another file"
        raise InputError(f"cannot be read ({error.strerror})", where=file.name, next_step=step) from error


@contract.command()
@click.argument("old", type=click.Path(path_type=Path))
@json_option
def diff(old: Path, as_json: bool) -> None:
    """Tell what changed since OLD, an earlier `footfall contract show asyncapi`, and whether it breaks clients.

    Exit code 0: nothing breaks; 6: clients must change.

    \b
    Examples:
      footfall contract show asyncapi > contract-0.1.yaml     # at the earlier version
      footfall contract diff contract-0.1.yaml                # at the later one
    """
    changes = sorted(_differences(old), key=lambda change: not change.breaks)
    breaking = sum(change.breaks for change in changes)
    lines = [f"{'BREAKS' if change.breaks else 'fits  '}  {change.where}: {change.what}\n" for change in changes]
    emit(_dump(changes) + "\n" if as_json else "".join(lines) + f"{len(changes)} changes, {breaking} break clients\n")
    if breaking:
        raise click.exceptions.Exit(ExitCode.PEER)


def _differences(old: Path) -> tuple[Change, ...]:
    next_step = "give what `footfall contract show asyncapi` printed at the earlier version"
    try:
        document = json.loads(old.read_text("utf-8"))
        return differences(document, json.loads(published.text("asyncapi")))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(old), next_step="check the path") from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError("is no AsyncAPI document of ours", where=str(old), next_step=next_step) from error


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
