"""The README names every command, and every command and file it names is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hostkit.cli.main import cli

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
COMMAND = re.compile(r"\bfootfall((?: [a-z][a-z-]*)+)")
CONTEXT = click.Context(cli)


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(CONTEXT):
        command = group.get_command(CONTEXT, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name)


def resolved(words: list[str]) -> tuple[str, ...]:
    """Give the command that `words` begin with; words that name none are its arguments."""
    node: click.Command | None = cli
    path: tuple[str, ...] = ()
    for word in words:
        deeper = node.get_command(CONTEXT, word) if isinstance(node, click.Group) else None
        if deeper is None:
            break
        node, path = deeper, (*path, word)
    return path


def code() -> Iterator[str]:
    """Give what the README sets as code: blocks and spans."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", TEXT, re.S | re.M)
    yield from blocks
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.S))


NAMED = {resolved(found.split()) for text in code() for found in COMMAND.findall(text)}


@pytest.mark.parametrize("path", list(leaves(cli)), ids=" ".join)
def test_every_command_is_named(path: tuple[str, ...]) -> None:
    assert path in NAMED, f"say in README.md what `footfall {' '.join(path)}` is for"


def test_every_command_it_names_is_there() -> None:
    assert () not in NAMED
    groups = {path for path in NAMED if path not in set(leaves(cli))}
    assert not groups, f"name a command of it: {groups}"


def test_every_file_it_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    paths = re.findall(r"`((?:scripts|tests|hostkit|hardware|firmware|cext)/[\w./-]*)`", TEXT)
    assert links
    assert paths
    missing = [name for name in (*links, *paths) if not (ROOT / name).exists()]
    assert not missing
