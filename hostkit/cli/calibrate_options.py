"""Options and the last steps that all calibrations of radio share."""

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click

from hostkit.cli import text
from hostkit.cli.calibrate_field_text import print_trial
from hostkit.errors import HostkitError, UsageError
from hostkit.field.book import save
from hostkit.field.courses import SOURCE
from hostkit.field.diary import close_under, live_path
from hostkit.field.ground import ground_of
from hostkit.field.report import Better, Case, after_site, better_of, html, page_of
from hostkit.field.trial import Trial
from hostkit.field.words import LANGUAGES, Language, say
from hostkit.hub.adjust import Saved
from hostkit.hub.settings import NOTHING
from hostkit.install.suggest import suggest
from hostkit.io.calibrations import Record
from hostkit.io.files import write_files
from hostkit.model import Floor, Site

FILE = click.Path(path_type=Path, readable=False)
REPORTS = (".html", ".pdf")

from_option = click.option("--from", "table", type=FILE, metavar="FILE", help="Recorded readings instead of live ones.")
floor_option = click.option("--floor", metavar="ID", help="Floor of the walk, where several have probes.")
device_option = click.option(
    "--device",
    type=click.Choice(("phone", "tag")),
    default="phone",
    show_default=True,
    help="What was carried; a tag's own level is not taken for phones'.",
)
language_option = click.option(
    "--language", type=click.Choice(LANGUAGES), default="en", show_default=True, help="Of texts, page and report."
)
report_option = click.option(
    "--report", "reports", multiple=True, type=FILE, metavar="FILE", help="Write the page to sign: .html or .pdf."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the user wants to see: language, JSON or text, reports, of which floor."""

    language: Language
    as_json: bool
    reports: tuple[Path, ...]
    floor: str | None = None


def conclude(
    site_path: Path, site: Site, trial: Trial, wanted: Output, also: Mapping[Path, bytes] = NOTHING
) -> Saved | None:
    """Write the trial into the book if there is enough, print it, and write its reports."""
    at_s = time.time()
    saved = save(site_path, site, trial, at_s, also) if trial.enough and trial.held else None
    print_trial(trial, saved, wanted.language, as_json=wanted.as_json)
    record = saved.record if saved else None
    close(site_path, trial, record.id if record else None, wanted.language)
    report(site, trial, record, wanted, at_s)
    return saved


def report(site: Site, trial: Trial, record: Record | None, wanted: Output, at_s: float) -> None:
    """Write the reports that were asked for; a count needs no probe that has a place."""
    if not wanted.reports:
        return
    placed = any(probe.position_m for probe in site.probes)
    floor = ground_of(site, wanted.floor).floor if placed or trial.kind != "count" else None
    better = None if floor is None else _better(after_site(site, trial), floor)
    case = Case(site=site, floor=floor, trial=trial, record=record, better=better, at_s=at_s)
    write_files({path: _report(case, wanted.language, path) for path in wanted.reports})


def close(site_path: Path, trial: Trial, calib_id: str | None, language: Language) -> None:
    """Give what a live session kept the name of its calibration; leave it where there was too little."""
    path = live_path(site_path, trial.kind)
    if trial.source != SOURCE and Path(trial.source).resolve() != path.resolve():
        return
    if calib_id is None:
        text.remark(f"{path}: {say('not_over', language)}")
    else:
        text.remark(f"{close_under(path, calib_id)}: {say('kept_as', language)}")


def check_reports(reports: tuple[Path, ...]) -> None:
    """Raise UsageError for a report of another kind, before anything is done."""
    for path in reports:
        if path.suffix.lower() not in REPORTS:
            raise UsageError(f"is no {' or '.join(REPORTS)}", where=str(path), next_step="name it report.pdf")


def tell(remarks: tuple[str, ...]) -> None:
    """Print remarks on what was left out."""
    for line in remarks:
        text.remark(line)


def _report(case: Case, language: Language, path: Path) -> bytes:
    if path.suffix.lower() == ".html":
        return html(page_of(case, language)).encode()
    drawing = _pdf_module()
    chinese = drawing.chinese_font()
    if language == "zh" and chinese is None:
        text.remark(f"{path}: {say('no_font', 'en')}")
        language = "en"
    drawn: bytes = drawing.pdf(page_of(case, language), chinese)
    return drawn


def _better(site: Site, floor: Floor) -> Better | None:
    kept = [probe for probe in site.probes if probe.floor == floor.id and probe.position_m]
    try:
        (place,) = suggest(floor, site.path_loss, 1, kept=kept).places_m
    except HostkitError:  # no room for one more
        return None
    return better_of(site, floor, place)


def _pdf_module() -> ModuleType:
    try:
        return importlib.import_module("hostkit.field.report_pdf")  # half a second, for those who ask for it
    except ImportError as error:
        step = "pip install 'footfall[install]', or name it .html"
        raise UsageError("needs fpdf2, which is not installed", where="--report", next_step=step) from error
