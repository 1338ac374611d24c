"""`footfall contract test`: a good hub passes every check, a false one fails those it breaks."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.config import dump_site
from hostkit.sim.kit import Ear
from tests.cli.command import footfall, refused
from tests.hub.service import SETTINGS
from tests.io.brokers import Mosquitto

pytestmark = pytest.mark.needs("mosquitto")
SITE = SETTINGS.site


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path).start()
    yield broker
    broker.stop()


def test_our_hub_passes_every_check() -> None:
    done = footfall("contract", "test", "--json")
    report = json.loads(done.stdout)
    assert [one for one in report["checks"] if one["outcome"] != "PASS"] == []
    assert len(report["checks"]) == 17
    assert (done.returncode, report["failed"]) == (0, 0)


def test_a_false_hub_fails_what_it_breaks(broker: Mosquitto, tmp_path: Path) -> None:
    with Ear(broker.url, SITE, node="hub") as hub:
        for stream, payload in (("state", b"onlin"), ("info", b'{"x":1}'), ("ack", b"{}")):
            hub._client.publish(hub.topic(stream), payload, retain=True)
        hub.listen(0.5)
        site = tmp_path / "site.toml"
        site.write_text(dump_site(SITE))
        done = footfall("contract", "test", "--broker", broker.url, "--site", site, "--seconds", "1")
    assert done.returncode == 6
    lines = done.stdout.splitlines()
    outcome = {text[6:].partition(":")[0]: text[:4].strip() for text in lines[:-1]}
    assert {name for name, found in outcome.items() if found == "FAIL"} == {
        "state", "info", "retained", "messages", "home-assistant", "command answered", "command expired",
        "command without right", "poison",
    }  # fmt: skip
    assert set(outcome.values()) == {"FAIL", "SKIP"}
    assert lines[-1] == "17 checks, 9 failed"
    assert all("; " in text for text in lines if text.startswith("FAIL"))  # each has a next step


def test_no_broker_is_one_line(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(dump_site(SITE))
    refused(footfall("contract", "test", "--broker", "mqtt://127.0.0.1:1", "--site", site), 6, "cannot be reached")
    refused(footfall("contract", "test", "--site", site), 2, "go together")
