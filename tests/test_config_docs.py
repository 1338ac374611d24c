"""site-toml.md describes exactly the keys that the model has, with their types, defaults and bounds."""

import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Union, get_args, get_origin, get_type_hints

from hostkit import contract
from hostkit.config.dump import _toml
from hostkit.config.keys import KEYS, Text
from hostkit.model import OpeningHours, Site

TYPE_NAMES = {str: "text", int: "whole number", float: "number"}


def leaves(of: type, name: str = "") -> Iterator[tuple[str, object, object]]:
    """Give (key, type, default) of every plain key below a dataclass."""
    hints = get_type_hints(of)
    for field in fields(of):
        path, hint = f"{name}.{field.name}".lstrip("."), hints[field.name]
        item = get_args(hint)[0] if get_origin(hint) is tuple else hint
        if hint is OpeningHours:
            yield "opening_hours.WEEKDAY", hint, ()
            yield "opening_hours.dates.DATE", hint, MISSING
        elif is_dataclass(item):
            yield from leaves(item, path)
        else:
            yield path, hint, field.default


def type_text(hint: object) -> str:
    if hint is OpeningHours:
        return "list of text"
    if get_origin(hint) in (Union, types.UnionType):
        return type_text(get_args(hint)[0])
    if get_origin(hint) is tuple:
        item, *rest = get_args(hint)
        return f"list of {type_text(item)}" if rest == [...] else f"{len(rest) + 1} numbers"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "one of " + ", ".join(hint)
    return TYPE_NAMES[hint]


def row(path: str, hint: object, default: object) -> str:
    key = KEYS[path]
    kind = {Text.ID: "id", Text.FILE: "image file name"}.get(key.text, type_text(hint))
    least, most = key.bounds
    if least > float("-inf"):
        kind += f", {least:,.10g} to {most:,.10g}"
    shown = "needed" if default is MISSING else "-" if default is None else f"`{_toml(default)}`"
    if path == "opening_hours.dates.DATE":
        shown = "-"
    return f"| `{path}` | {kind} | {shown} | {key.meaning} | `{key.example}` |"


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    assert [path for path, _, _ in leaves(Site)] == list(KEYS)


def test_the_table_of_keys_is_what_the_model_and_the_bounds_say() -> None:
    expected = [row(*leaf) for leaf in leaves(Site)]
    written = [line for line in contract.text("site-toml").splitlines() if line.startswith("| `")]
    assert written == expected
