"""`footfall command` against a running hub and a real mosquitto."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.identity.access import Role
from hostkit.identity.identities import Identities
from hostkit.identity.realms import SiteRealm
from tests.cli.command import footfall, refused
from tests.hub.service import SETTINGS, HubProcess
from tests.io.brokers import Mosquitto, free_port

pytestmark = pytest.mark.needs("mosquitto")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    folder = tmp_path_factory.mktemp("hub")
    broker = Mosquitto(folder).start()
    hub = HubProcess(folder, broker.url).start()
    hub.said("site broker: connected")
    hub.site, hub.broker = folder / "site.toml", broker  # type: ignore[attr-defined]
    yield hub
    hub.stop()
    broker.stop()


def asked(hub: HubProcess, *arguments: str):  # type: ignore[no-untyped-def]
    return footfall("command", *arguments, "--site", hub.site, "--broker", hub.broker.url)  # type: ignore[attr-defined]


def test_a_command_is_accepted_and_done(hub: HubProcess) -> None:
    done = asked(hub, "replay", '{"from": 0, "to": 1}')
    assert (done.returncode, done.stderr) == (0, "footfall: replay: accepted\n")
    assert done.stdout == "replay: done\n  replayed: 0\n"
    answer = json.loads(asked(hub, "replay", '{"from": 0, "to": 1}', "--json").stdout)
    assert answer.pop("id")
    assert answer == {"status": "done", "replayed": 0}


def test_what_the_sender_may_not_is_refused(hub: HubProcess) -> None:
    done = asked(hub, "privacy", '{"mode": "anonymous_5min"}', "--as", "collector", "--json")
    assert done.returncode == 6
    assert json.loads(done.stdout)["error"]["what"] == "a collector may not"
    assert "privacy: refused: a collector may not; ask with an identity" in done.stderr


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"from": 0, "to": 1, "til": 2}', "unknown field `til`"),
        ('{"from": "x", "to": 1}', "Expected `int`, got `str` - at `$.from`"),
    ],
)
def test_a_bad_body_is_refused_before_it_is_sent(hub: HubProcess, body: str, what: str) -> None:
    refused(asked(hub, "replay", body), 2, re.escape(what))


def test_no_broker_is_one_line(hub: HubProcess) -> None:
    site = hub.site  # type: ignore[attr-defined]
    done = footfall("command", "flush", "--site", site, "--broker", "mqtt://127.0.0.1:1", "--expires", "1")
    refused(done, 6, r"no broker answers \(Connection refused\)")


def test_versions_are_listed_compared_and_brought_back(hub: HubProcess) -> None:
    site = hub.site  # type: ignore[attr-defined]
    before = site.read_text()
    assert asked(hub, "thresholds", '{"values": {"bounce_s": 45}}').stdout == "thresholds: done\n  version: 2\n"
    listed = footfall("hub", "config", "list", "--site", site)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["version", "1", "2"]
    rows = json.loads(footfall("hub", "config", "list", "--site", site, "--json").stdout)
    assert [(row["version"], row["by"].split()[0]) for row in rows] == [(1, "hand"), (2, "command")]
    for newer in ((), ("2",)):
        lines = footfall("hub", "config", "diff", "--site", site, "1", *newer).stdout.splitlines()
        changes = [line for line in lines[2:] if line[0] in "+-"]
        assert [line.partition("  #")[0] for line in changes] == ["-bounce_s = 60.0", "+bounce_s = 45.0"]
    done = footfall("hub", "config", "rollback", "--site", site, "1")
    assert "is version 3 now, the same as 1" in done.stderr
    assert site.read_text() == before
    hub.said("changed by hand, taken over")
    refused(footfall("hub", "config", "rollback", "--site", site, "9"), 2, "there is no version 9; 1 to 3 are kept")


def test_with_certificates_rights_follow_the_role(tmp_path: Path) -> None:
    now_s, port = time.time(), free_port()
    identities = Identities(SiteRealm(SETTINGS.site), tmp_path / "data")
    handed = {"hub": identities.init(["127.0.0.1"], port, now_s)}
    for node, role in (("manager", Role.OPERATOR), ("kiosk", Role.READER)):
        handed[node] = identities.issue(node, role, now_s)
    urls = {node: f"mqtts://127.0.0.1:{port}?{one.url_options}" for node, one in handed.items()}
    program = shutil.which("mosquitto")
    assert program
    broker = subprocess.Popen([program, "-c", str(identities.configuration)], stderr=subprocess.DEVNULL)
    hub = HubProcess(tmp_path, urls["hub"]).start()
    try:
        hub.said("site broker: connected")
        arguments = ("replay", '{"from": 0, "to": 1}', "--site", tmp_path / "site.toml", "--expires", "5")
        done = footfall("command", *arguments, "--broker", urls["manager"])
        assert (done.returncode, done.stdout) == (0, "replay: done\n  replayed: 0\n"), done.stderr
        refused(footfall("command", *arguments, "--broker", urls["kiosk"]), 6, "it may lack the right to ask")
        spoofed = footfall("command", *arguments, "--broker", urls["manager"], "--as", "boss")
        assert "its sender has no such right" in spoofed.stderr
    finally:
        hub.stop()
        broker.terminate()
        broker.wait(60)
