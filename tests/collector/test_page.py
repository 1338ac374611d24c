"""The page in a real browser: every figure equals the API's and the database's, at phone and desktop width."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hostkit.collector.api import Api
from hostkit.collector.clock import AHEAD_S
from hostkit.collector.ingest import Ingest
from hostkit.collector.rollups import rebuild
from hostkit.collector.sales import import_sales, read_sales
from hostkit.contract.messages import CalibrationCheck, Drift
from hostkit.io.store_sqlite import FILE, SqliteStore
from hostkit.io.webserver import WebServer, parse_listen
from hostkit.model import Provenance
from tests.collector.shop import HubVoice, Shop, day, simulated

pytestmark = pytest.mark.needs("chromium")

SIZES = {"phone": (390, 844), "desktop": (1440, 900)}
DAY = "2025-03-04"
LANGUAGES = ("en", "zh")


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulated(120, 4.0, 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "sales.csv").write_text(shop.sales_csv)
    with closing(SqliteStore(folder)) as store:
        ingest = Ingest(store, lambda: shop.end_s, lambda: shop.end_s + AHEAD_S)
        for provenance in (Provenance.SIMULATED, Provenance.REPLAY):
            with store.writing():
                for post in day(
                    shop, HubVoice(shop.site, boot=provenance.value, provenance=provenance), shop.end_s - 1800
                ):
                    ingest.take(post.topic, post.payload)
        with store.writing():
            ingest.take("footfall/v1/demo/corner-shop/probe-2/state", b"offline")
            drift = Drift(probe="probe-3", hears_db=-9.2, is_heard_db=0.0)
            check = CalibrationCheck(checked_s=shop.end_s - 9000, links=12, calibration_drift=(drift,))
            post = HubVoice(shop.site, boot="drifted").health(None, shop.end_s - 1800, check)
            ingest.take(post.topic, post.payload)
        import_sales(store, "demo", read_sales(folder / "sales.csv"))
        while rebuild(store):
            pass
    return folder


@pytest.fixture(scope="module")
def url(folder: Path, shop: Shop) -> Iterator[str]:
    server = WebServer(parse_listen("127.0.0.1:0"))
    server.start(Api(lambda: closing(SqliteStore(folder)), lambda: shop.end_s - 1790).application())
    yield server.url
    server.stop()


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: object) -> Iterator[object]:
    width, height = SIZES[request.param]
    page = browser.new_page(viewport={"width": width, "height": height})  # type: ignore[attr-defined]
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda one: asked.append(one.url))
    yield page
    page.close()
    assert said == []  # a CSP violation would be said here
    assert all(one.startswith("http://127.0.0.1:") for one in asked)


def show(page: object, url: str, *, provenance: str = "simulated", lang: str = "en", figure: str = "footfall") -> None:
    page.goto("about:blank")  # type: ignore[attr-defined]
    page.goto(f"{url}#place=demo/corner-shop/{provenance}&lang={lang}&figure={figure}&day={DAY}")  # type: ignore[attr-defined]
    page.wait_for_selector("body[data-ready=yes]")  # type: ignore[attr-defined]


def figures(page: object, selector: str) -> list[tuple[str, str, float | None]]:
    found = page.eval_on_selector_all(  # type: ignore[attr-defined]
        f"{selector} [data-kpi]",
        "nodes => nodes.map(n => [n.dataset.kpi, n.dataset.of ?? '', n.dataset.value ?? null])",
    )
    return [(kpi, of, None if value is None else float(value)) for kpi, of, value in found]


def stored(folder: Path, grain: str, provenance: str = "simulated") -> list[dict[str, object]]:
    """Read the figures of the buckets straight from the file."""
    database = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT body FROM bucket JOIN place ON id=place_id WHERE origin='collector' AND grain=? AND provenance=?"
        " ORDER BY start_s", (grain, provenance),
    ).fetchall()  # fmt: skip
    database.close()
    return [json.loads(body) for (body,) in rows]


def whole(bucket: dict[str, object]) -> dict[str, float | None]:
    return {value["id"]: value["value"] for value in bucket["kpis"] if not value.get("split")}  # type: ignore[attr-defined]


def test_every_figure_equals_the_api_and_the_database(page: object, url: str, folder: Path) -> None:
    show(page, url)
    (today,) = stored(folder, "day")
    shown = figures(page, "#day")
    assert len(shown) >= 10
    assert {(kpi, value) for kpi, _, value in shown} <= set(whole(today).items())
    by_api = page.request.get(f"{url}api/v1/places/demo/corner-shop/simulated/kpis?grain=day&from={DAY}").json()  # type: ignore[attr-defined]
    api = {(f["id"], f["value"]) for f in by_api["buckets"][0]["figures"] if f["zone"] is None and f["hour"] is None}
    assert {(kpi, value) for kpi, _, value in shown} <= api
    live = page.request.get(f"{url}api/v1/places/demo/corner-shop/simulated/live").json()  # type: ignore[attr-defined]
    shown_live = figures(page, "#live")
    assert {kpi for kpi, _, _ in shown_live} >= {"occupancy", "footfall_today", "dwell_mean_today"}
    assert {(kpi, value) for kpi, _, value in shown_live} <= {(f["id"], f["value"]) for f in live["figures"]}


@pytest.mark.parametrize("figure", ["footfall", "capture_rate", "transactions"])
def test_the_hours_and_their_table_equal_the_database(page: object, url: str, folder: Path, figure: str) -> None:
    show(page, url, figure=figure)
    expected = [whole(bucket).get(figure) for bucket in stored(folder, "hour")]
    shown = figures(page, "#hours-table")
    assert [value for _, _, value in shown if value] == [value for value in expected if value]
    drawn = page.locator("#hours .bar .fill").count()  # type: ignore[attr-defined]
    assert drawn >= len([value for value in expected if value])


def test_the_zones_equal_the_database(page: object, url: str, folder: Path) -> None:
    show(page, url)
    (today,) = stored(folder, "day")
    expected = {
        (value["id"], value["split"]["zone"], value["value"])
        for value in today["kpis"]  # type: ignore[attr-defined]
        if (value.get("split") or {}).get("zone") and not value["id"].endswith("_devices")
    }
    shown = {one for one in figures(page, "#zones-table") if one[2] is not None}
    assert len(shown) == 7
    assert shown <= expected
    assert page.locator("#plan polygon.zone").count() == 9  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("provenance", "says"), [("simulated", ("SIMULATED", "模拟数据")), ("replay", ("REPLAY", "回放数据"))]
)
def test_provenance_is_always_in_sight(page: object, url: str, provenance: str, says: tuple[str, str]) -> None:
    for lang, word in zip(LANGUAGES, says, strict=True):
        show(page, url, provenance=provenance, lang=lang)
        page.mouse.wheel(0, 5000)  # type: ignore[attr-defined]
        banner = page.locator("#banner")  # type: ignore[attr-defined]
        assert word in banner.inner_text()
        assert page.evaluate("document.getElementById('banner').getBoundingClientRect().top") >= 0  # type: ignore[attr-defined]


def test_nothing_sticks_out(page: object, url: str) -> None:
    for lang in LANGUAGES:
        show(page, url, lang=lang)
        page.eval_on_selector_all("details", "nodes => nodes.forEach(n => n.open = true)")  # type: ignore[attr-defined]
        width, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")  # type: ignore[attr-defined]
        assert width <= room


def test_it_works_by_keyboard_and_in_chinese(page: object, url: str) -> None:
    show(page, url)
    page.focus("#hours svg")  # type: ignore[attr-defined]
    page.keyboard.press("Home")  # type: ignore[attr-defined]
    first = page.inner_text("#readout")  # type: ignore[attr-defined]
    page.keyboard.press("ArrowRight")  # type: ignore[attr-defined]
    second = page.inner_text("#readout")  # type: ignore[attr-defined]
    assert first
    assert second
    assert first != second
    page.focus("#language")  # type: ignore[attr-defined]
    page.keyboard.press("Enter")  # type: ignore[attr-defined]
    assert page.get_attribute("html", "lang") == "zh-CN"  # type: ignore[attr-defined]
    assert "进店客流" in page.inner_text("#day")  # type: ignore[attr-defined]
    assert "lang=zh" in page.url  # type: ignore[attr-defined]


def test_quality_names_the_probe_that_is_away(page: object, url: str) -> None:
    show(page, url)
    assert page.get_attribute("#badge", "data-level") == "fair"  # type: ignore[attr-defined]
    assert "probe-2" in page.inner_text("#quality")  # type: ignore[attr-defined]


def test_quality_names_the_probe_that_has_drifted(page: object, url: str) -> None:
    show(page, url)
    assert page.inner_text("[data-quality=calibration]") == "1 drifted"  # type: ignore[attr-defined]
    assert "probe-3: hears 9 dB weaker" in page.inner_text("#quality")  # type: ignore[attr-defined]
