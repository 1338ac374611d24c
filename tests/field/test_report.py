"""The page a technician signs: what it says in both languages, and that nothing in it can break it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hostkit.field.count import door_trial
from hostkit.field.ground import ground_of
from hostkit.field.report import Case, Page, better_of, html, page_of
from hostkit.field.report_pdf import chinese_font, pdf
from hostkit.field.survey import read_survey
from hostkit.field.trial import Check, Held, Note, Trial
from hostkit.field.walk import walk_trial
from hostkit.field.words import LANGUAGES, WORDS, Language, held_figures, say_check
from hostkit.hub.calibrate import DoorCount
from hostkit.model import Site
from tests.cli.command import footfall, refused
from tests.field.shop import SITE, START_S, site_file, table

GROUND = ground_of(SITE)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    survey, _ = read_survey(table(tmp_path_factory.mktemp("walk"), "walk.csv", every=5), GROUND)
    return walk_trial(SITE, GROUND, survey, phone=True)


def page(trial: Trial, language: Language, site: Site = SITE) -> Page:
    better = better_of(site, GROUND.floor, (20.0, 18.0, 2.5))
    assert better is not None
    case = Case(site=site, floor=GROUND.floor, trial=trial, record=None, better=better, at_s=START_S)
    return page_of(case, language)


def pages(data: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", data))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_result_errors_limits_and_where_one_more_probe_helps(trial: Trial, language: Language) -> None:
    made = page(trial, language)
    text = html(made)
    assert trial.held is not None
    assert f"{trial.held.before:.1f} m → {trial.held.after:.1f} m" in text
    assert (">PASS<" if language == "en" else ">PASS 合格<") in text
    assert ("x 20.0 m, y 18.0 m, 2.5 m high" if language == "en" else "x 20.0 米、y 18.0 米、高 2.5 米") in text
    assert all(name in text for name in GROUND.names)
    assert text.count("<li") == len(made.checks) + len(made.weak)
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_count_is_reported_too_without_a_plan(language: Language) -> None:
    rows = tuple((START_S + 30.0 * number, 1.0, 0.0) for number in range(60))
    count = DoorCount(start_s=START_S, end_s=START_S + 1800, entered=60, passed=None, rows=rows)
    site = replace(SITE, probes=(), floors=())
    tried = door_trial(site, (count,), lambda part: part.people / 1.7, (), "beam.csv")
    case = Case(site=site, floor=None, trial=tried, record=None, better=None, at_s=START_S)
    made = page_of(case, language)
    text = html(made)
    assert f"people_per_device.median 1 → {tried.changes[0].after:.4g}" in text
    assert "00:00–00:15" in text
    assert ("One count only" if language == "en" else "只有一次计数") in text
    assert made.picture.startswith(b"\x89PNG")
    assert pages(pdf(made, chinese_font())) == 1


def test_a_figure_that_just_fails_does_not_look_as_if_it_passed() -> None:
    check = Check(word="wrong", value=0.503, limit=0.5, unit="wrong")
    assert say_check(check, "en") == "time in the wrong zone 50.3%, at most 50.0%"


def test_names_cannot_break_the_page(trial: Trial) -> None:
    evil = replace(SITE, name="<script>alert(1)</script>")
    noted = replace(trial, source='"><img src=x>', weak=(Note(word="not_measured", values=("<b>",)),))
    text = html(page(noted, "en", evil))
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(text)
    assert "script" not in tags
    assert "b" not in tags
    assert tags.count("img") == 1


def test_figures_that_look_alike_get_another_digit() -> None:
    assert held_figures(Held(before=3.14, after=3.11, naive=None), "m") == ("3.14 m", "3.11 m", "")
    assert held_figures(Held(before=3.34, after=3.16, naive=6.9), "m") == ("3.3 m", "3.2 m", "6.9 m")
    assert held_figures(Held(before=0.514, after=0.511, naive=0.9), "wrong") == ("51.4%", "51.1%", "90.0%")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_is_one_page_whatever_is_on_it(trial: Trial, language: Language) -> None:
    font = chinese_font()
    assert pages(pdf(page(trial, "en"), None)) == 1
    note = Note(word="zone_mixed", values=("z" * 32, "y" * 32, "10%"))
    full = replace(trial, rows=trial.rows * 9, weak=(note,) * 30, checks=trial.checks * 3, source="s" * 300)
    long = page(full, language, replace(SITE, name="街角店 " * 20))
    assert len(long.weak) <= 7
    drawn = pdf(long, font)
    assert pages(drawn) == 1
    assert drawn.startswith(b"%PDF")
    assert pages(pdf(long, None)) == 1  # no Chinese font on this computer: question marks, not a crash


def test_no_font_is_none_of_those_known(tmp_path: Path) -> None:
    font = tmp_path / "a.ttf"
    assert chinese_font((str(font),)) is None
    font.touch()
    assert chinese_font((str(font),)) == font


def test_both_languages_have_the_same_gaps() -> None:
    for word, (english, chinese) in WORDS.items():
        if word == "said":
            continue
        if word != "no_font":
            assert sorted(re.findall(r"{\d}", english)) == sorted(re.findall(r"{\d}", chinese)), word
        assert re.search(r"[\u4e00-\u9fff]", chinese), word


def test_reports_are_written_with_the_calibration(tmp_path: Path) -> None:
    site, walk = site_file(tmp_path), table(tmp_path, "walk.csv", every=5)
    refused(
        footfall("calibrate", "walk", "--site", site, "--from", walk, "--report", tmp_path / "r.doc"), 2, "is no .html"
    )
    assert not (tmp_path / "calibration").exists()
    out = [tmp_path / "r.html", tmp_path / "r.pdf"]
    options = [word for path in out for word in ("--report", path)]
    done = footfall("calibrate", "walk", "--site", site, "--from", walk, *options, "--json")
    assert done.returncode == 0, done.stderr
    assert "walk-2" in out[0].read_text("utf-8")
    assert pages(out[1].read_bytes()) == 1
