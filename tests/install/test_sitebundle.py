"""The file an installer carries: whole, signed, in time, of this shop, or refused in one line; each code good once."""

import base64
import json
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostkit import contract
from hostkit.config import dump_site
from hostkit.errors import InputError, PeerError, UsageError
from hostkit.identity import client
from hostkit.install.sitebundle import MAX_BYTES, Body, Envelope, SiteBundle, make_bundle, parse_bundle, read_bundle
from tests.cli.command import footfall, refused
from tests.identity.place import HOST, SITE, Shop

NOW_S = time.time()
DAY_S = 86_400.0
PROBES = [probe.id for probe in SITE.probes]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("hub"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def made(shop: Shop) -> bytes:
    return make_bundle(SITE, shop.folder, PROBES, NOW_S, valid_s=DAY_S)[0]


def read(data: bytes, now_s: float = NOW_S) -> SiteBundle:
    return parse_bundle(data, "the file", now_s)


def test_what_the_hub_made_is_what_the_laptop_reads(shop: Shop, made: bytes) -> None:
    held = read(made)
    assert held.site == SITE
    assert held.site_toml == dump_site(SITE)
    assert list(held.codes) == PROBES
    assert (held.hosts, held.port, held.enrol_port) == ((HOST,), shop.port, shop.enrol_port)
    assert held.authority.encode() == shop.service.authority.read_bytes()
    assert held.until_s - held.made_s == DAY_S
    assert held.invitation("probe-2") == held.codes["probe-2"]
    assert all(code.pin == held.pin and code.port == shop.enrol_port for code in held.codes.values())
    with pytest.raises(UsageError, match="probe-9: has no code in this bundle; name one of its probes"):
        held.invitation("probe-9")
    assert held.codes["probe-1"].code not in repr(held)


def test_every_changed_byte_is_found(made: bytes) -> None:
    step = max(1, len(made) // 150)
    for at in range(0, len(made), step):
        changed = bytearray(made)
        changed[at] ^= 1
        try:
            held = read(bytes(changed))
        except InputError:
            continue
        assert held == read(made), f"byte {at}: only white space of the envelope may differ"
        assert msgspec.json.decode(bytes(changed)) == msgspec.json.decode(made)


def altered(made: bytes, **changes: object) -> bytes:
    """Change the body and leave the signature."""
    envelope = json.loads(made)
    envelope["body"] = json.dumps(json.loads(envelope["body"]) | changes)
    return json.dumps(envelope).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"until_s": 2_000_000_000},
        {"hosts": ["evil.example"]},
        {"port": 1883},
        {"codes": {}},
        {"site_toml": ""},
        {"tenant": "other"},
        {"authority": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {},  # the same words, written otherwise
    ],
)
def test_a_body_that_was_changed_is_refused(made: bytes, changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="is not what the hub signed: it was changed or damaged; do not use it"):
        read(altered(made, **changes))


def test_another_authority_can_sign_but_is_known_by_its_pin(made: bytes, tmp_path: Path) -> None:
    stranger = Shop(tmp_path / "stranger")
    forged, of_stranger = make_bundle(SITE, stranger.folder, PROBES, NOW_S, valid_s=DAY_S)
    path = tmp_path / "forged.footfall"
    path.write_bytes(forged)
    pin = read(made).short_pin
    assert read_bundle(path, NOW_S, pin=of_stranger.short_pin.lower()).pin == of_stranger.pin
    with pytest.raises(InputError, match=r"is of the authority .*; trust it not"):
        read_bundle(path, NOW_S, pin=pin)
    with pytest.raises(InputError, match="trust it not"):
        read_bundle(path, NOW_S, pin=of_stranger.pin[:15])  # too little to tell two apart
    envelope, theirs = json.loads(forged), json.loads(made)
    body = json.loads(envelope["body"]) | {"codes": json.loads(theirs["body"])["codes"]}
    books = stranger.identities.register.read()
    signed = msgspec.json.encode(body)
    envelope |= {
        "body": signed.decode(),
        "signature": base64.b64encode(books.authority.sign("footfall-site-bundle-1", signed)).decode(),
    }
    with pytest.raises(InputError, match="is not what the hub signed"):  # codes of one, authority of another
        read(json.dumps(envelope).encode())


def test_a_signature_for_something_else_is_none(shop: Shop, made: bytes) -> None:
    envelope = json.loads(made)
    other = shop.identities.register.read().authority.sign("another-purpose", envelope["body"].encode())
    envelope["signature"] = base64.b64encode(other).decode()
    with pytest.raises(InputError, match="is not what the hub signed"):
        read(json.dumps(envelope).encode())


def test_before_and_after_its_time(made: bytes) -> None:
    assert read(made, NOW_S + DAY_S - 2)
    with pytest.raises(InputError, match=r"is over since .* UTC; make a new one at the hub: footfall site bundle"):
        read(made, NOW_S + DAY_S)
    assert read(made, NOW_S - DAY_S + 2)
    with pytest.raises(InputError, match=r"was made on .*, after this machine's .*; set this machine's clock"):
        read(made, NOW_S - DAY_S - 2)


