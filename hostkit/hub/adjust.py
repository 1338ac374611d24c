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
    """A calibration in the book; `left` are keys that undoing or redoing did not touch: somebody set them by hand."""

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
    return _turn(site_path, msgspec.structs.replace(record, undone=True), at_s)


def redo(site_path: Path, record: FieldRecord, at_s: float) -> Saved:
    """Put a calibration in force again that was taken back; a newer one of the same key stays before it."""
    if not record.undone or not record.changes:
        raise UsageError("was not taken back", where=record.id, next_step="see: footfall calibrate list")
    return _turn(site_path, msgspec.structs.replace(record, undone=False), at_s)


def _turn(site_path: Path, turned: FieldRecord, at_s: float) -> Saved:
    before = read_field(site_path)
    after = [turned if one.id == turned.id else one for one in before]
    place, body = encoded(site_path, turned)
    left: list[str] = []

    def make(now: Site) -> Site:
        values = {}
        for one in turned.changes:
            if _standing(now, one.key) == _in_force(before, one.key):
                values[one.key] = _in_force(after, one.key)
            else:
                left.append(one.key)
        return with_values(now, values)

    if turned.changes:
        by = f"{'without' if turned.undone else 'with'} {turned.id}"
        change(site_path, make, by=by, at_s=at_s, also={place: body})
    else:
        write_files({place: body})
    return Saved(record=turned, left=tuple(left))


def _in_force(records: Sequence[FieldRecord], key: str) -> float:
    """Give what the calibrations in force make of a key."""
    rows = [(record, one) for record in records for one in record.changes if one.key == key]
    value = rows[0][1].before
    for record, one in rows:
        if not record.undone:
            value = one.after
    return value


def _standing(site: Site, key: str) -> float | None:
    """Give the number now; None for a probe that is not there any more."""
    try:
        return value_at(site, key)
    except KeyError:
        return None
