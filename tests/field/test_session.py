"""Stands taken one after the other: orders of terminal and phone, what is shown, a phone that falls silent."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from hostkit.core.zones import inside
from hostkit.errors import InputError, PeerError
from hostkit.field.courses import Course, LinkCourse, WalkCourse, ZoneCourse, course_of, points_on
from hostkit.field.diary import diary, live_path
from hostkit.field.ground import corners, ground_of
from hostkit.field.hearing import Level
from hostkit.field.phone import PhonePage, StandsView
from hostkit.field.session import END, NEXT, UNDO, Session
from hostkit.field.words import say_note
from hostkit.io.webserver import Listen, WebServer
from hostkit.sim.plan import default_site
from tests.field.shop import SITE

GROUND = ground_of(SITE)
POINTS = points_on(GROUND.floor)


class Scripted:
    """Hears what the law of site.toml says of wherever the technician is told to be; `silent` stands: nothing."""

    seconds = 1

    def __init__(self, *silent: int, down: tuple[int, ...] = ()) -> None:
        self._silent, self._down, self._count = silent, down, 0

    def hear(self, probes: Sequence[str]) -> tuple[Level, ...]:
        self._count += 1
        if self._count - 1 in self._down:
            raise PeerError("probe-1 is not connected", where="probe-1", next_step="see footfall watch")
        if self._count - 1 in self._silent:
            return (Level(),) * len(probes)
        places = {probe.id: probe.position_m for probe in SITE.probes}
        at = np.array([*POINTS[(self._count - 1) % len(POINTS)], 1.1])
        apart = [float(np.linalg.norm(at - np.array(places[name]))) for name in probes]
        return tuple(Level(frames=20, rssi_dbm=-45.0 - 27.0 * math.log10(one)) for one in apart)


Begin = Callable[..., tuple[Session, list[str]]]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Begin]:
    """Begin sessions, or go on with one, beside a site.toml in `tmp_path`."""
    with ExitStack() as stack:

        def begin(hearing: Scripted, course: Course | None = None) -> tuple[Session, list[str]]:
            stack.pop_all().close()
            said: list[str] = []
            course = course or WalkCourse(SITE, GROUND, POINTS, phone=True)
            kept = stack.enter_context(diary(tmp_path / "site.toml", course))
            return Session(course, hearing, "en", said.append, kept), said

        yield begin


def run(it: Session, *orders: int | str) -> object:
    thread_result: list[object] = []
    thread = threading.Thread(target=lambda: thread_result.append(it.run()))
    thread.start()
    for order in (*orders, END):
        while not it.give(order):
            time.sleep(0.01)
    thread.join(30)
    return thread_result[0]


def test_proposed_points_are_enough_and_in_every_corner() -> None:
    for probes in (3, 6):
        floor = ground_of(default_site(probes)).floor
        points = points_on(floor)
        assert 20 <= len(points) <= 40
        assert inside(points, floor.interior_m).all()
        assert not any(corner.missing for corner in corners(floor, points))
        steps = np.hypot(*np.diff(points, axis=0).T)
        assert steps.max() < 2.5 * np.median(steps)  # to and fro, never right across


def test_a_whole_walk_is_tried_and_each_point_says_how_far_off(session: Begin) -> None:
    it, said = session(Scripted())
    trial = run(it, *[NEXT] * len(POINTS))
    assert trial is not None
    assert len(said) == len(POINTS)
    assert said[0].startswith("point 1: 6 probes heard, ")
    assert "have 1 of 20 points" in said[0]
    assert "have" not in said[-1]
    assert trial.enough  # type: ignore[attr-defined]
    assert trial.held.after < 3.0  # type: ignore[attr-defined]
    assert it.next is None


def test_undo_unknown_stands_and_more_orders_than_are_left(session: Begin) -> None:
    it, said = session(Scripted())
    assert not it.give(len(POINTS))
    assert not it.give(-1)
    run(it, 4, UNDO, UNDO, NEXT)
    assert [line.partition(";")[0] for line in said[:2]][1] == "5: taken out again"
    assert said[2].startswith("point 1: ")
    assert it.shown.done == (0,)
    assert len(it.shown.residuals) == 1


def test_a_phone_that_falls_silent_on_the_way_is_told_and_not_taken(session: Begin) -> None:
    it, said = session(Scripted(2, 3))
    run(it, NEXT, NEXT, NEXT, NEXT, NEXT)
    assert "no probe heard it" in said[2]
    assert "it fell silent on the way; its name or address changed" in said[3]
    assert it.shown.done == (0, 1, 2)


def test_trouble_with_the_hub_is_told_and_it_goes_on(session: Begin) -> None:
    it, said = session(Scripted(down=(0,)))
    run(it, NEXT, NEXT)
    assert said[0].startswith("probe-1: probe-1 is not connected; see footfall watch")
    assert it.shown.done == (0,)


class Deaf(Scripted):
    """One probe hears nothing; another says why."""

    def hear(self, probes: Sequence[str]) -> tuple[Level, ...]:
        heard = list(super().hear(probes))
        heard[1], heard[4] = Level(), Level(trouble="probe-5 is not connected")
        return tuple(heard)


def test_a_probe_that_hears_nothing_is_named_on_the_way(session: Begin) -> None:
    it, said = session(Deaf())
    run(it, *[NEXT] * 4)
    assert said[0] == "probe-5: probe-5 is not connected; the stand counts without it"
    assert said[1].startswith("point 1: 4 probes heard")
    assert [note.values for note in it.shown.weak[:2]] == [("probe-2", "4"), ("probe-5", "4")]
    assert "heard nothing at 4 stands" in say_note(it.shown.weak[0], "en")


def test_nothing_heard_is_no_trial(session: Begin) -> None:
    assert run(session(Scripted(0))[0], NEXT) is None


def test_what_a_session_kept_is_gone_on_with(session: Begin, tmp_path: Path) -> None:
    whole = run(session(Scripted())[0], *[NEXT] * 10)
    path = live_path(tmp_path / "site.toml", "walk")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 11
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"".join(lines[:9]) + lines[9][:20])  # the battery went flat in the middle of a line
    it, said = session(Scripted())
    assert it.shown.done == tuple(range(8))
    run(it, UNDO, UNDO)
    assert said[-1].startswith("7: taken out again; have 6 of 20 points")
    assert session(Scripted())[0].shown.done == tuple(range(6))
    path.write_bytes(b"".join(lines))
    assert run(session(Scripted())[0]) == whole


def test_a_session_of_other_points_is_not_mixed_with_this_one(session: Begin, tmp_path: Path) -> None:
    run(session(Scripted())[0], NEXT)
    with pytest.raises(InputError, match="a session of other points or probes is in it") as refused:
        session(Scripted(), WalkCourse(SITE, GROUND, POINTS[:20], phone=True))
    assert "finish it with --from" in refused.value.next_step
    path = live_path(tmp_path / "site.toml", "walk")
    kept = path.read_bytes()
    for bad, what in [(b"junk\n", "is none that a session kept"), (b'{"type":"stand"}\n', "line 3: is none")]:
        path.write_bytes(kept + bad)
        with pytest.raises(InputError, match=what):
            session(Scripted())
    short = kept.splitlines(keepends=True)[1].replace(b"[20,", b"[20,-50.0],[20,", 1)
    path.write_bytes(kept + short)
    with pytest.raises(InputError, match="line 3: is of other probes or points"):
        session(Scripted())


def test_a_full_disk_is_told_and_the_stand_still_counts(session: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    it, said = session(Scripted())
    monkeypatch.setattr("hostkit.io.journal.MAX_BYTES", 700)
    run(it, NEXT, NEXT)
    assert "walk-live.jsonl: has 700 bytes; end here" in said[-1]
    assert it.shown.done == (0, 1)


def test_links_take_halves_and_zones_take_parts(session: Begin) -> None:
    link = LinkCourse(SITE, (1.0, 8.0), phone=True)
    assert [stand.label for stand in link.stands[:3]] == ["probe-1, 1 m", "probe-1, 8 m", "probe-2, 1 m"]
    assert link.stands[0].probes == ("probe-1",)
    trial = run(session(Scripted(), link)[0], 0, 1)
    assert {need.of: need.met for need in trial.needs if need.word == "frames"} == {"probe-1": True}  # type: ignore[attr-defined]
    zones = ZoneCourse(SITE)
    trial = run(session(Scripted(), zones)[0], 3, 4, 3, 4)
    assert [need.have for need in trial.needs if need.word == "rounds"] == [2, 2]  # type: ignore[attr-defined]
    assert [need.have for need in trial.needs if need.word == "windows"] == [6, 6]  # type: ignore[attr-defined]
    for course, done in ((link, (0, 1)), (zones, (3, 4, 3, 4))):  # both go on after a crash
        it, _ = session(Scripted(), course)
        assert it.shown.done == done
        assert course_of(course.head, SITE, lambda: GROUND).head == course.head


def test_what_was_heard_is_given_to_be_drawn(session: Begin) -> None:
    link = LinkCourse(SITE, (1.0, 8.0), phone=True)
    it, _ = session(Scripted(), link)
    assert it.shown.chart is None
    run(it, 0)
    chart = it.shown.chart
    assert chart is not None
    assert (chart.title, [one.name.word for one in chart.series]) == ("probe-1", ["heard", "expected"])
    run(it, 1)
    chart = it.shown.chart
    assert chart is not None
    heard, expected, fitted = chart.series
    taken = [float(np.nanmean(one.rssi_dbm())) for one in it._taken]
    assert heard.points == ((1.0, pytest.approx(taken[0])), (8.0, pytest.approx(taken[1])))
    law = [SITE.path_loss.rssi_1m_dbm - 10 * SITE.path_loss.exponent * math.log10(x) for x, _ in expected.points]
    assert [y for _, y in expected.points] == pytest.approx(law)
    xs, ys = np.array(fitted.points).T
    assert np.interp([0.0, math.log10(8.0)], np.log10(xs), ys) == pytest.approx(taken, abs=0.01)
    it, _ = session(Scripted(), ZoneCourse(SITE))
    run(it, 3, 4)
    chart = it.shown.chart
    assert chart is not None
    assert [one.name.values for one in chart.series] == [(probe.id,) for probe in SITE.probes]
    assert {x for one in chart.series for x, _ in one.points} == {3.0, 4.0}
    assert all(len(one.points) == 6 for one in chart.series)


# ---- the phone page ----


@contextmanager
def served_page(it: Session) -> Iterator[tuple[str, int]]:
    page, server = PhonePage(StandsView(it)), WebServer(Listen(host="127.0.0.1", port=0))
    server.start(page.application())
    thread = threading.Thread(target=it.run)
    thread.start()
    try:
        yield page.path, int(server.url.rsplit(":", 1)[1].rstrip("/"))
    finally:
        it.give(END)
        thread.join(10)
        server.stop()


@pytest.fixture
def served(session: Begin) -> Iterator[tuple[Session, str, int]]:
    it, _ = session(Scripted())
    with served_page(it) as (path, port):
        yield it, path, port


def call(port: int, method: str, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()


def test_the_page_takes_a_stand_and_shows_it(served: tuple[Session, str, int]) -> None:
    it, path, port = served
    response, body = call(port, "GET", path)
    assert response.status == 200
    assert b"innerHTML" not in body
    assert call(port, "POST", f"{path}do/2")[0].status == 202
    deadline = time.monotonic() + 60
    while it.shown.done != (2,):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    _, state = call(port, "GET", f"{path}state")
    assert b'"done":[2]' in state
    assert b"I stand on point 1" in state
    _, chinese = call(port, "GET", f"{path}state", **{"Accept-Language": "zh-CN,zh;q=0.9"})
    assert "我站在 1 号点".encode() in chinese
    assert "3 号点：6 个探针听到".encode() in chinese
    assert b"probes heard" not in chinese


@pytest.mark.needs("chromium")
def test_a_browser_draws_what_was_heard(session: Begin, browser: Browser) -> None:
    it, _ = session(Scripted(), LinkCourse(SITE, (1.0, 8.0), phone=True))
    with served_page(it) as (path, port):
        page = browser.new_page(locale="en-GB")
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}{path}")
        for stand in ("I stand at probe-1, 1 m", "I stand at probe-1, 8 m"):
            page.click(f"#go:has-text('{stand}'):enabled")
        page.wait_for_selector("#go:has-text('I stand at probe-2, 1 m'):enabled")
        assert page.inner_text("#legend").split() == ["●", "heard", "●", "expected", "●", "fitted"]
        assert page.text_content("#chart text:has-text('dBm')") == "level, dBm · probe-1"
        rows = page.locator("#table tr").all_inner_texts()
        assert [row.split("\t")[:2] for row in rows] == [
            ["where", "probes heard"], ["probe-1, 8 m", "1"], ["probe-1, 1 m", "1"]
        ]  # fmt: skip
        dots = page.locator("#chart circle").evaluate_all(
            "all => all.map(one => [+one.getAttribute('cx'), +one.getAttribute('cy')])"
        )
        lines = page.locator("#chart polyline").evaluate_all("all => all.map(one => one.getAttribute('points'))")
        drawn = [np.array([pair.split(",") for pair in line.split()], float).T for line in lines]
        assert [len(dots), len(drawn)] == [2, 2]
        for x, y in dots:
            assert np.interp(x, *drawn[1]) == pytest.approx(y, abs=0.5), "the fit goes through two dots"
            assert np.interp(x, *drawn[0]) != pytest.approx(y, abs=2.0), "not what site.toml says"
        page.close()
    assert said == []


def test_nobody_without_its_address_can_press_anything(served: tuple[Session, str, int]) -> None:
    it, path, port = served
    assert len(path) >= 14
    for method, where in [
        ("GET", "/"),
        ("GET", "/state"),
        ("POST", "/do/1"),
        ("POST", "/x/do/1"),
        ("POST", "/do/end"),
    ]:
        response, body = call(port, method, where)
        assert response.status == 404
        assert path.encode() not in body
    for where, status in [("do/999", 409), ("do/-1", 409), ("do/dance", 409), ("do/1/2", 404), ("do/1?ago=x", 409)]:
        assert call(port, "POST", path + where)[0].status == status
    assert call(port, "GET", f"{path}do/end")[0].status == 404
    assert it.shown.done == ()
