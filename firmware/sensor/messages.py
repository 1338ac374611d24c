"""JSON messages as the contract has them: CloudEvents out and in. Refuses what is not of this site's hub. Pure."""

import json

from .timesync import format_time, parse_time

MOST_BYTES = 2048
HUB = "hub"


class MessageError(ValueError):
    """What came is no message for this probe."""


class Voice:
    """Wraps what the probe says; (source, boot, seq) names a message."""

    def __init__(self, tenant: str, site: str, probe: str, boot: int) -> None:
        self.probe = probe
        self.site = f"/{tenant}/{site}/"
        self.source = self.site + probe
        self.boot = str(boot)
        self._seq = 0

    def compose(self, kind: str, data: dict[str, object], utc_us: int) -> bytes:
        """Give the message; `utc_us` 0: the probe has no time."""
        self._seq = (self._seq + 1) & 0x7FFFFFFF
        message = {
            "id": f"{self.boot}-{self._seq}",
            "source": self.source,
            "type": "footfall.v1." + kind,
            "time": format_time(utc_us),
            "boot": self.boot,
            "seq": self._seq,
            "provenance": "live",
            "specversion": "1.0",
            "datacontenttype": "application/json",
            "data": data,
        }
        return json.dumps(message).encode()

    def read(self, payload, kind: str) -> tuple[dict[str, object], int]:
        """Give data and time of a message to this probe, JSON or read already; MessageError."""
        message = payload if isinstance(payload, dict) else _parsed(payload)
        if not isinstance(message, dict) or message.get("type") != "footfall.v1." + kind:
            raise MessageError("of another type")
        source, data = message.get("source"), message.get("data")
        if source != self.site + HUB and not (isinstance(source, str) and source.endswith("/collector")):
            raise MessageError("of a stranger")
        if not isinstance(data, dict):
            raise MessageError("without data")
        try:
            return data, parse_time(message.get("time", ""))
        except ValueError:
            raise MessageError("without time")


def _parsed(payload) -> object:
    if len(payload) > MOST_BYTES:
        raise MessageError("too long")
    try:
        return json.loads(bytes(payload))
    except ValueError:
        raise MessageError("no JSON")
