"""Every command that a message of ours tells somebody to run is one, and has the options that are named with it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from hostkit.cli.main import cli

HOSTKIT = Path(__file__).parents[2] / "hostkit"
WORDS = re.compile(r"\bfootfall((?: [a-z][a-z-]*)+)((?: (?:--?[a-z][a-z-]*|[^\s`;:,)]+))*)")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def named(path: Path) -> Iterator[tuple[str, click.Command, list[str]]]:
    """Give each command that is named in a file, and the options named behind it."""
    for line, text in texts(path):
        for match in WORDS.finditer(text):
            words, command = match[1].split(), cli
            context = click.Context(cli)
            taken = 0
            while isinstance(command, click.Group) and taken < len(words):
                found = command.get_command(context, words[taken])
                if found is None:
                    break
                command, taken = found, taken + 1
            if not isinstance(command, click.Group):
                yield f"{path.name}:{line}", command, re.findall(r"--[a-z][a-z-]*", match[2].split("; ")[0])


def test_what_is_named_exists() -> None:
    wrong = []
    seen = 0
    for path in sorted(HOSTKIT.rglob("*.py")):
        for where, command, options in named(path):
            seen += 1
            known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
            wrong += [f"{where}: {command.name} has no {option}" for option in options if option not in known]
    assert not wrong
    assert seen > 100
