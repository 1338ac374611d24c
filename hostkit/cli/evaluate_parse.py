"""`footfall evaluate parse`: captures in, agreement of the parser with tshark out."""

import json
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.errors import ExitCode
from hostkit.evaluate.parse import NOT_COMPARED, Example, ParseEvaluation, as_object
from hostkit.evaluate.parse import evaluate as run_evaluation


@click.command(
    epilog="""Examples:

    \b
      footfall evaluate parse monday.pcap tuesday.pcapng
      footfall evaluate parse --json captures/ > agreement.json

    \b
    Exit codes: 0 every field agrees, 1 some do not, 2 wrong option, 3 a capture cannot be read or tshark is not
    installed, 5 no permission, 130 stopped by you."""
)
@click.argument(
    "captures", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False), metavar="CAPTURE..."
)
@json_option
def parse(*, captures: tuple[Path, ...], as_json: bool) -> None:
    """Compare every field of every packet with what tshark makes of it.

    Give captures (pcap, pcapng) or folders of them. Addresses and names of networks are compared, never shown.
    """
    with text.progress_bar("parse", long=1) as on_progress:
        result = run_evaluation(captures, on_progress)
    for line in result.warnings:
        text.remark(line)
    if as_json:
        text.emit(json.dumps(as_object(result), indent=2, allow_nan=False) + "\n")
    else:
        _print(result)
    if result.disagreed:
        raise click.exceptions.Exit(ExitCode.DEFECT)


def _print(result: ParseEvaluation) -> None:
    text.emit(
        f"{result.captures} captures, {text.number(result.packets)} packets, {text.number(result.frames)} frames; "
        f"tshark {result.tshark}\n\n"
    )
    names = sorted(result.agreed | result.disagreed)
    rows = [[name, text.number(result.agreed[name]), text.number(result.disagreed[name]), ""] for name in names]
    text.table(["field", "agreed", "disagreed", ""], rows)
    for name, count in result.not_compared.items():
        text.emit(f"{text.number(count)} frames not compared in full: {NOT_COMPARED[name][0]}\n")
    for example in result.examples:
        text.emit(f"{example.capture}: packet {example.packet}: {example.field} {_difference(example)}\n")


def _difference(example: Example) -> str:
    if example.tshark is None:
        return "differs"
    return f"is {example.tshark} by tshark, {example.footfall} here"
