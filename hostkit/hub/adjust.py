"""Numbers of site.toml that calibrations of radio set: what they would change, and how one is taken back again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hostkit.config.edit import Tree, changed
from hostkit.errors import UsageError
from hostkit.hub.settings import change
from hostkit.io.calibrations import Change, FieldRecord, encoded, read_field
from hostkit.io.files import write_files
from hostkit.model import Site

DIGITS = 3  # of what is written: a thousandth of a dB


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A calibration in the book; `left` are keys that undoing did not touch: somebody set them by hand since."""

    record: FieldRecord
    left: tuple[str, ...] = ()


def value_at(site: Site, key: str) -> float:
    """Give the number of site.toml that `key` names; KeyError for a probe that is not there."""
    table, *middle, name = key.split(".")
    if table == "probes":
        found = {probe.id: probe for probe in site.probes}[middle[0]]
        return float(getattr(found, name))
    return float(getattr(getattr(site, table), name))


def with_values(site: Site, values: Mapping[str, float]) -> Site:
    """Give the site with those numbers; ConfigError where they are out of bounds."""

    def change_tree(tree: Tree) -> None:
        for key, value in values.items():
            table, *middle, name = key.split(".")
            entry = tree[table]
            if isinstance(entry, list):
                entry = next(one for one in entry if one["id"] == middle[0])
            assert isinstance(entry, dict)
            entry[name] = value

    return changed(site, change_tree, "calibration")


def changes_of(site: Site, wanted: Mapping[str, float]) -> tuple[Change, ...]:
    """Give what differs from the site, rounded as it will be written."""
    rounded = {key: round(value, DIGITS) for key, value in wanted.items()}
    pairs = [(key, value_at(site, key), value) for key, value in rounded.items()]
    return tuple(Change(key=key, before=now, after=value) for key, now, value in pairs if now != value)


def trial_site(site: Site, changes: Sequence[Change]) -> Site:
    """Give the site as it would be with those changes."""
    return with_values(site, {one.key: one.after for one in changes})


def undo(site_path: Path, record: FieldRecord, at_s: float) -> Saved:
    """Take a calibration back: each key is as the newest other in force left it, or as it was before any."""
    if record.undone:
        raise UsageError("is taken back already", where=record.id, next_step="see: footfall calibrate list")
    undone = msgspec.structs.replace(record, undone=True)
    records = [undone if one.id == record.id else one for one in read_field(site_path)]
    place, body = encoded(site_path, undone)
    left: list[str] = []

    def make(now: Site) -> Site:
        values = {}
        for one in record.changes:
            if _standing(now, one.key) == _in_force(records, one.key, with_id=record.id):
                values[one.key] = _in_force(records, one.key)
            else:
                left.append(one.key)
        return with_values(now, values)

    if record.changes:
        change(site_path, make, by=f"without {record.id}", at_s=at_s, also={place: body})
    else:
        write_files({place: body})
    return Saved(record=undone, left=tuple(left))


def _in_force(records: Sequence[FieldRecord], key: str, with_id: str = "") -> float:
    """Give what the calibrations in force, and the one named, make of a key."""
    rows = [(record, one) for record in records for one in record.changes if one.key == key]
    value = rows[0][1].before
    for record, one in rows:
        if not record.undone or record.id == with_id:
            value = one.after
    return value


def _standing(site: Site, key: str) -> float | None:
    """Give the number now; None for a probe that is not there any more."""
    try:
        return value_at(site, key)
    except KeyError:
        return None
