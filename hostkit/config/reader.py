"""TOML tree to `model.Site`, by the types of the model. Notes every problem with its key path.

What is well formed but contradicts itself is found by check.py.
"""

import difflib
import math
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date
from enum import StrEnum
from typing import Union, get_args, get_origin, get_type_hints

from hostkit.config.keys import KEYS, MAX_ITEMS, WEEKDAYS, Key, Text
from hostkit.model import ID_PATTERN, DateHours, OpeningHours, OpenIntervals, Site

_MAX_TEXT = 100
_LATEST_CLOSE_MINUTES = 30 * 60  # 06:00 of the next day: later is a slip, not a late shop
_TOML_NAMES = {
    dict: "a table",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}
_TEXTS = {
    Text.FREE: (rf".{{1,{_MAX_TEXT}}}", f"1 to {_MAX_TEXT} printable characters"),
    Text.ID: (ID_PATTERN, "1 to 32 of a-z, 0-9 and -"),
    Text.FILE: (r"[^/\\]{1,100}\.(png|jpg|jpeg|svg)", "a .png, .jpg or .svg file name without a folder"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong: the path to the key, what, and how to put it right."""

    path: str
    what: str
    fix: str


def read_site(tree: Mapping[str, object]) -> tuple[Site | None, list[Problem]]:
    """Convert a whole tree; the site is None where problems left no value to build it from."""
    reader = _Reader()
    site = reader.table(tree, Site, "", "")
    return (site if isinstance(site, Site) else None), reader.problems


class _Reader:
    """Walks values and types together. `path` is what a person reads, `name` the same without list indices."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def value(self, value: object, hint: object, path: str, name: str) -> object:
        """Convert `value` to what `hint` asks for; None after a problem was noted."""
        if hint is OpeningHours:
            return self.opening_hours(value, path)
        if isinstance(hint, type) and is_dataclass(hint):
            return self.table(value, hint, path, name)
        if get_origin(hint) in (Union, types.UnionType):
            return self.value(value, get_args(hint)[0], path, name)
        if get_origin(hint) is tuple:
            return self.items(value, get_args(hint), path, name)
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return self.choice(value, hint, path, name)
        return self.text(value, path, name) if hint is str else self.number(value, hint, path, name)

    def table(self, value: object, of: type, path: str, name: str) -> object:
        """Convert a TOML table to the dataclass `of`."""
        if not isinstance(value, Mapping):
            return self.note(path, f"is {_toml_name(value)}, needs a table", f"write it as a [{name}] table")
        known = {field.name: field for field in fields(of)}
        for key in value:
            if key not in known:
                self.unknown(key, list(known), path)
        hints = get_type_hints(of)
        built: dict[str, object] = {}
        for key, field in known.items():
            if key in value:
                built[key] = self.value(value[key], hints[key], _join(path, key), _join(name, key))
            elif not _has_default(field):
                self.note(_join(path, key), "is missing", f"add {_example(_join(name, key))}")
        return None if self.problems else of(**built)

    def items(self, value: object, hints: tuple[object, ...], path: str, name: str) -> object:
        """Convert a TOML list to a tuple: of any length for (X, ...), else of exactly these types."""
        key = KEYS.get(name)
        if not isinstance(value, list):
            fix = f"write it as {_example(name)}" if key else f"write each as a [[{name}]] table"
            return self.note(path, f"is {_toml_name(value)}, needs a list", fix)
        any_length = hints[-1] is Ellipsis
        if not any_length and len(value) != len(hints):
            return self.note(path, f"has {len(value)} numbers, needs {len(hints)}", f"write it as {_example(name)}")
        if len(value) > MAX_ITEMS:
            return self.note(path, f"has {len(value)} entries, at most {MAX_ITEMS}", "split the site or simplify it")
        return tuple(
            self.value(item, hints[0] if any_length else hints[index], f"{path}[{index}]", name)
            for index, item in enumerate(value)
        )

    def choice(self, value: object, of: type[StrEnum], path: str, name: str) -> object:
        """Convert text to a member of an enumeration."""
        choices = [member.value for member in of]
        if value in choices:
            return of(str(value))
        if not isinstance(value, str):
            return self.note(path, f"is {_toml_name(value)}, needs text", f"write it as {_example(name)}")
        return self.note(path, f"{_quoted(value)} is not one of its values", f"use one of {', '.join(choices)}")

    def text(self, value: object, path: str, name: str) -> object:
        """Convert text, checked for the form its key asks for."""
        if not isinstance(value, str):
            return self.note(path, f"is {_toml_name(value)}, needs text", f"write it as {_example(name)}")
        pattern, form = _TEXTS[KEYS[name].text]
        if value == "" and name == "name":
            return value
        if not (value.isprintable() and re.fullmatch(pattern, value)):
            return self.note(path, f"{_quoted(value)} is not {form}", f"write it as {_example(name)}")
        return value

    def number(self, value: object, hint: object, path: str, name: str) -> object:
        """Convert a number within its key's bounds; whole numbers stand for floats, not the other way round."""
        assert hint in (int, float), f"no rule for {hint} at {name}"
        if isinstance(value, bool) or not isinstance(value, int if hint is int else (int, float)):
            needs = _TOML_NAMES[int if hint is int else float]
            return self.note(path, f"is {_toml_name(value)}, needs {needs}", f"write it as {_example(name)}")
        least, most = KEYS[name].bounds
        if not least <= value <= most:  # also catches nan
            shown = value if abs(value) < 1e12 or not math.isfinite(value) else "huge"
            return self.note(path, f"{shown} is not in {least:g}..{most:g}", f"write it as {_example(name)}")
        return value if hint is int else float(value)

    def opening_hours(self, value: object, path: str) -> object:
        """Convert the table of weekdays and dates to minutes since midnight."""
        if not isinstance(value, Mapping):
            return self.note(path, f"is {_toml_name(value)}, needs a table", f"write it as a [{path}] table")
        for key in value:
            if key not in (*WEEKDAYS, "dates"):
                self.unknown(key, [*WEEKDAYS, "dates"], path)
        dates = value.get("dates", {})
        if not isinstance(dates, Mapping):
            return self.note(f"{path}.dates", f"is {_toml_name(dates)}, needs a table", f"write a [{path}.dates] table")
        days = tuple(self.intervals(value.get(day, []), f"{path}.{day}", f"{path}.WEEKDAY") for day in WEEKDAYS)
        exceptions = tuple(self.exceptions(dates, f"{path}.dates"))
        return OpeningHours(days=days, dates=tuple(sorted(exceptions, key=lambda hours: hours.date)))

    def exceptions(self, dates: Mapping[str, object], path: str) -> Iterator[DateHours]:
        """Convert the dates that differ from their weekday."""
        for key, value in dates.items():
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", key) or not _is_date(key):
                self.note(
                    f"{path}.{_clean(key)}", "is not a date", "name the day as year-month-day, e.g. 2026-12-24 = []"
                )
                continue
            yield DateHours(date=date.fromisoformat(key), open=self.intervals(value, f"{path}.{key}", f"{path}.DATE"))

    def intervals(self, value: object, path: str, name: str) -> OpenIntervals:
        """Convert ["09:00-12:30", ...] to minutes; a closing past midnight counts on from 1440."""
        fix = f"write it as {path.rpartition('.')[2]} = {KEYS[name].example}"
        if not isinstance(value, list):
            self.note(path, f"is {_toml_name(value)}, needs a list of from-to", fix)
            return ()
        found: list[tuple[int, int]] = []
        for index, item in enumerate(value):
            match = re.fullmatch(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)", item) if isinstance(item, str) else None
            hours = [int(part) for part in match.groups()] if match else [99, 0, 99, 0]
            opens, closes = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
            if opens >= 1440 or closes > 1440:
                self.note(f"{path}[{index}]", f"{_quoted(item)} is not HH:MM-HH:MM", fix)
                continue
            closes += 1440 if closes <= opens else 0
            if closes > _LATEST_CLOSE_MINUTES:
                what = f"{_quoted(item)} closes before it opens"
                self.note(f"{path}[{index}]", what, "swap the times; over midnight a shop may close until 06:00")
            found.append((opens, closes))
        return tuple(sorted(found))

    def unknown(self, key: str, known: list[str], path: str) -> None:
        """Note a key that does not exist, with the nearest that does."""
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
        fix = f"did you mean {near[0]}?" if near else f"remove it; known here: {', '.join(known)}"
        self.note(_join(path, _clean(key)), "unknown key", fix)

    def note(self, path: str, what: str, fix: str) -> object:
        """Remember a problem; gives the None that stands for the lost value."""
        self.problems.append(Problem(path=path, what=what, fix=fix))
        return None


def _example(name: str) -> str:
    key: Key | None = KEYS.get(name)
    return f"{name.rpartition('.')[2]} = {key.example}" if key else f"a [[{name}]] table"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _has_default(field: Field[object]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _toml_name(value: object) -> str:
    return next((name for kind, name in _TOML_NAMES.items() if type(value) is kind), "a date or time")


def _clean(text: str) -> str:
    """Make a stranger's key fit for one line of a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:40])


def _quoted(value: object) -> str:
    return f'"{_clean(value)}"' if isinstance(value, str) else _toml_name(value)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
