"""What a probe is told once: who it is, its uplink, its channels. Validated whole; the last that worked is kept. Pure.

A new set is on trial until the hub answered; one that is bad, newer than this firmware, or did not reach the hub in
TRIALS boots is laid aside and the last that worked comes back.
"""

import json
import os

from .hop import REGIONS
from .wire import MOST_LISTENED

VERSION = 1
MOST_BYTES = 8192
TRIALS = 3
GOOD, NEXT = "settings.json", "settings.next"
ROLES = ("probe", "tag")
UPLINKS = ("lan", "serial", "wifi-park", "wifi-burst")
_ID = "abcdefghijklmnopqrstuvwxyz0123456789-"
_SECRETS = ("ca", "cert", "key")  # PEM, read again when a connection is made


class SettingsError(ValueError):
    """`key: what is wrong`."""


def _id(value) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 32 and all(char in _ID for char in value)


def _between(least: int, most: int):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _text(least: int, most: int):
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def _one_of(words):
    return lambda value: isinstance(value, str) and value in words


def _channels(value) -> bool:
    numbers = isinstance(value, (list, tuple)) and len(value) < MOST_LISTENED
    return numbers and all(_between(1, 177)(one) for one in value) and len(set(value)) == len(value)


# key: (is it right?, what it should be, default; no default: it must be there)
_RULES = {
    "probe": (_id, "1 to 32 of a-z, 0-9, -"),
    "tenant": (_id, "1 to 32 of a-z, 0-9, -"),
    "site": (_id, "1 to 32 of a-z, 0-9, -"),
    "uplink": (_one_of(UPLINKS), "one of " + ", ".join(UPLINKS)),
    "role": (_one_of(ROLES), "probe or tag", "probe"),
    "board": (_text(0, 32), "a board's name", ""),
    "host": (_text(0, 253), "a host name or address", ""),
    "port": (_between(1, 65_535), "1 to 65535", 8883),
    "ca": (_text(0, 2500), "a PEM certificate", ""),
    "cert": (_text(0, 2500), "a PEM certificate", ""),
    "key": (_text(0, 1000), "a PEM key", ""),
    "ssid": (_text(0, 32), "at most 32 characters", ""),
    "password": (_text(0, 63), "at most 63 characters", ""),
    "region": (_one_of(REGIONS), "one of " + ", ".join(sorted(REGIONS)), "world"),
    "channels": (_channels, "different channels of the region, at most 15", (1, 6, 11)),
    "dwell_ms": (_between(50, 60_000), "50 to 60000", 1000),
    "ble_ms": (_between(0, 60_000), "0 to 60000", 0),
    "burst_s": (_between(10, 3600), "10 to 3600", 120),
    "batch_s": (_between(1, 60), "1 to 60", 10),
    "config_hash": (_text(0, 64), "hex", ""),
}


class Settings:
    """A valid set; `get(name)` gives a value. Secrets are not held: `secrets()` reads them."""

    def __init__(self, values: dict[str, object], path: str) -> None:
        self._values = values
        self._path = path

    def change(self, changes: dict[str, object]) -> None:
        """Take values that `Store.adopt` has checked."""
        self._values.update(changes)

    def get(self, name: str):
        """Give a value, its default if the set has none."""
        value = self._values.get(name)
        return _RULES[name][2] if value is None and len(_RULES[name]) > 2 else value

    def secrets(self) -> dict[str, str]:
        """Read ca, cert and key."""
        raw = _read(self._path)
        return {name: str(raw.get(name, "")) for name in _SECRETS}


def check(raw: object) -> None:
    """Raise SettingsError unless `raw` is a whole, valid set of this version."""
    if not isinstance(raw, dict):
        raise SettingsError("settings: no object")
    version = raw.get("version")
    if not _between(1, 1 << 30)(version):
        raise SettingsError("version: missing")
    if version > VERSION:
        raise SettingsError(f"version: {version}, this firmware knows {VERSION}; update it first")
    for name, rule in _RULES.items():
        if name not in raw and len(rule) < 3:
            raise SettingsError(f"{name}: missing; {rule[1]}")
        if name in raw and not rule[0](raw[name]):
            raise SettingsError(f"{name}: not {rule[1]}")
    for name in raw:
        if name != "version" and name not in _RULES:
            raise SettingsError("unknown key")
    _check_together(raw)


def _check_together(raw: dict[str, object]) -> None:
    uplink, channels = raw["uplink"], raw.get("channels", (1, 6, 11))
    if uplink != "serial" and not raw.get("host"):
        raise SettingsError("host: missing; the hub's name or address")
    if uplink in ("wifi-park", "wifi-burst") and not raw.get("ssid"):
        raise SettingsError("ssid: missing; the shop's Wi-Fi")
    known = REGIONS[raw.get("region", "world")]
    if [channel for channel in channels if channel <= 14 and channel not in known]:
        raise SettingsError("channels: not all allowed in the region")
    if not channels and not raw.get("ble_ms"):
        raise SettingsError("channels: none, and no ble_ms either")


class Store:
    """The two sets in `folder`. `state` counts trials."""

    def __init__(self, state, folder: str = "") -> None:
        self._state = state
        self._good, self._next = folder + GOOD, folder + NEXT
        self.refused = 0  # sets laid aside
        self.why = ""
        self.on_trial = False

    def load(self) -> Settings | None:
        """Give the set to use in this boot; None: there is none, the probe must be provisioned."""
        if _exists(self._next):
            tries = self._state.count("tries")
            settings = self._try(self._next) if tries <= TRIALS else None
            if settings:
                self.on_trial = True
                return settings
            self._lay_aside(self.why if tries <= TRIALS else f"the hub did not answer in {TRIALS} boots")
        return self._try(self._good) if _exists(self._good) else None

    def propose(self, raw: dict[str, object]) -> None:
        """Check and keep a new set for the next boot; SettingsError, and nothing changed, if it is bad."""
        self._write(raw, self._next)
        self._state.put("tries", 0)

    def adopt(self, raw: dict[str, object]) -> None:
        """Check and keep a change of the set in use that cannot cut us off from the hub; SettingsError as above."""
        self._write(raw, self._next if self.on_trial else self._good)

    def merged(self, changes: dict[str, object]) -> dict[str, object]:
        """Give the set in use with `changes` over it."""
        raw = _read(self._next if self.on_trial else self._good) if _exists(self._good) or self.on_trial else {}
        raw["version"] = VERSION
        raw.update(changes)
        return raw

    def works(self) -> None:
        """The hub answered: the set on trial is the good one now."""
        if self.on_trial:
            os.rename(self._next, self._good)
            self.on_trial = False
            self._state.put("tries", 0)

    def _write(self, raw: dict[str, object], path: str) -> None:
        check(raw)
        text = json.dumps(raw)
        if len(text) > MOST_BYTES:
            raise SettingsError(f"settings: more than {MOST_BYTES} bytes")
        with open(path + "~", "w") as file:
            file.write(text)
        os.rename(path + "~", path)

    def _try(self, path: str) -> Settings | None:
        try:
            raw = _read(path)
            check(raw)
        except (OSError, ValueError) as error:  # SettingsError is one
            self.refused += 1
            self.why = str(error)
            return None
        values = {name: value for name, value in raw.items() if name not in _SECRETS}
        return Settings(values, path)

    def _lay_aside(self, why: str) -> None:
        self.why = why
        os.rename(self._next, self._next + ".bad")
        self._state.put("tries", 0)


def _read(path: str) -> dict[str, object]:
    with open(path) as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise SettingsError(f"settings: more than {MOST_BYTES} bytes")
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise SettingsError("settings: no object")
    return raw


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True
