"""From what board and hub say to the one rung a probe does not stand on, and what to try. Pure.

Two witnesses, either may be missing: the board on its serial line, the hub on its broker. The hub's word counts more:
it is what arrived.
"""

from dataclasses import dataclass
from enum import StrEnum

from hostkit.contract.probes import ProbeStatus, Step
from hostkit.install.board import Status
from hostkit.install.frames import shown
from hostkit.model import Radio


class Rung(StrEnum):
    """In order."""

    LINE = "serial line"
    NETWORK = "network"
    BROKER = "broker"
    ADMITTED = "admitted"
    ALONE = "alone"
    KEY = "key"
    CONFIG = "configuration"
    DELIVERS = "delivers"
    WIFI = "Wi-Fi heard"


RUNGS = tuple(Rung)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """`line` is the board's last word, `row` the hub's; `asked_line` and `asked_hub` tell which were asked.

    `told`: the hub spoke of its probes, as it does once it has heard one. `fresh`: a batch reached it since this began
    to look.
    """

    probe: str
    line: Status | None = None
    row: ProbeStatus | None = None
    asked_line: bool = False
    asked_hub: bool = False
    told: bool = False
    blank: bool = False  # the board says that it has no settings
    fresh: bool = False
    ble_only: bool = False
    config_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`failed` is the first rung it does not stand on, None if it passed; `what` and `next_step` are about that one."""

    failed: Rung | None
    what: str = ""
    next_step: str = ""

    @property
    def climbed(self) -> tuple[Rung, ...]:
        """Give the rungs below."""
        return RUNGS if self.failed is None else RUNGS[: RUNGS.index(self.failed)]


PASSED = Standing(failed=None)


def judge(seen: Evidence) -> Standing:
    """Give how far the probe is."""
    if seen.line is not None and seen.line.probe != seen.probe:
        what = f"the board on this port is {shown(seen.line.probe)}"
        return _standing(Rung.LINE, what, "take the other port, or verify that probe")
    connected = seen.row is not None and seen.row.step is not Step.CONNECTED
    if seen.asked_hub and connected:
        standing = _by_hub(seen)
        return standing if standing.failed is not None else _itself(seen)
    if seen.blank:
        return _standing(Rung.LINE, "the board is not set up", "footfall probe provision")
    if seen.asked_line and seen.line is None:
        return _silent_line()
    if seen.line is not None:
        return _by_line(seen, seen.line)
    if seen.told and seen.row is None:
        step = "copy your site.toml to the hub and restart it, or correct the id"
        return _standing(Rung.NETWORK, "the hub's site.toml has no probe of this id", step)
    return _standing(
        Rung.NETWORK,
        "the hub has not heard from it",
        "count the blinks of its LED (2: no network, 3: no hub); or plug it in here and give --port",
    )


def _itself(seen: Evidence) -> Standing:
    """Whom the hub hears may be another board of this id, as one that is replaced: who is on the line must be it."""
    if seen.asked_line and seen.line is None:
        return _silent_line()
    if seen.line is not None and seen.row is not None and seen.row.boot not in {None, str(seen.line.boot)}:
        return _standing(
            Rung.DELIVERS,
            "the hub hears another board of this id",
            "wait a minute; if that does not help, take the other board off the network",
        )
    return PASSED


def _silent_line() -> Standing:
    return _standing(
        Rung.LINE,
        "the board says nothing on its line",
        "press its reset button; is it flashed? footfall probe flash",
    )


def _by_hub(seen: Evidence) -> Standing:
    row = seen.row
    assert row is not None
    if row.step is Step.ALONE:
        return _standing(
            Rung.ALONE,
            f"two boards say they are {row.id}",
            "take one off the network, give it another id (--take-over)",
        )
    if row.step is Step.KEY:
        return _standing(
            Rung.KEY,
            "it is connected and has no key yet",
            "wait a minute; then look at the hub's log (footfall hub run)",
        )
    if row.config_refused is not None:
        return _standing(
            Rung.CONFIG,
            f"it refuses what site.toml says of it: {shown(row.config_refused)}",
            "give it what it can do, at the hub: footfall command set-config",
        )
    if seen.config_hash and row.config_hash and row.config_hash != seen.config_hash and row.step is None:
        return _standing(
            Rung.CONFIG,
            "the hub's site.toml says something else of this probe than yours (position, channels)",
            "take the hub's, or bring yours there: footfall command set-config",
        )
    if row.step is Step.CONFIG:
        return _standing(
            Rung.CONFIG,
            "it does not show its configuration yet",
            "wait a minute, or restart it: footfall command restart",
        )
    if row.step is Step.DELIVERS or not seen.fresh:
        return _standing(
            Rung.DELIVERS,
            "no batch of it reached the hub since we look",
            "a wifi-burst probe sends every two minutes: wait for it; else read its log: footfall command read-log",
        )
    return _heard(seen, row)


def _heard(seen: Evidence, row: ProbeStatus) -> Standing:
    if seen.ble_only:
        return PASSED if row.ble_per_s > 0 or row.step is None else _nothing_by_ble()
    if row.step is None:
        return PASSED
    if Radio.WIFI not in row.radios:
        return _standing(
            Rung.WIFI,
            "its image hears BLE alone",
            "flash Footfall's own image (footfall probe flash); if BLE is what you want: --ble-only",
        )
    return _nothing("batches come, no Wi-Fi frame in them")


def _nothing_by_ble() -> Standing:
    return _standing(Rung.WIFI, "no BLE advert was heard", "hold a phone or a tag next to it; check its antenna")


def _nothing(what: str) -> Standing:
    return _standing(
        Rung.WIFI, what, "hold a phone with Wi-Fi on next to it; check its antenna and its channels in site.toml"
    )


def _by_line(seen: Evidence, line: Status) -> Standing:
    if not line.network:
        return _standing(Rung.NETWORK, *_network(line))
    if not line.hub:
        return _link(line)
    if line.key_id is None:
        return _standing(
            Rung.KEY,
            "it is connected and no hub gives it a key",
            "is the hub running, and is this probe in its site.toml? footfall hub run",
        )
    if seen.asked_hub or not line.acknowledged:
        return _standing(
            Rung.DELIVERS,
            "its hub acknowledged nothing yet",
            "wait for the first batch; then look at the hub's log (footfall hub run)",
        )
    if seen.ble_only:
        return PASSED if line.seen else _nothing_by_ble()
    if Radio.WIFI not in line.radios:
        return _standing(
            Rung.WIFI,
            "its image hears BLE alone",
            "flash Footfall's own image (footfall probe flash); if BLE is what you want: --ble-only",
        )
    if Radio.BLE in line.radios:
        return _standing(
            Rung.WIFI, "on its line Wi-Fi and BLE cannot be told apart", "ask the hub as well: --as DIR or --broker URL"
        )
    return PASSED if line.seen else _nothing("it hears no Wi-Fi frame")


def _network(line: Status) -> tuple[str, str]:
    kind, _, what = line.trouble.partition(": ")
    if kind != "no_network":
        return "it is not on its network yet", "wait for half a minute; then count the blinks of its LED"
    steps = {
        "wrong password": "provision it again with the right one: footfall probe provision --take-over",
        "no access point of that name": "check the name (case counts); the board needs 2.4 GHz; go nearer",
        "no access point": "check name and password; the board needs 2.4 GHz; go nearer",
        "no Ethernet link": "check cable, switch port and power over Ethernet; is --board the right one?",
        "no address (DHCP)": "has this network a DHCP server with addresses left? is its port in the right VLAN?",
    }
    return shown(what), steps.get(what, "check the network")


def _link(line: Status) -> Standing:
    kind, _, what = line.trouble.partition(": ")
    what = shown(what)
    if kind == "tls_refused":
        return _standing(
            Rung.BROKER,
            f"TLS with the broker fails ({what})",
            "is the broker's certificate over, or for another name? see footfall hub identities; a new authority: "
            "provision it again",
        )
    if kind == "enrol_refused":
        return _standing(
            Rung.ADMITTED, f"its code was not taken ({what})", "provision it again with a new code: footfall hub enrol"
        )
    if kind == "broker_refused":
        return _standing(
            Rung.ADMITTED,
            f"the broker does not admit it ({what})",
            "is it revoked? footfall hub identities; else let the broker read its list again: footfall hub enrol",
        )
    if "closed" in what:
        return _standing(
            Rung.ADMITTED,
            "the broker closes the connection: its certificate is revoked or over, or another board uses it",
            "see footfall hub identities; then provision it again with a new code",
        )
    if "ECONNREFUSED" in what:
        return _standing(Rung.BROKER, "nothing listens at the broker's address", "start it: see footfall hub init")
    if kind == "link_refused":
        return _standing(
            Rung.BROKER,
            f"the broker is not reached ({what})",
            "is the hub on, in the same network, its name known there? (an address needs no name)",
        )
    return _standing(Rung.BROKER, "it has its network and no broker yet", "wait for half a minute")


def _standing(rung: Rung, what: str, next_step: str) -> Standing:
    return Standing(failed=rung, what=what, next_step=next_step)
