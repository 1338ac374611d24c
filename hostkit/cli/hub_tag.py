"""`footfall hub tag add|list|remove`: tags of staff and technicians, which count nobody. No logic."""

import sys
from getpass import getpass
from pathlib import Path

import click
import msgspec

from hostkit.cli import text
from hostkit.cli.identity_options import hub_data
from hostkit.cli.options import json_option
from hostkit.errors import InputError
from hostkit.hub.tags import TagRole, add_tag, read_tags, remove_tag, tag_of

FILE = click.Path(path_type=Path, readable=False)
MOST_CHARACTERS = 10_000  # of what should hold one address


@click.group()
def tag() -> None:
    """Tags that count nobody: what staff carry all day, and the beacons of technicians.

    A running hub takes a change over within seconds and gives it to the probes with the keys. Addresses stay in
    DIR/tags.json, for its owner alone; probes learn only what the day's key makes of them.
    """


@tag.command(
    epilog="""Examples:

    \b
      footfall hub tag add anna --role staff
      footfall hub tag add walker --role tag --random --from tag.txt

    \b
    The address is asked for, or read from standard input or a file: as an argument other users of this machine could
    see it. It is on the tag, or a scanner app shows it. A hub hears no addresses, so none can be learnt by holding the
    tag at a probe. The fixed Wi-Fi address of a till or hand scanner can be registered too; a phone's changes and
    cannot."""
)
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in TagRole]), required=True, help="Who carries it.")
@click.option("--random", is_flag=True, help="A scanner calls the address `static random`, not `public`.")
@click.option("--from", "file", type=FILE, metavar="FILE", help="File of the address.")
@hub_data
def add(*, name: str, role: str, random: bool, file: Path | None, data: Path) -> None:
    """Register a tag under NAME."""
    new = tag_of(name, TagRole(role), _given(name, file), random=random)
    add_tag(data, new)
    text.remark(f"{name}: registered; what it sends counts nobody")
    if random:
        text.remark(f"{name}: a static random address may be another after its battery was changed; register it again")


@tag.command("list")
@hub_data
@json_option
def list_(*, data: Path, as_json: bool) -> None:
    """List the registered tags, without their addresses.

    \b
    Example:
      footfall hub tag list
    """
    rows = [(one.name, one.role.value, one.kind) for one in read_tags(data)]
    if as_json:
        named = [dict(zip(("name", "role", "address_kind"), row, strict=True)) for row in rows]
        text.emit(msgspec.json.encode(named).decode() + "\n")
    elif rows:
        text.table(("name", "role", "address"), rows)
    else:
        text.remark("no tag is registered; add one: footfall hub tag add NAME --role staff")


@tag.command()
@click.argument("name")
@hub_data
def remove(*, name: str, data: Path) -> None:
    """Take NAME off the list: what it sends counts as anybody's again.

    \b
    Example:
      footfall hub tag remove anna
    """
    remove_tag(data, name)
    text.remark(f"{name}: is registered no more")


def _given(name: str, file: Path | None) -> str:
    """Give the text that holds the address; a terminal does not show it."""
    if file is None:
        return getpass(f"address of {name}: ") if sys.stdin.isatty() else sys.stdin.read(MOST_CHARACTERS)
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as source:
            return source.read(MOST_CHARACTERS)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(file), next_step="check the path") from error
