"""Whom a hub takes a sender for: by its register, by its broker, and by name only where there is no authority."""

import time
from pathlib import Path

import pytest

from hostkit.contract.rights import Caller
from hostkit.errors import ConfigError
from hostkit.hub.links import SITE_LINK, UPLINK
from hostkit.hub.roles import Roles
from hostkit.identity.access import Role
from hostkit.identity.authority import REGISTER
from hostkit.identity.identities import Identities
from hostkit.identity.realms import SiteRealm
from hostkit.io.mqtt import Arrived
from hostkit.sim.plan import default_site

SITE = default_site(2)


def of(link: str) -> Arrived:
    return Arrived(link=link, topic="t", payload=b"", qos=1, retained=False, duplicate=False, mid=1, connection=1)


def test_without_an_authority_names_are_taken_at_their_word(tmp_path: Path) -> None:
    roles = Roles(SITE, tmp_path)
    assert [roles(of(SITE_LINK), name) for name in ("operator", "collector", "probe-1", "hub")] == [
        Caller.OPERATOR, Caller.COLLECTOR, None, None,
    ]  # fmt: skip


def test_on_the_uplink_only_the_collector_commands(tmp_path: Path) -> None:
    roles = Roles(SITE, tmp_path)
    assert [roles(of(UPLINK), name) for name in ("operator", "collector")] == [None, Caller.COLLECTOR]


def test_with_an_authority_a_name_is_what_it_was_issued_as(tmp_path: Path) -> None:
    now_s = time.time()
    identities = Identities(SiteRealm(SITE), tmp_path)
    identities.init(["127.0.0.1"], 8883, now_s)
    roles = Roles(SITE, tmp_path)
    assert [roles(of(SITE_LINK), name) for name in ("operator", "manager")] == [None, None]
    identities.issue("manager", Role.OPERATOR, now_s)
    identities.issue("head", Role.COLLECTOR, now_s)
    identities.issue("kiosk", Role.READER, now_s)
    identities.issue("probe-1", Role.PROBE, now_s)
    found = [roles(of(SITE_LINK), name) for name in ("manager", "head", "kiosk", "probe-1", "hub", "operator")]
    assert found == [Caller.OPERATOR, Caller.COLLECTOR, None, None, None, None]
    identities.revoke("manager", now_s)
    assert roles(of(SITE_LINK), "manager") is None


def test_a_damaged_register_lets_nobody_command(tmp_path: Path) -> None:
    identities = Identities(SiteRealm(SITE), tmp_path)
    identities.init(["127.0.0.1"], 8883, time.time())
    (tmp_path / "identity" / REGISTER).write_text("{")
    assert Roles(SITE, tmp_path)(of(SITE_LINK), "operator") is None
    with pytest.raises(ConfigError):
        Identities(SiteRealm(SITE), tmp_path).issued()
