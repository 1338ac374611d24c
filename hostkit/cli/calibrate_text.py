"""What counts at a door print. No figure of its own."""

import json
import math
from datetime import datetime
from zoneinfo import ZoneInfo

from hostkit.cli import text
from hostkit.cli.calibrate_field_text import as_object, print_figures
from hostkit.core.count import Z90
from hostkit.field.trial import Trial
from hostkit.field.words import Language, say, verdict
from hostkit.hub.calibrate import Outcome
from hostkit.io.calibrations import CountRecord


def print_count(trial: Trial, outcome: Outcome | None, language: Language, *, as_json: bool) -> None:
    """Print what a count says and what became of it; `outcome` is None where there was too little."""
    if as_json:
        found = as_object(trial, None, language)
        if outcome is not None:
            record = outcome.record
            found |= {"calib_id": record.id, "applied": record.applied} | _object(outcome, passed=trial.passed)
        text.emit(json.dumps(found, allow_nan=False) + "\n")
        return
    if outcome is None:
        print_figures(trial, language)
        text.emit(f"{say('FAIL', language)}: {verdict(trial, language)}\n")
        return
    record = outcome.record
    counted = say("count_of", language, f"{record.people:,.0f}", f"{record.devices:,.0f}")
    text.emit(f"{record.id}: {counted}\n\n")
    print_figures(trial, language)
    text.emit(f"{verdict(trial, language)}\n")
    _print_kappa(outcome, language, passed=trial.passed)


def print_undone_count(outcome: Outcome, *, as_json: bool) -> None:
    """Say what taking a count back did."""
    if as_json:
        text.emit(json.dumps(_object(outcome, passed=outcome.kappa.passed)) + "\n")
        return
    text.emit(f"{outcome.record.id}: taken back\n")
    _print_kappa(outcome, "en", passed=outcome.kappa.passed)


def print_records(records: tuple[CountRecord, ...], time_zone: str) -> None:
    """Print the history, oldest first."""
    zone = ZoneInfo(time_zone)
    rows = [
        (
            record.id,
            f"{datetime.fromtimestamp(record.from_s, zone):%Y-%m-%d %H:%M}",
            record.kind,
            text.number(record.people),
            text.number(record.devices),
            f"{math.exp(record.log_ratio):.2f}",
            "taken back" if record.undone else record.source if record.applied else "not applied",
        )
        for record in records
    ]
    text.table(("id", "counted", "kind", "people", "devices", "ratio", ""), rows)


def _object(outcome: Outcome, *, passed: bool) -> dict[str, object]:
    kappa, record = outcome.kappa, outcome.record
    factor = math.exp(Z90 * kappa.log_sd)
    return {
        "id": record.id,
        "kind": record.kind,
        "result": "PASS" if passed else "FAIL",
        "people": round(record.people, 2),
        "devices": round(record.devices, 2),
        "ratio": round(math.exp(record.log_ratio), 4),
        "people_per_device": round(kappa.median, 4),
        "low": round(kappa.median / factor, 4),
        "high": round(kappa.median * factor, 4),
        "log_sd": round(kappa.log_sd, 4),
        "reference_counts": kappa.counts,
        "undone": record.undone,
        "next_step": _next_step(outcome, "en", passed=passed),
    }


def _print_kappa(outcome: Outcome, language: Language, *, passed: bool) -> None:
    kappa = outcome.kappa
    factor = math.exp(Z90 * kappa.log_sd)
    counts = "1 count" if kappa.counts == 1 and language == "en" else say("counts", language, str(kappa.counts))
    figures = (f"{value:.2f}" for value in (kappa.median, kappa.median / factor, kappa.median * factor))
    step = _next_step(outcome, language, passed=passed)
    line = say(f"kappa_{outcome.record.kind}", language, *figures, counts, step)
    text.emit(f"{say('PASS' if passed else 'FAIL', language)}: {line}\n")


def _next_step(outcome: Outcome, language: Language, *, passed: bool) -> str:
    """What the person with the counter should do now."""
    if passed:
        return say("count_enough", language)
    return say("count_again" if outcome.kappa.counts else "count_none", language)
