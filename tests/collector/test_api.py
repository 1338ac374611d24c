"""The HTTP API: what it answers, what it refuses, and with which headers."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from hostkit.collector.api import PAGE, Api
from hostkit.collector.clock import AHEAD_S
from hostkit.collector.ingest import Ingest
from hostkit.collector.rollups import rebuild
from hostkit.io.store_sqlite import SqliteStore
from hostkit.model import Provenance
from tests.collector.shop import HubVoice, Shop, day, simulated

ROOT = "/api/v1/places/demo/corner-shop"


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulated(120, 4.0, 5)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("api")
    with closing(SqliteStore(folder)) as store:
        ingest = Ingest(store, lambda: shop.end_s, lambda: shop.end_s + AHEAD_S)
        for provenance, boot in ((Provenance.SIMULATED, "a"), (Provenance.LIVE, "b")):
            with store.writing():
                for post in day(shop, HubVoice(shop.site, boot=boot, provenance=provenance)):
                    assert ingest.take(post.topic, post.payload).refused is None
        with store.writing():
            ingest.take("footfall/v1/demo/corner-shop/hub/visits", b"{}")
        while rebuild(store):
            pass
    api = Api(lambda: closing(SqliteStore(folder)), lambda: shop.end_s + 60)
    with TestClient(api.application(), base_url="http://127.0.0.1") as client:
        yield client


def ok(client: TestClient, path: str) -> dict[str, object]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return str(found["detail"])


def test_every_answer_fits_its_description(client: TestClient) -> None:
    described = ok(client, "/api/v1/openapi.json")
    paths = described["paths"]
    assert isinstance(paths, dict)
    assert len(paths) == 7
    for path in paths:
        url = path.format(tenant="demo", site="corner-shop", provenance="simulated")
        found = client.get(url, params={"kpi": "footfall", "grain": "hour"})
        schema = paths[path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            assert set(found.json()) == set(described["components"]["schemas"][name]["properties"])  # type: ignore[index]


def test_headers_are_strict_everywhere(client: TestClient) -> None:
    for path in (*PAGE, "/api/v1/places", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_the_page_names_no_outside_asset(client: TestClient) -> None:
    for path in PAGE:
        text = client.get(path).text.replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("\n//", "").replace("http://127", "") or "http" not in text, path
        assert "style=" not in text
        assert "innerHTML" not in text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nothing", 404, "Not Found"),
        ("/api/v1/places/demo/other/live/live", 404, "no such place"),
        ("/api/v1/places/demo/corner-shop/replay/live", 404, "no such place"),
        ("/api/v1/places/DEMO/x/live/live", 422, "tenant"),
        ("/api/v1/places/..%2f..%2fetc/x/live/live", 404, ""),
        (f"{ROOT}/live/kpis", 422, "grain"),
        (f"{ROOT}/live/kpis?grain=hour&from=2025-01-01&to=2025-02-01", 422, "1 to 31 days"),
        (f"{ROOT}/live/kpis?grain=day&from=2025-01-02&to=2025-01-01", 422, "backwards"),
        (f"{ROOT}/live/kpis?grain=day&from=0001-01-01&to=9999-12-31", 422, "beyond all data"),
        (f"{ROOT}/live/series?kpi=nothing", 422, "no KPI"),
        (f"{ROOT}/live/series?kpi=" + "x" * 9999, 422, "kpi"),
        (f"{ROOT}/live/zones?day=yesterday", 422, "day"),
    ],
)
def test_refusals_are_problems(client: TestClient, path: str, status: int, says: str) -> None:
    assert says in problem(client.get(path), status)


@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31", "2100-01-01"])
def test_days_at_the_edges(client: TestClient, day: str) -> None:
    for path in (
        f"zones?day={day}",
        f"quality?day={day}",
        f"series?kpi=footfall&from={day}",
        f"kpis?grain=day&from={day}",
    ):
        assert client.get(f"{ROOT}/live/{path}").status_code in {200, 422}


def test_only_reading_is_possible(client: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert "Method" in problem(client.request(method, "/api/v1/places"), 405)


def test_other_names_of_this_machine_are_not_answered(client: TestClient) -> None:
    problem(client.get("/api/v1/places", headers={"host": "evil.example"}), 421)
    assert client.get("/api/v1/places", headers={"host": "localhost:8080"}).status_code == 200


def test_small_zones_are_hidden_live_and_shown_simulated(client: TestClient) -> None:
    def zones(provenance: str) -> list[dict[str, object]]:
        buckets = ok(client, f"{ROOT}/{provenance}/kpis?grain=hour&from=2025-03-04")["buckets"]
        assert isinstance(buckets, list)
        return [figure for bucket in buckets for figure in bucket["figures"] if figure["zone"]]

    hidden = [figure for figure in zones("live") if figure["reason"] == "suppressed"]
    assert hidden
    assert {(figure["value"], figure["below"]) for figure in hidden} == {(None, 5)}
    assert len(hidden) < len(zones("live"))
    assert not [figure for figure in zones("simulated") if figure["reason"] == "suppressed"]


def test_provenance_is_said_and_kept_apart(client: TestClient) -> None:
    assert {place["provenance"] for place in client.get("/api/v1/places").json()} == {"live", "simulated"}
    for name in ("live", "kpis?grain=day", "series?kpi=footfall", "zones", "quality"):
        assert ok(client, f"{ROOT}/simulated/{name}")["provenance"] == "simulated"


def test_quality_tells_what_is_missing(client: TestClient) -> None:
    found = ok(client, f"{ROOT}/simulated/quality")
    assert found["quarantined"] == 1
    assert found["messages_again"] == 0
    assert ok(client, "/api/v1/quarantine") == {"messages": 1, "by_stream": {"visits": 1}}
    assert 0 < float(str(found["error_share"])) < 2
    assert found["calibration_drift"] is None


def test_hours_of_a_long_day(tmp_path: Path, shop: Shop) -> None:
    """The day clocks go back has 25 hours, two of them named 02:00."""
    site = replace(shop.site)
    with closing(SqliteStore(tmp_path)) as store, store.writing():
        Ingest(store, lambda: 0, lambda: shop.end_s).take(
            HubVoice(site).site(shop.start_s).topic, HubVoice(site).site(shop.start_s).payload
        )
    api = Api(lambda: closing(SqliteStore(tmp_path)), lambda: shop.end_s)
    client = TestClient(api.application(), base_url="http://localhost")
    points = client.get(f"{ROOT}/simulated/series?kpi=footfall&from=2025-10-26").json()["points"]
    assert [point["local"] for point in points].count("02:00") == 2
    assert len(points) == 25
    assert {point["reason"] for point in points} == {"nothing heard"}
    assert json.dumps(points)
