"""Which rung is missing and what to try, from what board and hub say."""

import re
from dataclasses import replace

import msgspec
import pytest

from hostkit.contract.messages import State
from hostkit.contract.probes import ProbeStatus, Step, Verdict
from hostkit.install.board import Status
from hostkit.install.ladder import RUNGS, Evidence, Rung, judge
from hostkit.model import Radio

PROBE = "till"
LINE = Evidence(probe=PROBE, asked_line=True)
HUB = Evidence(probe=PROBE, asked_hub=True, fresh=True)


def board(**fields: object) -> Evidence:
    known = {"probe": PROBE, "uplink": "lan", "radios": ("wifi",), "network": True, "hub": True, "key_id": 5, "seen": 9}
    return replace(LINE, line=Status(**{**known, "acknowledged": 2, **fields}))  # type: ignore[arg-type]


def row(step: Step | None = None, **fields: object) -> Evidence:
    known: dict[str, object] = {"id": PROBE, "step": step, "verdict": Verdict.PASS, "state": State.ONLINE}
    known |= {"radios": (Radio.WIFI,), "wifi_per_s": 1.0}
    return replace(HUB, row=ProbeStatus(**{**known, **fields}))  # type: ignore[arg-type]


def away(trouble: str) -> Evidence:
    return board(hub=False, trouble=trouble)


CASES = [
    (LINE, Rung.LINE, "says nothing.*reset"),
    (replace(LINE, blank=True), Rung.LINE, "not set up.*probe provision"),
    (board(probe="door"), Rung.LINE, "on this port is door"),
    (board(network=False), Rung.NETWORK, "not on its network yet"),
    (board(network=False, trouble="no_network: wrong password"), Rung.NETWORK, "wrong password.*provision it again"),
    (board(network=False, trouble="no_network: no access point of that name"), Rung.NETWORK, "2.4 GHz"),
    (board(network=False, trouble="no_network: no Ethernet link"), Rung.NETWORK, "no Ethernet link.*cable"),
    (board(network=False, trouble="no_network: no address (DHCP)"), Rung.NETWORK, "DHCP.*VLAN"),
    (away("link_refused: [Errno 111] ECONNREFUSED"), Rung.BROKER, "nothing listens.*start it"),
    (away("link_refused: no answer"), Rung.BROKER, "not reached .no answer.*is the hub on"),
    (away("tls_refused: The certificate is over"), Rung.BROKER, "TLS.*certificate over, or for another name"),
    (away("link_refused: the broker closed the connection"), Rung.ADMITTED, "revoked or over.*new code"),
    (away("broker_refused: refused: 5"), Rung.ADMITTED, "does not admit it .refused: 5"),
    (away("enrol_refused: this code was used"), Rung.ADMITTED, "code was not taken.*hub enrol"),
    (away(""), Rung.BROKER, "no broker yet"),
    (board(key_id=None), Rung.KEY, "no hub gives it a key.*site.toml"),
    (board(acknowledged=0), Rung.DELIVERS, "acknowledged nothing"),
    (board(seen=0), Rung.WIFI, "no Wi-Fi frame.*phone"),
    (board(radios=("ble",)), Rung.WIFI, "hears BLE alone.*--ble-only"),
    (board(radios=("wifi", "ble")), Rung.WIFI, "cannot be told apart.*--as"),
    (HUB, Rung.NETWORK, "not heard from it.*blinks.*--port"),
    (replace(HUB, told=True), Rung.NETWORK, "no probe of this id"),
    (row(Step.CONNECTED), Rung.NETWORK, "not heard from it.*blinks.*--port"),
    (row(Step.ALONE), Rung.ALONE, "two boards say they are till"),
    (row(Step.KEY), Rung.KEY, "no key yet"),
    (row(Step.CONFIG, config_refused="channels"), Rung.CONFIG, "refuses what site.toml says of it: channels"),
    (row(Step.CONFIG), Rung.CONFIG, "does not show its configuration"),
    (replace(row(config_hash="aa"), config_hash="bb"), Rung.CONFIG, "something else of this probe than yours"),
    (row(Step.DELIVERS), Rung.DELIVERS, "no batch of it"),
    (replace(row(), fresh=False), Rung.DELIVERS, "no batch of it reached the hub since we look"),
    (row(Step.WIFI), Rung.WIFI, "no Wi-Fi frame in them"),
    (row(Step.WIFI, radios=(Radio.BLE,)), Rung.WIFI, "hears BLE alone.*--ble-only"),
    (replace(row(Step.WIFI), ble_only=True), Rung.WIFI, "no BLE advert"),
    (replace(row(boot="7"), line=board(boot=1004).line), Rung.DELIVERS, "another board of this id"),
    (replace(row(boot="7"), asked_line=True), Rung.LINE, "says nothing.*reset"),
    (replace(row(boot="1004"), line=board(boot=1004).line), None, ""),
    (row(), None, ""),
    (board(), None, ""),
    (replace(row(Step.WIFI, ble_per_s=2.0), ble_only=True), None, ""),
    (replace(board(radios=("ble",)), ble_only=True), None, ""),
    (replace(row(config_hash="aa"), config_hash="aa"), None, ""),
]


@pytest.mark.parametrize(("seen", "rung", "said"), CASES)
def test_the_first_missing_rung_is_named_with_what_to_try(seen: Evidence, rung: Rung | None, said: str) -> None:
    standing = judge(seen)
    assert standing.failed == rung
    assert re.search(said, f"{standing.what}; {standing.next_step}")
    assert bool(standing.next_step) == (rung is not None)
    assert standing.climbed == RUNGS[: RUNGS.index(rung) if rung else None]


def test_every_rung_can_be_missing() -> None:
    assert {rung for _, rung, _ in CASES} == {*Rung, None}


def test_the_hubs_word_counts_more_than_the_boards() -> None:
    both = replace(row(), asked_line=True, line=board(hub=False, network=False).line)
    assert judge(both).failed is None
    lost = replace(row(Step.CONNECTED), asked_line=True, line=away("tls_refused: x").line)
    assert judge(lost).failed is Rung.BROKER


def test_what_a_board_says_is_cleaned() -> None:
    said = judge(away("tls_refused: \x1b[2J\n" + "x" * 1000)).what
    assert said.isprintable()
    assert len(said) < 300


def test_a_boards_word_is_bounded() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"probe":"' + b"x" * 300 + b'"}', type=Status)
