"""The page on the technician's phone: big buttons, what was heard, what is missing. Its address is its only key."""

import math
import secrets
from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hostkit.field.session import END, UNDO, Session
from hostkit.field.words import LANGUAGES, Language, say, say_need, say_note

WORDS = ("listening", "undo", "end", "sure", "lost", "map")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = resources.files("hostkit.field").joinpath("page/phone.html")


class PhonePage:
    """A session on a phone. `path` is a secret: it is all that keeps others in the network from pressing buttons."""

    def __init__(self, session: Session) -> None:
        self._session, self._ground, self._kind = session, session.course.ground, session.course.kind
        self.path = f"/{secrets.token_urlsafe(9)}/"

    def application(self) -> Starlette:
        """Give what a web server serves."""
        routes = [
            Route(self.path, self._page),
            Route(f"{self.path}state", self._state),
            Route(f"{self.path}stand/{{number:int}}", self._stand, methods=["POST"]),
            Route(f"{self.path}{{word}}", self._word, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={404: _nothing, 405: _nothing})

    def _page(self, request: Request) -> Response:
        return HTMLResponse(_PAGE.read_text("utf-8"), headers=HEADERS)

    def _state(self, request: Request) -> Response:
        return JSONResponse(self._object(_language(request, self._session.language)), headers=HEADERS)

    def _stand(self, request: Request) -> Response:
        return _answer(self._session.give(int(request.path_params["number"])))

    def _word(self, request: Request) -> Response:
        word = request.path_params["word"]
        return _answer(word in {UNDO, END} and self._session.give(word))

    def _object(self, language: Language) -> dict[str, object]:
        session, shown = self._session, self._session.shown
        stands = [
            {"label": say(f"stand_{self._kind}", language, one.label), "short": one.label, "place": one.place_m}
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
        words = {word: say(word, language) for word in WORDS}
        title, guide = say(self._kind, language), say(f"guide_{self._kind}", language)
        return state | {
            "stands": stands,
            "words": words,
            "title": title,
            "guide": guide,
            "unit": session.course.unit,
            "next": session.next,
            "plan": self._plan(),
        }

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


def _language(request: Request, default: Language) -> Language:
    """The phone's own language if we have it."""
    wanted = request.headers.get("accept-language", "")[:2].lower()
    return next((one for one in LANGUAGES if one == wanted), default)


def _answer(taken: bool) -> Response:
    return JSONResponse({"taken": taken}, status_code=202 if taken else 409, headers=HEADERS)


async def _nothing(request: Request, error: Exception) -> Response:
    return PlainTextResponse("nothing here\n", status_code=404, headers=HEADERS)
