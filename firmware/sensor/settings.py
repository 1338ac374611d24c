"""What a probe is told once: who it is, its uplink, its channels. Validated whole; the last that worked is kept. Pure.

A new set is on trial until the hub answered; one that is bad, newer than this firmware, or did not reach the hub in
TRIALS boots is laid aside and the last that worked comes back.
"""

import json
import os
import sys

import sensor

VERSION = 1
MOST_BYTES = 8192
TRIALS = 3
GOOD, NEXT = "settings.json", "settings.next"
_SECRETS = ("ca", "cert", "key", "code", "csr")  # read again when a connection is made


class SettingsError(ValueError):
    """`key: what is wrong`."""


# what a set need not say
_DEFAULTS = {
    "role": "probe",
    "board": "",
    "host": "",
    "port": 8883,
    "ssid": "",
    "password": "",
    "region": "world",
    "channels": (1, 6, 11),
    "dwell_ms": 1000,
    "ble_ms": 0,
    "burst_s": 120,
    "batch_s": 10,
    "config_hash": "",
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
        return _DEFAULTS.get(name) if value is None else value

    def secrets(self) -> dict[str, str]:
        """Read ca, cert and key, and what enrolment needs."""
        raw = _read(self._path)
        return {name: str(raw.get(name, "")) for name in _SECRETS}


def check(raw: object) -> None:
    """Raise SettingsError unless `raw` is a whole, valid set of this version. The rules are in RAM only meanwhile."""
    rules = __import__("sensor.rules", None, None, ("check",))
    try:
        rules.check(raw)
    finally:
        for name in ("rules", "pins"):
            if sys.modules.pop("sensor." + name, None):
                delattr(sensor, name)


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

    def anew(self) -> None:
        """Count boots from a new place: a hub remembers those of the board before, and would take ours for doubles."""
        self._state.put("boot", int.from_bytes(os.urandom(4), "little") >> 1)

    def proposed(self) -> dict[str, object]:
        """Read back what `propose` wrote."""
        return _read(self._next)

    def forget(self) -> None:
        """Be blank at the next boot."""
        for path in (self._next, self._good):
            if _exists(path):
                os.remove(path)

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
    """Read a set piece by piece: hours after boot no block may be left for all of it."""
    if os.stat(path)[6] > MOST_BYTES:
        raise SettingsError(f"settings: more than {MOST_BYTES} bytes")
    with open(path) as file:
        raw = json.load(file)
    if not isinstance(raw, dict):
        raise SettingsError("settings: no object")
    return raw


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True
