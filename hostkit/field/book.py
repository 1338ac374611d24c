"""A calibration taken into site.toml: it keeps what it changed and from what."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from hostkit.errors import InputError
from hostkit.field.trial import Trial
from hostkit.hub.adjust import DIGITS, Saved, with_values
from hostkit.hub.settings import NOTHING, change
from hostkit.io.calibrations import FieldRecord, encoded, free_id, read_field
from hostkit.io.files import write_files
from hostkit.model import Site


def save(site_path: Path, site: Site, trial: Trial, at_s: float, also: Mapping[Path, bytes] = NOTHING) -> Saved:
    """Write the trial into the book, and into site.toml if its held-out error falls.

    InputError while there is too little; then nothing is written. `also`: files that belong to what is applied.
    """
    assert trial.kind != "count"  # hub.calibrate keeps those
    assert trial.unit != "factor"
    if trial.held is None or not trial.enough:
        missing = next(need for need in trial.needs if not need.met)
        raise InputError(f"have {missing.have} of {missing.least}", where=missing.word, next_step="go on")
    known = read_field(site_path)
    day = f"{datetime.fromtimestamp(at_s, ZoneInfo(site.time_zone)):%Y%m%d-%H%M}"
    record = FieldRecord(
        id=free_id(f"{trial.kind}-{day}", known),
        kind=trial.kind,
        at_s=at_s,
        source=trial.source,
        unit=trial.unit,
        before=round(trial.held.before, DIGITS),
        after=round(trial.held.after, DIGITS),
        naive=None if trial.held.naive is None else round(trial.held.naive, DIGITS),
        passed=trial.passed,
        changes=trial.changes if trial.improves else (),
    )
    place, body = encoded(site_path, record)
    if record.changes:
        values = {one.key: one.after for one in record.changes}
        change(
            site_path,
            lambda now: with_values(now, values),
            by=f"with {record.id}",
            at_s=at_s,
            also={place: body, **also},
        )
    else:
        write_files({place: body})
    return Saved(record=record)
