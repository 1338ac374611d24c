"""What a set of settings must be. Loaded while one is checked, then forgotten. Pure."""

from .hop import REGIONS
from .pins import lan_of
from .settings import VERSION, SettingsError
from .wire import MOST_LISTENED

ROLES = ("probe", "tag")
UPLINKS = ("lan", "serial", "wifi-park", "wifi-burst")
_ID = "abcdefghijklmnopqrstuvwxyz0123456789-"
_REQUIRED = ("probe", "tenant", "site", "uplink")


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


# key: (is it right?, what it should be)
_RULES = {
    "probe": (_id, "1 to 32 of a-z, 0-9, -"),
    "tenant": (_id, "1 to 32 of a-z, 0-9, -"),
    "site": (_id, "1 to 32 of a-z, 0-9, -"),
    "uplink": (_one_of(UPLINKS), "one of " + ", ".join(UPLINKS)),
    "role": (_one_of(ROLES), "probe or tag"),
    "board": (_text(0, 32), "a board's name"),
    "host": (_text(0, 253), "a host name or address"),
    "port": (_between(1, 65_535), "1 to 65535"),
    "ca": (_text(0, 2500), "a PEM certificate"),
    "cert": (_text(0, 2500), "a PEM certificate"),
    "key": (_text(0, 1000), "a PEM key"),
    "code": (_text(0, 64), "a code"),
    "csr": (_text(0, 1000), "a PEM certificate request"),
    "enrol_port": (_between(1, 65_535), "1 to 65535"),
    "ssid": (_text(0, 32), "at most 32 characters"),
    "password": (_text(0, 63), "at most 63 characters"),
    "region": (_one_of(REGIONS), "one of " + ", ".join(sorted(REGIONS))),
    "channels": (_channels, "different channels of the region, at most 15"),
    "dwell_ms": (_between(50, 60_000), "50 to 60000"),
    "ble_ms": (_between(0, 60_000), "0 to 60000"),
    "burst_s": (_between(10, 3600), "10 to 3600"),
    "batch_s": (_between(1, 60), "1 to 60"),
    "config_hash": (_text(0, 64), "hex"),
}


def check(raw: object) -> None:
    """Raise SettingsError unless `raw` is a whole, valid set of this version."""
    if not isinstance(raw, dict):
        raise SettingsError("settings: no object")
    version = raw.get("version")
    if not isinstance(version, int) or not _between(1, 1 << 30)(version):
        raise SettingsError("version: missing")
    if version > VERSION:
        raise SettingsError(f"version: {version}, this firmware knows {VERSION}; update it first")
    for name, rule in _RULES.items():
        if name not in raw and name in _REQUIRED:
            raise SettingsError(f"{name}: missing; {rule[1]}")
        if name in raw and not rule[0](raw[name]):
            raise SettingsError(f"{name}: not {rule[1]}")
    for name in raw:
        if name != "version" and name not in _RULES:
            raise SettingsError("unknown key")
    _check_together(raw)


def _check_together(raw: dict) -> None:
    uplink, channels = raw["uplink"], raw.get("channels", (1, 6, 11))
    if uplink != "serial" and not raw.get("host"):
        raise SettingsError("host: missing; the hub's name or address")
    if uplink in ("wifi-park", "wifi-burst") and not raw.get("ssid"):
        raise SettingsError("ssid: missing; the shop's Wi-Fi")
    if uplink == "lan":
        try:
            lan_of(raw.get("board", ""))
        except ValueError as error:
            raise SettingsError(str(error))
    known = REGIONS[raw.get("region", "world")]
    if [channel for channel in channels if channel <= 14 and channel not in known]:
        raise SettingsError("channels: not all allowed in the region")
    if not channels and not raw.get("ble_ms"):
        raise SettingsError("channels: none, and no ble_ms either")
