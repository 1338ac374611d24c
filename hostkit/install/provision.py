"""Gives a board its settings and its own credential, reads back what its flash holds, and compares.

In this order: who is it, can it join the network, is the id free; only then is the code used, which is good once.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from hostkit.errors import PeerError, UsageError
from hostkit.hub.fleet import probe_hash
from hostkit.install.board import Settings, Status, Way
from hostkit.install.codes import Credential
from hostkit.install.frames import shown
from hostkit.install.improv import Device
from hostkit.model import Probe, Site

UPLINKS = ("lan", "wifi-park", "wifi-burst", "serial")
WIFI = ("wifi-park", "wifi-burst")
FIRMWARE = "footfall"
REPLUG_S = 60.0  # in which a board may come back before the credential that waits for it is given up
SECRETS = ("ca", "cert", "key", "password", "code", "csr")  # the board gives digests of them
Say = Callable[[str], None]


class WrongFlashError(PeerError):
    """A board answered, and holds something else than it was given: trying again at once changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How the probe reaches its hub. `board` names its pins, see hardware/boards."""

    uplink: str
    board: str = ""
    ssid: str = ""
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.uplink in WIFI and not self.ssid:
            raise UsageError(f"{self.uplink} needs a network", where="--ssid", next_step="name the shop's Wi-Fi")
        if self.uplink == "lan" and not self.board:
            raise UsageError(
                "which Ethernet does the board have?", where="--board", next_step="name it, as in hardware/boards"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a board is to become. `take_over`: also if it, or another, is set up as something already."""

    site: Site
    probe: Probe
    network: Network
    take_over: bool = False

    @property
    def identity(self) -> str:
        """Give the name in its certificate."""
        return f"{self.site.tenant}/{self.site.site}/{self.probe.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What the board's flash was found to hold, without secrets."""

    firmware: str
    held: dict[str, object]


def provision(
    order: Order, way: Callable[[], Way], credential: Callable[[], Credential] | None, say: Say, *, tried: bool = False
) -> Provisioned:
    """Provision the board that `way` opens; `credential` is asked for when all else is well, None over serial.

    PeerError says what failed. A board that is unplugged while its credential is on the way has a minute to come back.
    `tried`: this was begun before; a board that is what it is to be took its settings then, and keeps them.
    """
    board = way()
    try:
        met = board.meet()
        if tried and _is_set_up(met, order):
            return _as_it_is(met, say)
        device = _blank(order, board, met, say)
        if order.network.uplink in WIFI:
            say(f"joining {shown(order.network.ssid)!r}")
            board.join(order.network.ssid, order.network.password)
        given = credential() if credential else None
        say("settings")
        try:
            return _configured(order, board, given, device)
        except PeerError as error:
            if given is None or isinstance(error, WrongFlashError):
                raise
            say(f"{error}")
            board.close()
            board = _again(way, error, order)
            met = board.meet()
            if _is_set_up(met, order):
                return _as_it_is(met, say)
            _blank(order, board, met, say)
            return _configured(order, board, given, device)
    finally:
        board.close()


def settings_of(order: Order, credential: Credential | None) -> dict[str, object]:
    """Give the settings of firmware/sensor/rules.py that the order means."""
    network, probe = order.network, order.probe
    settings: dict[str, object] = {
        "probe": probe.id, "tenant": order.site.tenant, "site": order.site.site, "uplink": network.uplink,
        "channels": list(probe.channels), "dwell_ms": probe.dwell_ms, "config_hash": probe_hash(probe),
    }  # fmt: skip
    if network.board:
        settings["board"] = network.board
    if network.uplink in WIFI:
        settings |= {"ssid": network.ssid, "password": network.password}
    if credential is not None:
        settings |= {"host": credential.host, "port": credential.port, "ca": credential.authority}
        given = {
            "key": credential.key, "cert": credential.certificate, "code": credential.code, "csr": credential.request,
            "enrol_port": credential.enrol_port,
        }  # fmt: skip
        settings |= {name: value for name, value in given.items() if value}
    return settings


def _is_set_up(met: Device | Status, order: Order) -> bool:
    wanted = (order.probe.id, order.site.tenant, order.site.site, order.network.uplink)
    return isinstance(met, Status) and (met.probe, met.tenant, met.site, met.uplink) == wanted


def _as_it_is(met: Device | Status, say: Say) -> Provisioned:
    """It runs on its settings, so it has them whole; whether they are right is for `verify` to see."""
    say("it took its settings before it was cut off")
    return Provisioned(firmware=met.firmware if isinstance(met, Status) else met.version, held={})


def _blank(order: Order, board: Way, met: Device | Status, say: Say) -> Device:
    """See that the board is blank and runs our firmware; make it blank if it may be taken over."""
    if isinstance(met, Status):
        if not order.take_over:
            raise PeerError(
                f"is set up already, as {shown(met.probe)} of {shown(met.tenant)}/{shown(met.site)}",
                where=board.where,
                next_step="see how it does: footfall probe verify; to set it up anew: --take-over",
            )
        say(f"was {shown(met.probe)}; making it blank")
        board.forget(met.probe)
        met = board.meet()
    if not isinstance(met, Device) or met.firmware != FIRMWARE:
        what = f"runs {met.firmware[:40]!r}" if isinstance(met, Device) else "did not become blank"
        raise PeerError(what, where=board.where, next_step="flash it: footfall probe flash")
    say(f"{met.name} {met.version} on {met.chip}")
    return met


def _configured(order: Order, board: Way, credential: Credential | None, device: Device) -> Provisioned:
    settings, salt = settings_of(order, credential), secrets.token_hex(8)
    held = board.configure(settings, salt)
    wrong = [name for name, value in _expected(settings, salt).items() if held.get(name) != value]
    wrong += [name for name in held if name not in settings and name != "version"]
    if wrong:
        raise WrongFlashError(
            f"its flash does not hold what it was given: {', '.join(map(shown, wrong[:8]))}",
            where=board.where,
            next_step="run the same command again; if it recurs the flash is worn: take another board",
        )
    return Provisioned(firmware=device.version, held={name: held[name] for name in held if name not in SECRETS})


def _expected(settings: Settings, salt: str) -> dict[str, object]:
    secret = {
        name: hashlib.sha256((salt + str(settings[name])).encode()).hexdigest()
        for name in SECRETS
        if settings.get(name)
    }
    return {**settings, **secret}


def _again(way: Callable[[], Way], error: PeerError, order: Order) -> Way:
    """Wait for a board that went away with its credential on the way; the key waits in memory."""
    until_s = time.monotonic() + REPLUG_S
    while time.monotonic() < until_s:
        time.sleep(1.0)
        with suppress(PeerError):
            return way()
    raise PeerError(
        f"{error.what}; its code is used and the credential is gone",
        where=error.where,
        next_step=f"plug it in again, ask for a new code (footfall hub enrol {order.probe.id}) and run this again",
    )
