"""The phone page: every probe, its verdict and next step, in both languages; nothing without the token."""

import http.client
import json
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.config import dump_site
from hostkit.contract.messages import Memory, State
from hostkit.contract.probes import Probes, ProbeStatus, Step, Verdict
from hostkit.hub.phonepage import application, token_of
from hostkit.io.webserver import WebServer, parse_listen
from hostkit.model import Radio
from hostkit.sim.plan import default_site
from tests.cli.command import COMMAND, ROOT
from tests.io.brokers import Mosquitto

TOKEN = "a-token-of-the-test-here"
ROWS = (
    ProbeStatus(
        id="window-left", verdict=Verdict.PASS, step=None, state=State.ONLINE, since_s=900.0, heard_s=4.0, batches=88,
        boot="3", firmware="0.1.0", uplink="lan", radios=(Radio.WIFI,), key_held=True, wifi_per_s=4.2,
        offered_per_s=31.0, rssi_dbm=-71.0, channels=(1, 6, 11), drops={"ring_records": 2},
        memory=Memory(free_bytes=81_920, largest_block_bytes=49_152),
    ),
    ProbeStatus(id="till", verdict=Verdict.FAIL, step=Step.WIFI, state=State.ONLINE, heard_s=8.0, uplink="wifi-park"),
    ProbeStatus(id="door", verdict=Verdict.FAIL, step=Step.CONNECTED),
    ProbeStatus(id="store-room", verdict=Verdict.WAIT, step=Step.KEY, state=State.ONLINE),
)  # fmt: skip


class Hub:
    probes: Probes | None = Probes(at_s=0, name="Corner Shop", rows=ROWS)


@pytest.fixture(scope="module")
def web() -> Iterator[tuple[WebServer, Hub]]:
    hub, server = Hub(), WebServer(parse_listen("127.0.0.1:0"))
    server.start(application(TOKEN, lambda: hub.probes))
    yield server, hub
    server.stop()


def asked(web: WebServer, path: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    line = http.client.HTTPConnection(web.url.split("/")[2], timeout=60)
    line.request(method, path)
    answer = line.getresponse()
    told = answer.status, answer.read(), dict(answer.getheaders())
    line.close()
    return told


def test_without_the_token_there_is_nothing(web: tuple[WebServer, Hub]) -> None:
    server, _ = web
    for path in ("/", "/probes.json", "/wrong/probes.json", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/probes.json", "/%FF/x"):
        status, body, _ = asked(server, path)
        assert status == 404, path
        assert b"till" not in body
    for name in ("../phonepage.py", "%2e%2e/phonepage.py", "index.html/x", "phonepage.py"):
        assert asked(server, f"/{TOKEN}/{name}")[0] == 404
    for method in ("POST", "PUT", "DELETE"):
        assert asked(server, f"/{TOKEN}/probes.json", method)[0] == 405


def test_it_loads_nothing_from_elsewhere_and_tells_no_secret(web: tuple[WebServer, Hub]) -> None:
    server, _ = web
    for name in ("", "page.js", "page.css", "icon.svg", "probes.json"):
        status, body, headers = asked(server, f"/{TOKEN}/{name}")
        assert status == 200
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert b"http://" not in body.replace(b'"http://www.w3.org/2000/svg"', b"")
        assert b"https://" not in body
        assert TOKEN.encode() not in body


def test_a_hub_that_just_starts_says_so(web: tuple[WebServer, Hub]) -> None:
    server, hub = web
    before, hub.probes = hub.probes, None
    assert asked(server, f"/{TOKEN}/probes.json")[0] == 503
    hub.probes = before


def test_the_token_is_made_once_and_kept_private(tmp_path: Path) -> None:
    token = token_of(tmp_path)
    assert len(token) >= 22
    assert token_of(tmp_path) == token
    assert stat.S_IMODE((tmp_path / "page-token").stat().st_mode) == 0o600


@pytest.mark.needs("mosquitto")
def test_a_hub_serves_it_where_it_is_told_to(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path).start()
    site = tmp_path / "site.toml"
    site.write_text(dump_site(default_site(2)))
    command = [*COMMAND, "hub", "run", "--site", str(site), "--broker", broker.url, "--data", str(tmp_path / "data")]
    with subprocess.Popen([*command, "--page", "127.0.0.1:0"], cwd=ROOT, stderr=subprocess.PIPE, text=True) as hub:
        try:
            assert hub.stderr
            said = next(line for line in hub.stderr if "page: " in line)
            url = re.search(r"http://\S+/", said)
            assert url
            deadline = time.monotonic() + 60
            while (answer := fetched(url[0] + "probes.json"))[0] == 503:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            rows = json.loads(answer[1])["rows"]
            assert [(row["id"], row["verdict"], row["step"]) for row in rows] == [
                (probe.id, "fail", "connected") for probe in default_site(2).probes
            ]
        finally:
            hub.terminate()
    broker.stop()


def fetched(url: str) -> tuple[int, bytes]:
    _, _, place, path = url.split("/", 3)
    line = http.client.HTTPConnection(place, timeout=60)
    line.request("GET", f"/{path}")
    answer = line.getresponse()
    told = answer.status, answer.read()
    line.close()
    return told


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(
    ("locale", "said"),
    [
        (
            "en-GB",
            ("1 of 4 probes pass", "No Wi-Fi heard.", "Count its LED's blinks", "4 seconds ago", "PASS", "never"),
        ),
        ("zh-CN", ("4 个探针中 1 个通过", "没有收到 Wi-Fi", "请数指示灯闪几下", "4秒钟前", "通过", "从未")),
    ],
)
def test_a_phone_shows_every_probe_with_its_next_step(
    web: tuple[WebServer, Hub], browser: object, locale: str, said: tuple[str, ...], tmp_path: Path
) -> None:
    server, hub = web
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale=locale)  # type: ignore[attr-defined]
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server.url}{TOKEN}/")
    page.wait_for_selector("article")
    text = page.inner_text("body")
    assert [word for word in said if word not in text.replace(" 秒", "秒")] == []
    assert page.locator("article h2").all_inner_texts() == ["till", "door", "store-room", "window-left"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.title() == "Corner Shop"
    page.screenshot(path=str(tmp_path / f"phone-{locale}.png"), full_page=True)
    assert not errors
    before, hub.probes = hub.probes, None
    page.wait_for_selector("#sum.lost")
    hub.probes = before
    page.wait_for_selector("#sum:not(.lost)")
    context.close()
