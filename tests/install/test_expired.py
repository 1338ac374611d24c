"""What is over is said in one line, with what to do, before anything is half done: codes, bundles, certificates."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.config import dump_site
from hostkit.identity.access import Role
from hostkit.identity.realms import SiteRealm
from hostkit.install.sitebundle import make_bundle
from tests.cli.command import footfall, refused
from tests.identity import place
from tests.install.place import SITE, Desk, ended

pytestmark = pytest.mark.needs("mosquitto")
DAY_S = 86_400.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path).on()
    yield desk
    desk.off()


@pytest.fixture
def hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[place.Shop]:
    """Give a hub whose broker and enrolment answer; its own certificates are a month old and good for `param` days."""
    days = getattr(request, "param", 90)
    shop = place.Shop(tmp_path / "hub", realm=SiteRealm(SITE), life_s=days * DAY_S, age_s=30 * DAY_S).start()
    (tmp_path / "site.toml").write_text(dump_site(SITE))
    yield shop.serve()
    shop.stop()


def over(days: int):  # type: ignore[no-untyped-def]
    return pytest.mark.parametrize("hub", [days], indirect=True)


def codes_of(hub: place.Shop, tmp_path: Path, *, ago_s: float) -> Path:
    path = tmp_path / "codes.txt"
    path.touch(mode=0o600)
    path.write_text(f"{hub.enrolment.invite('till', Role.PROBE, time.time() - ago_s, valid_s=3600.0)}\n")
    return path


def asked(tmp_path: Path, desk: Desk, *more: str | Path) -> tuple[str | Path, ...]:
    place_of = ("--site", tmp_path / "site.toml", "--probe", "till", "--port", desk.port, "--board", "wt32-eth01")
    return (*place_of, *more)


def untouched(desk: Desk) -> bool:
    return desk.starts == 1 and not any(path.name.startswith("settings") for path in desk.board.flash.iterdir())


def test_a_code_that_is_over(hub: place.Shop, desk: Desk, tmp_path: Path) -> None:
    codes = codes_of(hub, tmp_path, ago_s=7200.0)
    done = footfall("probe", "provision", *asked(tmp_path, desk, "--codes", codes))
    ended(done, 6, r"footfall: 127\.0\.0\.1:\d+: demo/corner-shop/till: this code is over; ask for a new one")
    assert untouched(desk)
    done = footfall("probe", "provision", *asked(tmp_path, desk, "--codes", codes_of(hub, tmp_path, ago_s=0.0)))
    assert done.returncode == 0, done.stderr


def test_a_hub_that_awaits_nobody_has_its_port_shut(hub: place.Shop, desk: Desk, tmp_path: Path) -> None:
    codes = codes_of(hub, tmp_path, ago_s=7200.0)
    assert hub.endpoint
    hub.endpoint.stop()
    hub.endpoint = None
    done = footfall("probe", "provision", *asked(tmp_path, desk, "--codes", codes))
    ended(done, 6, r"nobody answers .*; it listens only while a code is open: is it over or used")
    assert untouched(desk)


def test_a_bundle_that_is_over_stops_the_command_before_anything(hub: place.Shop, desk: Desk, tmp_path: Path) -> None:
    bundle, journal = tmp_path / "monday.footfall", tmp_path / "journal"
    bundle.touch(mode=0o600)
    old_s = time.time() - 2 * DAY_S
    files = hub.identities.register.data
    made, _ = make_bundle(SITE, files, ["till"], old_s, valid_s=DAY_S / 24)
    bundle.write_bytes(made)
    more = ("--no-flash", "--journal", journal, "--bundle", bundle)
    done = footfall("probe", "install", *asked(tmp_path, desk, *more))
    ended(done, 3, r"monday\.footfall: is over since 20\S+ \S+ UTC; make a new one at the hub: footfall site bundle")
    assert untouched(desk)
    assert not journal.exists()


@over(7)
def test_a_broker_whose_certificate_is_over(hub: place.Shop, desk: Desk, tmp_path: Path) -> None:
    """Ours is good: the hub's clock went wrong, or it was off for long."""
    files = hub.identities.issue("installer", Role.OPERATOR, time.time()).url_options
    broker = f"mqtts://{place.HOST}:{hub.port}?{files}"
    done = footfall("probe", "list", "--site", tmp_path / "site.toml", "--broker", broker)
    refused(done, 6, r"no broker answers \(.*expired.*\); the broker's certificate is over, or our clock is wrong")
    assert "start the broker" not in done.stderr  # one next step, the right one
    codes = codes_of(hub, tmp_path, ago_s=0.0)
    more = ("--no-flash", "--journal", tmp_path / "journal", "--broker", broker, "--codes", codes)
    done = footfall("probe", "install", *asked(tmp_path, desk, *more))
    assert done.returncode == 6
    said = done.stdout.splitlines()[0]
    assert said.startswith("till: provision: 127.0.0.1:")
    assert "its certificate is not valid here (certificate has expired); check the clocks here and at the hub" in said
    assert untouched(desk)
    (code,) = hub.enrolment.codes()
    assert code.used_s is None
    doctor = footfall("doctor", "--site", tmp_path / "site.toml", "--broker", broker)
    assert "its certificate does not hold (certificate has expired); check the clocks" in " ".join(
        doctor.stdout.split()
    )


@over(7)
def test_a_credential_of_the_laptop_that_is_over(hub: place.Shop, desk: Desk, tmp_path: Path) -> None:
    files = hub.identities.issue("installer", Role.OPERATOR, time.time() - 20 * DAY_S).url_options
    broker = f"mqtts://{place.HOST}:{hub.port}?{files}"
    more = ("--no-flash", "--journal", tmp_path / "journal", "--broker", broker, "--codes", tmp_path / "none")
    begun_s = time.monotonic()
    done = footfall("probe", "install", *asked(tmp_path, desk, *more))
    ended(done, 4, r"installer\.crt: is over since 20\S+ \(or this machine's clock is wrong\); ask for a new code")
    assert time.monotonic() - begun_s < 60
    assert untouched(desk)
    assert not (tmp_path / "journal").exists()
