"""`footfall hub init|issue|revoke|identities`, as an installer meets them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hostkit.cli.main import cli
from hostkit.config import dump_site
from hostkit.errors import UsageError
from hostkit.sim.world import SimSettings


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, ...]:
    site = tmp_path / "site.toml"
    site.write_text(dump_site(SimSettings(people=1).site))
    return "--site", str(site), "--data", str(tmp_path / "hub")


def hub(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["hub", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


def test_every_line_says_the_next_step(place: tuple[str, ...]) -> None:
    said = hub("init", *place, "--host", "hub.local", "--port", "8884").stderr.splitlines()
    assert [line.split(":")[1] for line in said] == [" broker", " hub", " probes"]
    assert "mosquitto -c " in said[0]
    assert "footfall hub run --site" in said[1]
    assert "mqtts://hub.local:8884?ca=" in said[1]
    said = hub("issue", *place, "probe-1").stderr.splitlines()
    assert "demo/corner-shop/probe-1: " in said[0]
    assert "kill -HUP" in said[1]
    said = hub("revoke", *place, "probe-1").stderr.splitlines()
    assert "1 certificates revoked" in said[0]
    assert "was not reached" in said[2]


def test_the_list_tells_what_became_of_each(place: tuple[str, ...]) -> None:
    hub("init", *place, "--host", "127.0.0.1")
    hub("issue", *place, "probe-1")
    hub("issue", *place, "kiosk", "--role", "reader")
    hub("revoke", *place, "probe-1")
    table = hub("identities", *place).stdout.splitlines()
    assert [line.split()[0].rpartition("/")[2] for line in table[1:]] == ["broker", "hub", "probe-1", "kiosk"]
    assert table[3].endswith("revoked")
    assert table[4].endswith("825 days left")
    listed = json.loads(hub("identities", *place, "--json").stdout)
    assert [one["role"] for one in listed] == ["broker", "hub", "probe", "reader"]
    assert all("key" not in name for one in listed for name in one)


def test_a_probe_that_is_not_in_site_toml_is_refused_by_name(place: tuple[str, ...]) -> None:
    hub("init", *place, "--host", "127.0.0.1")
    with pytest.raises(UsageError, match=r"'probe-9' is no probe of this site \(it has: probe-1, "):
        hub("issue", *place, "probe-9")
