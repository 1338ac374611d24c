"""The HTTP API and the page, read only. No outside asset, no cookie, no password: it listens on this machine alone."""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from importlib.resources import files
from typing import Annotated, TypeVar

import msgspec
from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint

from hostkit import __version__
from hostkit.collector import answers as a
from hostkit.collector.queries import Queries, places, quarantine
from hostkit.collector.store import Store
from hostkit.core.rollup import Grain, Place
from hostkit.errors import StorageError, UsageError
from hostkit.io.webserver import HEADERS
from hostkit.model import ID_PATTERN, Provenance

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
    "/app.css": ("app.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
LOCAL_NAMES = {"localhost", "127.0.0.1", "[::1]"}

IdPart = Annotated[str, Path(pattern=f"^{ID_PATTERN}$", max_length=32)]
Day = Annotated[date | None, Query(description="local day; without one, today")]
From = Annotated[date | None, Query(alias="from", description="first local day; without one, today")]
To = Annotated[date | None, Query(alias="to", description="last local day, included")]
Name = Annotated[str, Query(pattern="^[a-z0-9_]{1,48}$")]
T = TypeVar("T")

_problems: dict[int | str, dict[str, object]] = {
    code: {"model": a.Problem, "content": {"application/problem+json": {}}} for code in (404, 422, 503)
}
_PLACE = "/api/v1/places/{tenant}/{site}/{provenance}"


class Api:
    """Makes the application. `open_store` gives a store of the calling thread's own; `now_s` is the service's clock."""

    def __init__(self, open_store: Callable[[], AbstractContextManager[Store]], now_s: Callable[[], int]) -> None:
        self._open_store = open_store
        self._now_s = now_s

    def application(self, *, any_host: bool = False) -> FastAPI:
        """Give the ASGI application. Unless `any_host`, only names of this machine are answered to (DNS rebinding)."""
        app = FastAPI(
            title="Footfall collector", version=__version__, docs_url=None, redoc_url=None,
            openapi_url="/api/v1/openapi.json",
        )  # fmt: skip
        _guard(app, any_host=any_host)
        _errors(app)
        _page(app)
        self._routes(app)
        return app

    @contextmanager
    def _view(self) -> Iterator[Store]:
        with self._open_store() as store, store.reading():
            yield store

    @contextmanager
    def _ask(self, tenant: str, site: str, provenance: Provenance) -> Iterator[Queries]:
        with self._view() as store:
            yield Queries(store, Place(tenant=tenant, site=site, provenance=provenance), self._now_s())

    def _routes(self, app: FastAPI) -> None:
        @app.get("/api/v1/places", response_model=list[a.PlaceAnswer], responses=_problems)
        def list_places() -> Response:
            with self._view() as store:
                return _json(places(store, self._now_s()))

        @app.get("/api/v1/quarantine", response_model=a.QuarantineAnswer, responses=_problems)
        def count_quarantine() -> Response:
            with self._view() as store:
                return _json(quarantine(store))

        @app.get(f"{_PLACE}/live", response_model=a.LiveAnswer, responses=_problems)
        def live(*, tenant: IdPart, site: IdPart, provenance: Provenance) -> Response:
            with self._ask(tenant, site, provenance) as ask:
                return _json(ask.live())

        @app.get(f"{_PLACE}/kpis", response_model=a.KpisAnswer, responses=_problems)
        def kpis(
            *, tenant: IdPart, site: IdPart, provenance: Provenance, grain: Grain, first: From = None, last: To = None
        ) -> Response:
            with self._ask(tenant, site, provenance) as ask:
                return _json(ask.kpis(grain, ask.days(first, last, grain)))

        @app.get(f"{_PLACE}/zones", response_model=a.ZonesAnswer, responses=_problems)
        def zones(*, tenant: IdPart, site: IdPart, provenance: Provenance, day: Day = None) -> Response:
            with self._ask(tenant, site, provenance) as ask:
                return _json(ask.zones(ask.day(day)))

        @app.get(f"{_PLACE}/quality", response_model=a.QualityAnswer, responses=_problems)
        def quality(*, tenant: IdPart, site: IdPart, provenance: Provenance, day: Day = None) -> Response:
            with self._ask(tenant, site, provenance) as ask:
                return _json(ask.quality(ask.day(day)))

        self._series(app)

    def _series(self, app: FastAPI) -> None:
        @app.get(f"{_PLACE}/series", response_model=a.SeriesAnswer, responses=_problems)
        def series(
            *,
            tenant: IdPart,
            site: IdPart,
            provenance: Provenance,
            kpi: Name,
            grain: Grain = Grain.HOUR,
            first: From = None,
            last: To = None,
        ) -> Response:
            with self._ask(tenant, site, provenance) as ask:
                return _json(ask.series(kpi, grain, ask.days(first, last, grain)))


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


def _problem(status: int, title: str, detail: str) -> Response:
    body = msgspec.json.encode(a.Problem(type="about:blank", title=title, status=status, detail=detail[:500]))
    return Response(body, status_code=status, media_type="application/problem+json", headers=HEADERS)


def _page(app: FastAPI) -> None:
    """Serve a fixed list of files from memory."""
    folder = files(__package__).joinpath("page")
    for route, (name, media_type) in PAGE.items():
        app.add_route(route, _file(folder.joinpath(name).read_bytes(), media_type), methods=["GET", "HEAD"])


def _file(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return serve


def _guard(app: FastAPI, *, any_host: bool) -> None:
    @app.middleware("http")
    async def guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
        name = re.sub(r":\d+$", "", request.headers.get("host", ""))
        if not any_host and name not in LOCAL_NAMES:
            return _problem(421, "Misdirected Request", "this address answers to localhost only")
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response


def _errors(app: FastAPI) -> None:
    async def refused(_: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return _problem(error.status_code, str(error.detail), str(error.detail))
        if isinstance(error, RequestValidationError):
            return _problem(422, "Unprocessable Content", "; ".join(map(_invalid, error.errors()[:5])))
        if isinstance(error, UsageError):
            status, title = (404, "Not Found") if error.what == "no such place" else (422, "Unprocessable Content")
            return _problem(status, title, str(error))
        return _problem(503, "Service Unavailable", str(error))

    for kind in (HTTPException, RequestValidationError, UsageError, StorageError):
        app.add_exception_handler(kind, refused)


def _invalid(found: dict[str, object]) -> str:
    where = found.get("loc")
    path = ".".join(map(str, where)) if isinstance(where, tuple) else "request"
    return f"{path}: {found.get('msg', 'is wrong')}"