def test_of_another_shop(made: bytes, tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(made)
    assert read_bundle(path, NOW_S, site=SITE)
    with pytest.raises(UsageError, match="is of demo/corner-shop, not of demo/other; take this shop's bundle"):
        read_bundle(path, NOW_S, site=replace(SITE, site="other"))


def test_each_code_once_and_a_newer_bundle_voids_the_older(shop: Shop) -> None:
    older = make_bundle(SITE, shop.folder, ["probe-1", "probe-2"], time.time(), valid_s=DAY_S)[1]
    newer = make_bundle(SITE, shop.folder, ["probe-1"], time.time(), valid_s=DAY_S)[1]
    shop.serve()
    assert client.enrol(newer.invitation("probe-1")).place.identity == "demo/corner-shop/probe-1"
    with pytest.raises(PeerError, match="this code was used; if that was not you, revoke the node at once"):
        client.enrol(newer.invitation("probe-1"))
    with pytest.raises(PeerError, match="this code is not known"):
        client.enrol(older.invitation("probe-1"))
    assert client.enrol(older.invitation("probe-2")).place.identity == "demo/corner-shop/probe-2"


def test_no_code_is_made_if_one_name_is_wrong(shop: Shop) -> None:
    before = shop.enrolment.codes()
    with pytest.raises(UsageError, match="'probe-9' is no probe of this site"):
        make_bundle(SITE, shop.folder, ["probe-1", "probe-9"], NOW_S, valid_s=DAY_S)
    with pytest.raises(UsageError, match="has no probe"):
        make_bundle(SITE, shop.folder, [], NOW_S, valid_s=DAY_S)
    assert shop.enrolment.codes() == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_a_file_holds_it_is_a_bundle_or_one_line(made: bytes, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["bytes", "cut", "json", "wild"]))
    given_ = {
        "bytes": lambda: data.draw(st.binary(max_size=200)),
        "cut": lambda: made[: data.draw(st.integers(0, len(made) - 3))],
        "json": lambda: json.dumps(json.loads(made) | data.draw(pieces)).encode(),
        "wild": lambda: altered(made, **data.draw(pieces)),
    }[kind]()
    said = ""
    try:
        read(given_)
    except InputError as error:
        said = str(error)
    assert "\n" not in said
    assert said.startswith("the file: ") or not said


pieces = st.dictionaries(
    st.sampled_from([*Envelope.__struct_fields__, *Body.__struct_fields__]),
    st.none() | st.integers(-5, 2**70) | st.text(max_size=20) | st.lists(st.text(max_size=3), max_size=3),
    min_size=1,
    max_size=3,
)


def test_a_huge_file_and_a_newer_version(made: bytes) -> None:
    with pytest.raises(InputError, match="is over 4000000 bytes"):
        read(b" " * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="version 2, not footfall-site-bundle version 1; update Footfall"):
        read(json.dumps(json.loads(made) | {"version": 2}).encode())


def test_the_page_names_every_key() -> None:
    page = contract.text("site-bundle")
    for name in (*Envelope.__struct_fields__, *Body.__struct_fields__):
        assert f"`{name}`" in page


def test_by_command(tmp_path: Path) -> None:
    site, hub = tmp_path / "site.toml", tmp_path / "hub"
    site.write_text(dump_site(SITE))
    place = ("--site", site, "--data", hub)
    refused(footfall("site", "bundle", *place), 4, "no authority to be used here.*footfall hub init")
    assert footfall("hub", "init", *place, "--host", "hub.local").returncode == 0
    file = tmp_path / "monday.footfall"
    done = footfall("site", "bundle", *place, "probe-1", "probe-3", "--valid", "2d", "--out", file)
    assert done.returncode == 0, done.stderr
    assert "codes for probe-1, probe-3; good until" in done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    refused(footfall("site", "bundle", *place, "--out", file), 2, "is there already; delete it")
    said = footfall("site", "bundle", "--read", file, "--site", site, "--json")
    facts = json.loads(said.stdout)
    assert facts["probes"] == ["probe-1", "probe-3"]
    assert facts["pin"][:4] in done.stderr
    codes = json.loads(json.loads(file.read_bytes())["body"])["codes"]
    assert not any(code.rpartition("/")[2] in done.stderr + said.stdout for code in codes.values())
    refused(footfall("site", "bundle", "--read", file, "--pin", "AAAA-AAAA-AAAA-AAAA"), 3, "trust it not")
    file.write_bytes(file.read_bytes().replace(b"probe-3", b"probe-4"))
    refused(footfall("site", "bundle", "--read", file), 3, "it was changed or damaged; do not use it")
    refused(footfall("site", "bundle", "--read", tmp_path / "none"), 3, "No such file")
    refused(footfall("site", "bundle"), 2, "which site")
