"""What calibrations of radio print: the table, held-out errors, limits, PASS or FAIL. No figure of its own."""

import json
import math
from dataclasses import asdict
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from hostkit.cli import text
from hostkit.field.trial import Trial
from hostkit.field.words import (
    Language,
    cell,
    figure,
    header_of,
    held_figures,
    say,
    say_check,
    say_need,
    say_note,
    verdict,
)
from hostkit.hub.adjust import Saved
from hostkit.io.calibrations import FieldRecord


def print_trial(trial: Trial, saved: Saved | None, language: Language, *, as_json: bool) -> None:
    """Print what the readings say and what became of them."""
    if as_json:
        text.emit(json.dumps(as_object(trial, saved, language), allow_nan=False) + "\n")
        return
    print_figures(trial, language)
    result = say("PASS" if trial.passed else "FAIL", language)
    name = f"{saved.record.id}: " if saved else ""
    text.emit(f"{name}{result}: {verdict(trial, language)}\n")


def print_figures(trial: Trial, language: Language) -> None:
    """Print the table, held-out errors, limits, what is missing and what is weak."""
    if trial.rows:
        _print_rows(trial, language)
    if trial.held is not None:
        _print_held(trial, language)
    for need in trial.needs:
        if not need.met:
            text.emit(f"  {say_need(need, language)}\n")
    for note in trial.weak:
        text.emit(f"  {say_note(note, language)}\n")


def as_object(trial: Trial, saved: Saved | None, language: Language) -> dict[str, object]:
    """The JSON object of `footfall calibrate link|anchors|walk|zones|count --json`."""
    return {
        "calib_id": saved.record.id if saved else None,
        "kind": trial.kind,
        "result": "PASS" if trial.passed else "FAIL",
        "applied": bool(saved and saved.record.changes),
        "source": trial.source,
        "unit": trial.unit,
        "enough": trial.enough,
        "needs": [asdict(need) for need in trial.needs],
        "held_out": None if trial.held is None else asdict(trial.held),
        "limits": [
            {"what": one.word, "value": round(one.value, 4), "limit": one.limit, "unit": one.unit, "passed": one.passed}
            for one in trial.checks
        ],
        "changes": [msgspec.to_builtins(one) for one in trial.changes],
        "rows": [
            {"name": row.name, "readings": row.readings}
            | dict(zip(trial.columns, map(_finite, row.figures), strict=True))
            for row in trial.rows
        ],
        "confusion": trial.confusion,
        "weak": [say_note(note, language) for note in trial.weak],
    }


def print_undone(saved: Saved, *, as_json: bool) -> None:
    """Say what taking a calibration back did."""
    record = saved.record
    if as_json:
        found = {"calib_id": record.id, "kind": record.kind, "undone": True, "left": list(saved.left)}
        text.emit(json.dumps(found) + "\n")
        return
    back = len(record.changes) - len(saved.left)
    text.emit(f"{record.id}: taken back, {back} numbers of site.toml as before\n")
    if saved.left:
        text.remark(f"site.toml: {', '.join(saved.left)} were set otherwise since; they stay as they are")


def print_field_records(records: tuple[FieldRecord, ...], time_zone: str) -> None:
    """Print the history, oldest first."""
    zone = ZoneInfo(time_zone)
    rows = [
        (
            record.id,
            f"{datetime.fromtimestamp(record.at_s, zone):%Y-%m-%d %H:%M}",
            figure(record.before, record.unit, 2),
            figure(record.after, record.unit, 2),
            "PASS" if record.passed else "FAIL",
            "taken back" if record.undone else "in force" if record.changes else "not applied",
        )
        for record in records
    ]
    text.table(("id", "when", "before", "after", "limits", ""), rows)


def _print_rows(trial: Trial, language: Language) -> None:
    header = (*header_of(trial, language), "")
    rows = [
        (
            row.name,
            *(cell(value, column) for value, column in zip(row.figures, trial.columns, strict=True)),
            text.number(row.readings),
            "",
        )
        for row in trial.rows
    ]
    text.table(header, rows)
    if trial.confusion:
        names = [row.name for row in trial.rows]
        text.emit(f"\n{say('confusion', language)}\n")
        lines = [(name, *map(str, line), "") for name, line in zip(names, trial.confusion, strict=True)]
        text.table(("", *names[: len(trial.confusion)], ""), lines)
    text.emit("\n")


def _print_held(trial: Trial, language: Language) -> None:
    assert trial.held is not None
    named = zip(("before", "after", "naive"), held_figures(trial.held, trial.unit), strict=True)
    shown = ", ".join(f"{say(word, language)} {value}" for word, value in named if value)
    text.emit(f"{say('held_out', language)}: {shown}\n")
    for check in trial.checks:
        text.emit(f"  {'ok' if check.passed else 'NO'}  {say_check(check, language)}\n")


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
