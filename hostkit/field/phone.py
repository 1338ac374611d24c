"""The page on a phone or laptop: big buttons, what was heard, what is missing. Its address is its only key."""

import math
import secrets
from importlib import resources
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hostkit.core.reference import WAYS
from hostkit.field.chart import Chart
from hostkit.field.door import Door
from hostkit.field.session import END, UNDO, Session
from hostkit.field.words import LANGUAGES, Language, figure, say, say_need, say_note

WORDS = ("listening", "undo", "end", "sure", "lost", "unsent")
LONGEST_NUMBER = 40
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = resources.files("hostkit.field").joinpath("page/phone.html")


class View(Protocol):
    """What the page shows and whom it orders about."""

    language: Language

    def give(self, order: str, number: str, ago_s: float) -> bool:
        """Take an order; False for one that is none now. `number` names it, `ago_s` is how long ago it was given."""

    def state(self, language: Language) -> dict[str, object]:
        """Give what there is to see, for the page's script."""


class PhonePage:
    """A session on a phone. `path` is a secret: it is all that keeps others in the network from pressing buttons."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.path = f"/{secrets.token_urlsafe(9)}/"

    def application(self) -> Starlette:
        """Give what a web server serves."""
        routes = [
            Route(self.path, self._page),
            Route(f"{self.path}state", self._state),
            Route(f"{self.path}do/{{order}}", self._order, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={404: _nothing, 405: _nothing})

    def _page(self, request: Request) -> Response:
        return HTMLResponse(_PAGE.read_text("utf-8"), headers=HEADERS)

    def _state(self, request: Request) -> Response:
        return JSONResponse(self._view.state(_language(request, self._view.language)), headers=HEADERS)

    def _order(self, request: Request) -> Response:
        query = request.query_params
        try:
            ago_s = float(query.get("ago", "0"))
        except ValueError:
            return _answer(False)
        number = query.get("number", "")
        known = len(number) <= LONGEST_NUMBER and math.isfinite(ago_s)
        return _answer(known and self._view.give(request.path_params["order"], number, ago_s))


class StandsView:
    """A session of stands."""

    def __init__(self, session: Session) -> None:
        self.language = session.language
        self._session, self._ground = session, session.course.ground

    def give(self, order: str, number: str, ago_s: float) -> bool:
        """Take a stand's number from 0, `undo` or `end`."""
        if order.isascii() and order.isdecimal() and len(order) < 6:
            return self._session.give(int(order))
        return order in {UNDO, END} and self._session.give(order)

    def state(self, language: Language) -> dict[str, object]:
        """Give stands, what was heard at them, and the plan."""
        session, shown = self._session, self._session.shown
        kind = session.course.kind
        stands = [
            {"label": say(f"stand_{kind}", language, one.label), "short": one.label, "place": one.place_m}
            for one in session.course.stands
        ]
        state = {
            "listening": shown.listening,
            "until_s": shown.until_s,
            "done": shown.done,
            "residuals": [None if math.isnan(one) else round(one, 1) for one in shown.residuals],
            "needs": [say_need(need, language) for need in shown.needs],
            "weak": [say_note(note, language) for note in shown.weak],
            "line": say_note(shown.line, language) if shown.line else "",
            "over": shown.over,
        }
        more = {
            "stands": stands,
            "unit": session.course.unit,
            "next": session.next,
            "plan": self._plan(),
            "chart": _chart(shown.chart, language),
            "table": self._table(language),
        }
        return _texts(kind, language) | state | more

    def _table(self, language: Language) -> dict[str, object]:
        """What was taken, newest first."""
        course, shown = self._session.course, self._session.shown
        rows = [
            (course.stands[at].label, str(heard), "–" if math.isnan(off) else figure(off, course.unit))
            for at, heard, off in zip(shown.done, shown.heard, shown.residuals, strict=True)
        ]
        heads = (say("stand", language), say("probes_heard", language), say(f"off_{course.kind}", language))
        return {"heads": heads, "rows": rows[::-1]}

    def _plan(self) -> dict[str, object] | None:
        if self._ground is None:
            return None
        floor = self._ground.floor
        probes = [
            {"id": name, "at": place[:2]}
            for name, place in zip(self._ground.names, self._ground.places_m.tolist(), strict=True)
        ]
        walls = [[wall.from_m, wall.to_m] for wall in floor.walls]
        return {"bounds": floor.bounds_m, "outline": floor.interior_m, "walls": walls, "probes": probes}


class DoorView:
    """A count at a door: big buttons, one a way."""

    def __init__(self, door: Door, language: Language) -> None:
        self.language = language
        self._door = door

    def give(self, order: str, number: str, ago_s: float) -> bool:
        """Take a tap, `undo` or `end`."""
        return self._door.give(order, number=number, ago_s=ago_s)

    def state(self, language: Language) -> dict[str, object]:
        """Give the buttons with what they counted."""
        door = self._door
        ways = [way for way in WAYS if way != "by" or not door.by_hub]
        taps = [{"way": way, "label": say(f"tap_{way}", language), "people": door.tally.people(way)} for way in ways]
        state = {
            "taps": taps,
            "needs": [say_need(need, language) for need in door.needs()],
            "weak": [door.trouble] if door.trouble else [],
            "line": "",
            "over": door.over.is_set(),
            "chart": _chart(door.chart(), language),
        }
        return _texts("count", language) | state


def _chart(chart: Chart | None, language: Language) -> dict[str, object] | None:
    if chart is None:
        return None
    series = [{"name": say_note(one.name, language), "drawn": one.drawn, "points": one.points} for one in chart.series]
    axes = {"x": say(chart.x, language), "y": say(chart.y, language)}
    return axes | {"title": chart.title, "log": chart.logarithmic, "names": chart.names, "series": series}


def _texts(kind: str, language: Language) -> dict[str, object]:
    words = {word: say(word, language, "{0}") for word in WORDS}  # the page fills it in
    return {"words": words, "title": say(kind, language), "guide": say(f"guide_{kind}", language)}


def _language(request: Request, default: Language) -> Language:
    """The phone's own language if we have it."""
    wanted = request.headers.get("accept-language", "")[:2].lower()
    return next((one for one in LANGUAGES if one == wanted), default)


def _answer(taken: bool) -> Response:
    return JSONResponse({"taken": taken}, status_code=202 if taken else 409, headers=HEADERS)


async def _nothing(request: Request, error: Exception) -> Response:
    return PlainTextResponse("nothing here\n", status_code=404, headers=HEADERS)
