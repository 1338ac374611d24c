"""One page on a calibration: what a technician signs and a manager understands. HTML here, PDF in report_pdf.py."""

import base64
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib import resources
from zoneinfo import ZoneInfo

import numpy as np

from hostkit.core.count import Z90
from hostkit.core.predict import Forecast, forecast
from hostkit.field.trial import Note, Trial
from hostkit.field.words import Language, cell, header_of, held_figures, say, say_check, say_need, say_note, verdict
from hostkit.hub.adjust import trial_site
from hostkit.io.calibrations import Record
from hostkit.io.plot_field import FieldMap, png, ratios_png
from hostkit.model import Floor, Probe, Site

MOST_ROWS, MOST_NOTES = 14, 6  # more do not fit a page; the first line left out says how many
MOST_DOTS, MOST_CHANGES = 20, 3
KAPPAS = ("people_per_device.median", "occupancy.people_per_device")
LEAST_GAIN_M = 0.05  # a probe that lowers the error by less is not worth a ladder
_STYLE = resources.files("hostkit.field").joinpath("page/report.css")


@dataclass(frozen=True, slots=True, kw_only=True)
class Better:
    """Where one more probe helps most (x, y, height), and the mean predicted error without and with it."""

    place_m: tuple[float, float, float]
    before_m: float
    after_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is reported: a trial on a site as it was before, its record if it was saved, when (Unix seconds)."""

    site: Site
    floor: Floor | None  # None: a count's, where no probe has a place
    trial: Trial
    record: Record | None
    better: Better | None
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report in one language: everything that is on it, in the order of reading."""

    language: Language
    title: str
    result: str  # PASS or FAIL, and in the reader's language:
    stamp: str
    facts: tuple[tuple[str, str], ...]
    headline: str
    sentences: tuple[str, ...]
    checks: tuple[tuple[bool, str], ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    weak: tuple[str, ...]
    picture: bytes
    legend: str
    titles: tuple[tuple[str, str], ...]  # of sections, by word
    signatures: tuple[str, str]

    def section(self, word: str) -> str:
        """Give a section's title."""
        return dict(self.titles)[word]


def better_of(site: Site, floor: Floor, place_m: tuple[float, float, float]) -> Better | None:
    """Judge one more probe at a place; None where it gains next to nothing."""
    more = (*site.probes, Probe(id="one-more", floor=floor.id, position_m=place_m))
    before, after = (_mean(forecast(floor, probes, site.path_loss)) for probes in (site.probes, more))
    return Better(place_m=place_m, before_m=before, after_m=after) if before - after >= LEAST_GAIN_M else None


def after_site(site: Site, trial: Trial) -> Site:
    """Give the site as the calibration leaves it."""
    return trial_site(site, trial.changes) if trial.improves else site


def page_of(case: Case, language: Language) -> Page:
    """Write the page of a case."""
    site, trial, record = case.site, case.trial, case.record
    result = "PASS" if trial.passed else "FAIL"
    titles = {"map": say({"count": "ratios", "walk": "map"}.get(trial.kind, "map_shop"), language)}
    titles |= {word: say(word, language) for word in ("held_out", "limits", "weak", "signed")}
    marks = ("map_marks",) if trial.marks else ()
    legend = ("ratios_legend",) if trial.kind == "count" else (*marks, "map_legend", "map_predicted")
    when = f"{datetime.fromtimestamp(case.at_s, ZoneInfo(site.time_zone)):%Y-%m-%d %H:%M}"
    header, rows = _table(trial, language)
    return Page(
        language=language,
        title=f"{say('title', language)}: {say(trial.kind, language)}",
        result=result,
        stamp=say(result, language),
        facts=(
            (say("site", language), site.name or f"{site.tenant}/{site.site}"),
            (say("date", language), when),
            (say("id", language), record.id if record else "–"),
            (say("source", language), trial.source[-60:]),
        ),
        headline=_headline(trial, language),
        sentences=(verdict(trial, language), *_changes(trial, language), say(f"means_{trial.unit}", language)),
        checks=tuple((check.passed, say_check(check, language)) for check in trial.checks),
        header=header,
        rows=rows,
        weak=_notes(case, language),
        picture=_picture(case),
        legend="; ".join(say(word, language) for word in legend),
        titles=tuple(titles.items()),
        signatures=(say("technician", language), say("manager", language)),
    )


def _notes(case: Case, language: Language) -> tuple[str, ...]:
    """What is missing, what is weak and where one more probe helps, as far as it fits."""
    notes = [say_need(need, language) for need in case.trial.needs if not need.met]
    notes += [say_note(note, language) for note in case.trial.weak]
    if len(notes) > MOST_NOTES:
        notes = [*notes[: MOST_NOTES - 1], f"… +{len(notes) - MOST_NOTES + 1}"]
    if case.better is not None:
        notes.append(say_note(fourth(case.better), language))
    return tuple(notes) or (say("nothing_weak", language),)


def fourth(better: Better) -> Note:
    """Say where one more probe would help."""
    figures = (*better.place_m, better.before_m, better.after_m)
    return Note(word="fourth", values=tuple(f"{value:.1f}" for value in figures))


def html(page: Page) -> str:
    """Write the page as one file that needs nothing beside it."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in page.facts)
    checks = "".join(f'<li class="{"ok" if ok else "no"}">{escape(line)}</li>' for ok, line in page.checks)
    head = "".join(f"<th>{escape(one)}</th>" for one in page.header)
    rows = "".join("<tr>" + "".join(f"<td>{escape(one)}</td>" for one in row) + "</tr>" for row in page.rows)
    weak = "".join(f"<li>{escape(line)}</li>" for line in page.weak)
    sign = "".join(f"<div>{escape(one)}</div>" for one in page.signatures)
    picture = base64.b64encode(page.picture).decode()
    return f"""<!doctype html>
<html lang="{page.language}"><head><meta charset="utf-8"><title>{escape(page.title)}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>{_STYLE.read_text("utf-8")}</style></head><body>
<div class="badge {page.result}">{escape(page.stamp)}</div><h1>{escape(page.title)}</h1><dl>{facts}</dl>
<h2>{escape(page.section("held_out"))}</h2><p class="big">{escape(page.headline)}</p>
<p>{"<br>".join(escape(one) for one in page.sentences)}</p>
<div class="two"><div><h2>{escape(page.section("map"))}</h2><img alt="" src="data:image/png;base64,{picture}">
<small>{escape(page.legend)}</small></div><div><h2>{escape(page.section("limits"))}</h2><ul>{checks}</ul>
<h2>{escape(page.section("weak"))}</h2><ul>{weak}</ul></div></div>
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
<div class="sign">{sign}</div></body></html>
"""


def _headline(trial: Trial, language: Language) -> str:
    if trial.held is None:
        return "–"
    before, after, naive = held_figures(trial.held, trial.unit)
    return f"{before} → {after}" + (f"   ({say('naive', language)}: {naive})" if naive else "")


def _table(trial: Trial, language: Language) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    if not trial.rows:
        return (), ()
    names, header = tuple(row.name for row in trial.rows), header_of(trial, language)
    rows = [
        (row.name, *(cell(*one) for one in zip(row.figures, trial.columns, strict=True)), f"{row.readings:,}")
        for row in trial.rows
    ]
    if trial.confusion and len(names) <= MOST_ROWS:
        header = (header[0], say("right", language), *names[: len(trial.confusion)])
        rows = [
            (row.name, cell(row.figures[0], "right"), *map(str, line))
            for row, line in zip(trial.rows, trial.confusion, strict=False)
            if row.readings
        ]
    return header, tuple(rows[:MOST_ROWS])


def _changes(trial: Trial, language: Language) -> tuple[str, ...]:
    """What was set in site.toml, the first few."""
    if not trial.improves:
        return ()
    said = [f"{one.key} {one.before:.4g} → {one.after:.4g}" for one in trial.changes[:MOST_CHANGES]]
    more = len(trial.changes) - len(said)
    return (f"{say('changes', language)}: {', '.join(said)}" + (f" … +{more}" if more else ""),)


def _mean(of: Forecast) -> float:
    return of.over(of.inside, of.error_m)


def _picture(case: Case) -> bytes:
    if case.trial.kind == "count":
        return _ratios(case.trial)
    assert case.floor is not None
    floor, after = case.floor, after_site(case.site, case.trial)
    predicted = forecast(floor, after.probes, after.path_loss)
    error = np.where(predicted.inside > 0.0, predicted.error_m, np.nan)
    marks = [(one.x_m, one.y_m, one.before, one.after) for one in case.trial.marks]
    return png(
        FieldMap(
            floor=floor,
            zones=[zone for zone in case.site.zones if zone.floor == floor.id],
            probes=[probe for probe in case.site.probes if probe.floor == floor.id],
            marks=np.array(marks, np.float64).reshape(-1, 4),
            predicted=(predicted.x_m, predicted.y_m, error) if np.isfinite(error).any() else None,
            better=None if case.better is None else case.better.place_m[:2],
        )
    )


def _ratios(trial: Trial) -> bytes:
    """Draw each count's people per device, newest last, and what all of them come to."""
    rows = trial.rows[-MOST_DOTS:]
    figures = np.array([row.figures[1:4] for row in rows], np.float64).reshape(-1, 3)
    change = next((one for one in trial.changes if one.key in KAPPAS), None)
    log_sd = next((one.after for one in trial.changes if one.key.endswith("log_sd")), None)
    band = None
    if change is not None and log_sd is not None:
        reach = float(np.exp(Z90 * log_sd))
        band = (change.after / reach, change.after, change.after * reach)
    return ratios_png(tuple(row.name for row in rows), figures, band, change.before if change else None)
