"""What a hub may tell a probe to do. Refuses the rest with a reason; a bad command changes nothing."""

from binascii import hexlify

from .settings import SettingsError

MOST_DESCRIBED = 8  # answers of one message; the hub asks again for the others


def fault(what: str, next_step: str) -> dict[str, object]:
    """Give the answer that says no."""
    return {"error": {"what": what[:200], "next_step": next_step}}


class Commands:
    """`do` gives the answer's fields, or None if there is none. `app` does what is done to the probe as a whole."""

    def __init__(self, app, radio, store, uplink, counts, update) -> None:
        self._app = app
        self._radio = radio
        self._store = store
        self._uplink = uplink
        self._counts = counts
        self._update = update
        self._verbs = {
            "describe": self._describe,
            "identify": self._identify,
            "restart": self._restart,
            "set-config": self._set_config,
            "read-log": self._read_log,
            "measure": self._measure,
            "beacon": self._beacon,
            "update": self._update_step,
        }

    def do(self, verb: str, data: dict[str, object]) -> dict[str, object] | None:
        """Do one command."""
        if verb not in self._verbs:
            self._counts.drop("messages_refused")
            return fault("this probe does not know the command", "update its firmware")
        try:
            return self._verbs[verb](data)
        except (ValueError, KeyError, TypeError, OSError) as error:
            self._counts.drop("messages_refused")
            return fault(f"{verb}: {error}", "correct it and send it again")

    def config(self, data: dict[str, object]) -> None:
        """Take the retained configuration of this probe: its channels and dwell."""
        digest, probe = data.get("config_hash"), data.get("probe")
        if not isinstance(digest, str) or not isinstance(probe, dict):
            raise ValueError("config")
        if digest == self._app.settings.get("config_hash"):
            return
        changes = {"config_hash": digest}
        for name in ("channels", "dwell_ms"):
            if name in probe:
                changes[name] = probe[name]
        self._propose(changes)

    def _propose(self, changes: dict[str, object]) -> None:
        try:
            self._store.propose(self._store.merged(changes))
        except SettingsError as error:
            self._counts.drop("settings_refused")
            self._uplink.note(f"settings refused: {error}")
            raise
        self._app.restart("settings")

    def _describe(self, data: dict[str, object]) -> dict[str, object]:
        rows = []
        for fingerprint in data["fingerprints"][:MOST_DESCRIBED]:
            description = self._radio.describe(int(fingerprint))
            if description is not None:
                rows.append({"fingerprint": fingerprint, "elements": elements(description)})
        return {"descriptions": rows}

    def _identify(self, data: dict[str, object]) -> dict[str, object]:
        self._app.identify(_number(data, "seconds", 1, 600, 30))
        return {}

    def _restart(self, data: dict[str, object]) -> dict[str, object]:
        self._app.restart("command")
        return {}

    def _set_config(self, data: dict[str, object]) -> dict[str, object]:
        changes = data["settings"]
        if not isinstance(changes, dict):
            raise ValueError("settings: no object")
        self._propose(changes)
        return {}

    def _read_log(self, data: dict[str, object]) -> dict[str, object]:
        return {"log": list(self._uplink.log)}

    def _measure(self, data: dict[str, object]) -> dict[str, object] | None:
        self._app.measure(
            str(data["id"]), int(str(data["device_key"]), 16), _number(data, "channel", 0, 177, 0),
            _number(data, "seconds", 1, 120, 10),
        )  # fmt: skip
        return None  # the answer comes when it is done

    def _beacon(self, data: dict[str, object]) -> dict[str, object]:
        self._app.beacon(
            _number(data, "slot_ms", 0, 3_600_000, 0), _number(data, "period_ms", 100, 3_600_000, 60_000),
            _number(data, "count", 0, 1000, 0), _number(data, "channel", 1, 14, 1),
        )  # fmt: skip
        return {}

    def _update_step(self, data: dict[str, object]) -> dict[str, object]:
        return self._update.step(data)


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
