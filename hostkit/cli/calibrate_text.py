"""What calibrations print. No figure of its own."""

import json
import math
from datetime import datetime
from zoneinfo import ZoneInfo

from hostkit.cli import text
from hostkit.core.count import Z90
from hostkit.hub.calibrate import Outcome
from hostkit.io.calibrations import CountRecord

KINDS = {"door": "people per device at the door", "inside": "people per device inside"}


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Print PASS or FAIL, kappa with its interval, and the next step."""
    kappa, record = outcome.kappa, outcome.record
    factor = math.exp(Z90 * kappa.log_sd)
    result = "PASS" if kappa.passed else "FAIL"
    if as_json:
        found = {
            "id": record.id,
            "kind": record.kind,
            "result": result,
            "people": round(record.people, 2),
            "devices": round(record.devices, 2),
            "ratio": round(math.exp(record.log_ratio), 4),
            "people_per_device": round(kappa.median, 4),
            "low": round(kappa.median / factor, 4),
            "high": round(kappa.median * factor, 4),
            "log_sd": round(kappa.log_sd, 4),
            "reference_counts": kappa.counts,
            "undone": record.undone,
            "next_step": outcome.next_step,
        }
        text.emit(json.dumps(found) + "\n")
        return
    counted = f"{record.people:,.0f} people, {record.devices:,.0f} devices"
    text.emit(f"{record.id}: {'taken back' if record.undone else counted}\n")
    text.emit(
        f"{result}: {kappa.median:.2f} {KINDS[record.kind]}, {kappa.median / factor:.2f} to {kappa.median * factor:.2f}"
        f" (90 %), from {kappa.counts} count{'s' * (kappa.counts != 1)}; {outcome.next_step}\n"
    )


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
            "taken back" if record.undone else record.source,
        )
        for record in records
    ]
    text.table(("id", "counted", "kind", "people", "devices", "ratio", ""), rows)
