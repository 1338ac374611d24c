"""JSON from an HTTP API of this machine. Bounded in time and size; follows no proxy and no redirect."""

import http.client
import json
from urllib.parse import urlsplit

from hostkit.errors import PeerError

_TIMEOUT_S = 5.0
_MAX_BYTES = 20_000_000


def fetch_json(url: str) -> object:
    """GET `url` and decode it; raises PeerError for anything but status 200 and JSON."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        body = answer.read(_MAX_BYTES + 1)
        if answer.status != http.client.OK or len(body) > _MAX_BYTES:
            raise _refusal(url, f"answered {answer.status} with {len(body)} bytes")
        decoded: object = json.loads(body)
        return decoded
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _refusal(url, str(error)[:200] or type(error).__name__) from error
    finally:
        connection.close()


def _refusal(url: str, what: str) -> PeerError:
    return PeerError(what, where=url, next_step="look at the collector's log")
