"""What a hub may tell a probe to do. Refuses the rest with a reason; a bad command changes nothing."""

from binascii import hexlify

from micropython import const

from .settings import SettingsError

_TYPES = const(0)  # true for mypy alone, and gone when compiled
if _TYPES:
    from dot11cap import Ear

    from .app import App
    from .counts import Counts
    from .settings import Store
    from .stock import StockEar
    from .uplink import Uplink

MOST_DESCRIBED = 4  # in one answer; the hub asks again for the others
LATE_S = 60  # a probe's clock may be wrong by so much
CONFIG_VERSION = 1  # of a site.toml's keys
PROBE_KEYS = ("id", "floor", "position_m", "channels", "dwell_ms", "offset_db", "floor_dbm")


def fault(what: str, next_step: str) -> dict[str, object]:
    """Give the answer that says no."""
    return {"error": {"what": what[:200], "next_step": next_step}}


class Commands:
    """`do` gives the answer's fields, or None if it comes later. `app` does what is done to the probe as a whole."""

    def __init__(
        self, app: App, radio: Ear | StockEar, store: Store, uplink: Uplink, counts: Counts
    ) -> None:  # fmt: skip
        self._app = app
        self._radio = radio
        self._store = store
        self._uplink = uplink
        self._counts = counts
        self.config_refused: dict[str, object] | None = None
        self._verbs = {
            "describe": self._describe,
            "identify": self.show,
            "restart": self._restart,
            "set-config": self._set_config,
            "read-log": self._read_log,
            "measure": self._measure,
            "beacon": self._beacon,
            "update": self._update,
        }

    def do(self, verb: str, data: dict[str, object], utc_s: int) -> dict[str, object] | None:
        """Do one command; a refusal is an answer too."""
        expires = data.get("expires", utc_s)
        try:
            if verb not in self._verbs:
                return self._refuse("this probe does not know the command", "update its firmware")
            if not isinstance(expires, int) or expires < utc_s - LATE_S:
                return self._refuse("expired", "send it anew")
            return self._verbs[verb](data)
        except (ValueError, KeyError, TypeError, OSError, AttributeError) as error:
            return self._refuse(f"{verb}: {error}", "correct it and send it again")

    def config(self, data: dict[str, object]) -> None:
        """Take the retained configuration of this probe, its channels and dwell, whole or not at all."""
        digest, probe = data.get("config_hash"), data.get("probe")
        if not isinstance(digest, str) or not isinstance(probe, dict):
            raise ValueError("config")
        if digest == self._app.settings.get("config_hash"):
            return
        self.config_refused = None
        try:
            if data.get("version", CONFIG_VERSION) != CONFIG_VERSION:
                raise ValueError("version: newer than this firmware")
            for name in probe:
                if name not in PROBE_KEYS:
                    raise ValueError("a key this firmware does not know")
            changes = {"config_hash": digest, "channels": list(probe["channels"]), "dwell_ms": probe["dwell_ms"]}
            self._store.adopt(self._store.merged(changes))
            self._app.replan(changes)
        except (ValueError, KeyError, TypeError) as error:
            self._counts.drop("settings_refused")
            self._uplink.note(f"config refused: {error}")
            self.config_refused = {"config_hash": digest, "what": str(error)[:200]}
        self._app.tell()

    def _refuse(self, what: str, next_step: str) -> dict[str, object]:
        self._counts.drop("commands_refused")
        return fault(what, next_step)

    def _propose(self, changes: dict[str, object], why: str) -> None:
        self._store.propose(self._store.merged(changes))
        self._app.restart(why)

    def _describe(self, data: dict) -> dict[str, object]:
        rows = []
        for fingerprint in data["fingerprints"][:MOST_DESCRIBED]:
            description = self._radio.describe(int(fingerprint))
            if description is not None:
                rows.append({"fingerprint": fingerprint, "elements": elements(description)})
        return {"descriptions": rows}

    def show(self, data: dict[str, object]) -> dict[str, object]:
        """Let the LED show which one it is, or whether it passed."""
        show = data.get("show", "identify")
        if show not in ("identify", "pass", "fail"):
            raise ValueError("show")
        self._app.identify(_number(data, "seconds", 1, 600, 30), show)
        return {}

    def _restart(self, data: dict[str, object]) -> dict[str, object]:
        self._app.restart("command")
        return {}

    def _set_config(self, data: dict[str, object]) -> dict[str, object]:
        changes = data["settings"]
        if not isinstance(changes, dict):
            raise ValueError("settings: no object")
        try:
            self._propose(changes, "settings")
        except SettingsError:
            self._counts.drop("settings_refused")
            raise
        return {}

    def _read_log(self, data: dict[str, object]) -> dict[str, object]:
        return {"lines": self._uplink.log[-_number(data, "lines", 1, 200, 50) :]}

    def _update(self, data: dict[str, object]) -> dict[str, object]:
        update = self._app.update
        try:
            return update.step(data)
        except ValueError as error:
            return dict(self._refuse(f"update: {error}", "go on at the offset"), update={"offset": update.offset})

    def _measure(self, data: dict[str, object]) -> None:
        radio, beacon = data.get("radio", "wifi"), data["beacon"]
        if radio not in ("wifi", "ble") or not isinstance(beacon, str):
            raise ValueError("radio or beacon")
        seconds = _number(data, "seconds", 1, 300, 10)
        self._app.measure(str(data["id"]), beacon, _number(data, "channel", 1, 177, 1), radio, seconds)

    def _beacon(self, data: dict[str, object]) -> dict[str, object]:
        self._app.beacon(
            _number(data, "slot_ms", 0, 3_600_000, 0),
            _number(data, "period_ms", 200, 3_600_000, 60_000),
            _number(data, "count", 0, 1000, 1),
            _number(data, "channel", 1, 14, 1),
        )
        return {}


def elements(description: bytes) -> list[dict[str, object]]:
    """Cut a description into the contract's elements."""
    rows = []
    at = 0
    while at + 2 <= len(description):
        size = description[at + 1]
        body = description[at + 2 : at + 2 + size]
        rows.append({"id": description[at], "length": size, "stable": hexlify(body).decode()})
        at += 2 + size
    return rows


def _number(data: dict[str, object], name: str, least: int, most: int, default: int) -> int:
    value = data.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: not in {least}..{most}")
    return value
