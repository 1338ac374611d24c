"""What a board's flash holds is compared with what it was given, and what a board says is bounded and cleaned."""

import hashlib
from dataclasses import replace

import pytest

from hostkit.errors import InputError, PeerError, UsageError
from hostkit.install import improv
from hostkit.install.board import Settings, Status
from hostkit.install.codes import Codes, Credential, read_codes
from hostkit.install.frames import MAX_MESSAGE_BYTES, message, parts
from hostkit.install.improv import Device, Kind, SerialReader
from hostkit.install.provision import Network, Order, Provisioned, provision
from tests.install.place import SITE

CREDENTIAL = Credential(host="hub.local", port=8883, authority="CA" * 400, certificate="CERT" * 200, key="KEY" * 80)
CODE = "footfall-enrol://127.0.0.1:8885/GJ3XQZ7A2MDEK5VBGJ3XQZ7A2MDEK5VB/ABCD-EFGH-IJKL-MNOP-QRST"
ORDER = Order(site=SITE, probe=SITE.probes[0], network=Network(uplink="lan", board="wt32-eth01"))


class Flash:
    """A board in memory. `spoil` changes what its flash gives back."""

    where = "flash"

    def __init__(self, spoil: Settings | None = None, *, set_up: bool = False) -> None:
        self.spoil, self.set_up = spoil or {}, set_up
        self.given: Settings = {}
        self.joined: list[str] = []

    def meet(self) -> Device | Status:
        if self.set_up:
            return Status(probe="other")
        return Device(firmware="footfall", version="1", chip="ESP32", name="board")

    def join(self, ssid: str, password: str) -> None:
        self.joined.append(ssid)

    def configure(self, settings: Settings, salt: str) -> dict[str, object]:
        self.given = settings
        secrets = ("ca", "cert", "key", "password", "code", "csr")
        held = {
            name: hashlib.sha256((salt + str(value)).encode()).hexdigest() if name in secrets else value
            for name, value in settings.items()
        }
        return {"version": 1, **held, **self.spoil}

    def forget(self, probe: str) -> None:
        self.set_up = False

    def close(self) -> None:
        return


def done(board: Flash, order: Order = ORDER) -> Provisioned:
    return provision(order, lambda: board, lambda: CREDENTIAL, lambda line: None)


def test_what_is_read_back_is_what_was_given_and_names_no_secret() -> None:
    told = done(Flash()).held
    assert told["probe"] == SITE.probes[0].id
    assert not {"ca", "cert", "key", "password"} & set(told)


@pytest.mark.parametrize("spoil", [{"host": "elsewhere"}, {"key": "00"}, {"port": 1}, {"ssid": "left"}, {"cert": ""}])
def test_a_flash_that_holds_something_else_is_found(spoil: Settings) -> None:
    with pytest.raises(PeerError, match=f"does not hold what it was given: {next(iter(spoil))};") as error:
        done(Flash(spoil))
    assert "KEY" not in str(error.value)


def test_a_board_that_is_set_up_is_taken_over_only_if_asked() -> None:
    with pytest.raises(PeerError, match="set up already, as other"):
        done(Flash(set_up=True))
    assert done(Flash(set_up=True), replace(ORDER, take_over=True)).held["probe"] == SITE.probes[0].id


def status(**other: str) -> Status:
    known = {"probe": ORDER.probe.id, "tenant": SITE.tenant, "site": SITE.site, "uplink": "lan", "firmware": "7"}
    return Status(**{**known, **other})


class Met(Flash):
    """A board that says this of itself; `loses` the answer to the settings it took."""

    def __init__(self, met: Status | None = None, *, loses: bool = False) -> None:
        super().__init__()
        self.met, self.loses = met, loses

    def meet(self) -> Device | Status:
        return self.met or super().meet()

    def configure(self, settings: Settings, salt: str) -> dict[str, object]:
        super().configure(settings, salt)
        if not self.loses:
            raise AssertionError("it has its settings")
        self.met = status()
        raise PeerError("does not answer any more", where="flash", next_step="check the cable")


def refuses() -> Credential:
    raise AssertionError("no code is to be used")


def test_a_board_that_was_set_up_when_the_command_was_cut_off_is_left_as_it_is() -> None:
    said: list[str] = []
    again = provision(ORDER, lambda: Met(status()), refuses, said.append, tried=True)
    assert (again.firmware, said) == ("7", ["it took its settings before it was cut off"])
    for other in (status(probe="other"), status(site="other"), status(tenant="other"), status(uplink="wifi-park")):
        with pytest.raises(PeerError, match="is set up already"):
            provision(ORDER, lambda met=other: Met(met), refuses, said.append, tried=True)  # type: ignore[misc]
    with pytest.raises(PeerError, match="is set up already"):
        provision(ORDER, lambda: Met(status()), refuses, said.append)


def test_an_answer_that_is_lost_is_no_failure_where_the_board_runs_on_what_it_was_given() -> None:
    board = Met(loses=True)
    assert done(board).firmware == "7"
    assert board.given["key"] == CREDENTIAL.key


def test_wifi_is_joined_before_the_code_is_used() -> None:
    board, order = Flash(), replace(ORDER, network=Network(uplink="wifi-park", ssid="shop", password="p" * 8))
    used: list[str] = []

    def credential() -> Credential:
        used.append(board.joined[0])
        return CREDENTIAL

    provision(order, lambda: board, credential, lambda line: None)
    assert used == ["shop"]
    assert "p" * 8 not in repr(order)
    assert CREDENTIAL.key not in repr(CREDENTIAL)


def test_settings_travel_in_parts_that_a_board_can_hold() -> None:
    settings = {"ca": "x" * 1900, "cert": "y" * 1900, "key": "z" * 241, "probe": "till"}
    sent = [text for _, text in parts(settings, "salt")]
    assert len(sent) == 3
    assert max(map(len, sent)) <= MAX_MESSAGE_BYTES
    with pytest.raises(UsageError, match="at most 2000"):
        message("cmd/set-config", {"ca": "x" * 2500})


def test_improv_is_found_in_any_noise_and_damage_is_passed_over() -> None:
    packet = improv.serial_packet(Kind.STATE, b"\x04")
    noise = b"IMPROV\x01\x01\xff" + b"boot: IMPR" * 40
    reader = SerialReader()
    found = [one for byte in noise + packet + packet[:-2] + b"\x00\n" + packet for one in reader.feed(bytes((byte,)))]
    assert found == [(1, b"\x04"), (1, b"\x04")]
    for bad in (b"", b"\x03", b"\x03\x05ab", b"\x03\x02\x09a"):
        with pytest.raises(InputError):
            improv.read_result(bad)


def test_codes_are_read_as_they_were_printed() -> None:
    assert set(read_codes(f"till  {CODE}\ndoor  {CODE}\n")) == {"till", "door"}
    assert Codes.of_text(CODE).invitation("anything").host == "127.0.0.1"
    for wrong in ("", "nonsense", f"{CODE}\n{CODE}", "till\n"):
        with pytest.raises(UsageError) as error:
            read_codes(wrong)
        assert "ABCD" not in str(error.value)
    with pytest.raises(UsageError, match="hold none for door"):
        Codes.of_text(f"till  {CODE}").invitation("door")
