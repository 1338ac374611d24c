"""`model.Site` to a commented site.toml that loads back equal. Writes no secret: a site has none."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum

from hostkit.config.keys import KEYS, WEEKDAYS
from hostkit.model import OpeningHours, OpenIntervals, Probe, Site

_INLINE = ("floors.walls",)  # short tables written in one line each


def dump_site(site: Site) -> str:
    """Write every key with its meaning; repeated tables are commented once."""
    lines = ["# What Footfall knows about this shop. Lengths are metres on the floor plan, x right, y up."]
    lines += _pairs(site, "", commented=True)
    for field in fields(site):
        value: object = getattr(site, field.name)
        if isinstance(value, OpeningHours):
            lines += _hours(value)
        elif is_dataclass(value):
            lines += ["", f"[{field.name}]", *_pairs(value, field.name, commented=True)]
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                lines += ["", f"[[{field.name}]]", *_pairs(item, field.name, commented=index == 0)]
    return "\n".join(lines) + "\n"


def dump_probe(probe: Probe) -> str:
    """Write one probe as a table of its own, to be pasted into a site.toml."""
    return "\n".join(["[[probes]]", *_pairs(probe, "probes", commented=False)]) + "\n"


def _pairs(record: object, name: str, *, commented: bool) -> Iterator[str]:
    """Write the plain keys of one table; an unset optional one as a comment."""
    assert is_dataclass(record)
    for field in fields(record):
        path = f"{name}.{field.name}" if name else field.name
        value: object = getattr(record, field.name)
        if path in _INLINE and isinstance(value, tuple):
            yield from _inline_tables(field.name, value)
        if path not in KEYS:
            continue
        comment = f"  # {KEYS[path].meaning}" if commented else ""
        if value is not None:
            yield f"{field.name} = {_toml(value)}{comment}"
        elif commented:
            yield f"# {field.name} = {KEYS[path].example}{comment}"


def _inline_tables(key: str, records: Sequence[object]) -> Iterator[str]:
    if records:
        yield f"{key} = ["
        for record in records:
            assert is_dataclass(record)
            pairs = (f"{field.name} = {_toml(getattr(record, field.name))}" for field in fields(record))
            yield f"  {{ {', '.join(pairs)} }},"
        yield "]"


def _hours(hours: OpeningHours) -> Iterator[str]:
    yield from ("", "[opening_hours]", f"# {KEYS['opening_hours.WEEKDAY'].meaning}")
    for day, open_ in zip(WEEKDAYS, hours.days, strict=True):
        yield f"{day} = {_intervals(open_)}"
    if hours.dates:
        yield from ("", "[opening_hours.dates]", f"# {KEYS['opening_hours.dates.DATE'].meaning}")
    for entry in hours.dates:
        yield f"{entry.date} = {_intervals(entry.open)}"


def _intervals(open_: OpenIntervals) -> str:
    return _toml(
        tuple(f"{_clock(opens)}-{_clock(closes if closes <= 1440 else closes - 1440)}" for opens, closes in open_)
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, StrEnum):
        return json.dumps(value.value)
    return json.dumps(value, ensure_ascii=False)  # JSON's text and numbers are TOML's
