"""From `hub init` to a probe that speaks and a hub at its collector, by the commands of the README alone."""

import json
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostkit.config import dump_site
from hostkit.install.codes import read_codes
from hostkit.io.mqtt import Up
from tests.cli.command import COMMAND, ROOT, footfall, refused
from tests.identity.place import HOST, SITE, accepts, connect, first, until
from tests.io.brokers import free_port


@contextmanager
def running(*argv: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def with_input(line: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    argv = [*COMMAND, *map(str, arguments)]
    return subprocess.run(argv, cwd=ROOT, input=line, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.needs("mosquitto")
def test_the_readmes_path_for_a_shop_and_its_collector(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(dump_site(SITE))
    place = ("--site", str(site), "--data", str(tmp_path / "hub"))
    port, above = free_port(), free_port()
    said = footfall("hub", "init", *place, "--host", HOST, "--port", str(port), "--enrol-port", str(free_port())).stderr
    broker = re.search(r"start it with: (mosquitto -c \S+)", said)
    hub = re.search(r'--broker "([^"]+)"', said)
    assert broker
    assert hub
    data = tmp_path / "collector"
    options = ("--host", HOST, "--port", str(above), "--enrol-port", str(free_port()))
    said = footfall("collector", "init", "--data", data, *options).stderr
    uplink_broker = re.search(r"start it with: (mosquitto -c \S+)", said)
    collector = re.search(r'--broker "([^"]+)"', said)
    assert uplink_broker
    assert collector
    with running(*broker[1].split()), running(*uplink_broker[1].split()):
        until(lambda: accepts(port) and accepts(above), "a broker does not listen")
        invited = footfall("collector", "enrol", "--data", data, f"{SITE.tenant}/{SITE.site}").stdout
        run = ("collector", "run", "--data", str(data), "--broker", collector[1], "--http", f"{HOST}:0")
        with running(*COMMAND, *run):
            uplink = enrolled(invited, tmp_path / "uplink")
            assert "tenant" not in uplink
            run = ("hub", "run", *place, "--broker", hub[1], "--uplink", uplink)
            with running(*COMMAND, *run):
                invited = footfall("hub", "enrol", *place, "probe-1").stdout
                url = enrolled(invited, tmp_path / "probe")
                probe, told = connect(url, "probe-1")
                first(told, Up)
                probe.stop(0.4)
                refused(with_input(invited, "enrol", "--to", tmp_path / "again"), 6, "this code was used")
                listed = footfall("hub", "enrol", *place, "--list").stdout
                assert re.search(r"demo/corner-shop/probe-1 +probe +used ", listed)
        assert not (tmp_path / "again").exists()


def enrolled(invitation: str, folder: Path) -> str:
    """Enrol as somebody who tries again until the service has opened the port."""
    give_up = time.monotonic() + 60
    while True:
        done = with_input(invitation, "enrol", "--to", folder)
        if done.returncode == 0:
            return done.stdout.strip()
        assert "nobody answers" in done.stderr, done.stderr
        assert time.monotonic() < give_up
        time.sleep(0.3)


def test_bad_input_is_one_line_and_no_secret_is_said_again(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(dump_site(SITE))
    place = ("--site", str(site), "--data", str(tmp_path / "hub"))
    refused(footfall("hub", "enrol", *place, "probe-1"), 4, "no authority to be used here")
    assert footfall("hub", "init", *place, "--host", HOST).returncode == 0
    refused(footfall("hub", "enrol", *place), 2, "no node is named")
    refused(footfall("hub", "enrol", *place, "probe-9"), 2, "no probe of this site")
    refused(footfall("hub", "enrol", *place, "probe-1", "--valid", "soon"), 2, "write 15m, 8h or 7d")
    refused(footfall("hub", "enrol", *place, "probe-1", "--valid", "90d"), 2, "a minute to thirty days")
    refused(with_input("SECRETSECRET\n", "enrol", "--to", tmp_path / "x"), 2, r"^(?!.*SECRET).*is no invitation")
    refused(footfall("enrol", "--to", tmp_path / "x", "--renew"), 4, "holds no enrolment")
    refused(footfall("collector", "enrol", "acme", "--data", tmp_path / "c"), 2, "TENANT/SITE")
    file = tmp_path / "code.txt"
    file.write_text("x")
    file.chmod(0o644)
    refused(footfall("enrol", "--to", tmp_path / "x", "--invitation", file), 4, "holds a secret that others may read")
    refused(footfall("hub", "enrol", *place, "probe-1", "--out", file), 2, r"code\.txt: is there already; delete it")
    assert not footfall("hub", "enrol", *place, "--list", "--json").stdout.count("probe-1")
    said = footfall("hub", "enrol", *place, "probe-1").stdout
    closed = re.sub(r":\d+/", ":1/", said)
    refused(with_input(closed, "enrol", "--to", tmp_path / "x"), 6, "nobody answers.*listens only while a code is open")


def test_codes_go_to_a_file_that_whoever_takes_codes_takes(tmp_path: Path) -> None:
    site, out = tmp_path / "site.toml", tmp_path / "codes.txt"
    site.write_text(dump_site(SITE))
    place = ("--site", str(site), "--data", str(tmp_path / "hub"))
    assert footfall("hub", "init", *place, "--host", HOST, "--enrol-port", str(free_port())).returncode == 0
    done = footfall("hub", "enrol", *place, "probe-1", "probe-2", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert "footfall-enrol" not in done.stdout + done.stderr
    assert {row["file"] for row in json.loads(done.stdout)} == {str(out)}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert set(read_codes(out.read_text())) == {"probe-1", "probe-2"}
    one = tmp_path / "installer.code"
    assert footfall("hub", "enrol", *place, "installer", "--role", "operator", "--out", one).stdout == ""
    refused(footfall("enrol", "--to", tmp_path / "x", "--invitation", one), 6, "nobody answers")  # it was read
