"""The site keys: running and next, in RAM only. Refuses what is no key; forgets a key when its time is over. Pure."""

from binascii import unhexlify
from hashlib import sha256

MOST_REGISTERED = 256


class Key:
    """One site key and when it rules, Unix seconds."""

    def __init__(self, key_id: int, raw: bytes, from_s: int, until_s: int, registry: bytes) -> None:
        self.key_id = key_id
        self.raw = raw
        self.from_s = from_s
        self.until_s = until_s
        self.registry = registry  # device keys of registered tags under this key, 8 bytes each, ascending

    def seal_key(self) -> bytes:
        """Give the key for the flash spool: from it nobody gets the site key."""
        return sha256(b"footfall spool\0" + self.raw).digest()[:16]

    def message(self) -> dict[str, object]:
        """Give it as the hub gave it."""
        hexed = "".join([f"{byte:02x}" for byte in self.raw])
        return {"key_id": self.key_id, "key": hexed, "from": self.from_s, "until": self.until_s}


class Keys:
    """At most two, and one that ends."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._ruling = 0  # id of the one that `at` gave
        self.fresh = False  # taken since `at` was asked

    @property
    def any(self) -> bool:
        """Tell whether there is one, in force or not."""
        return bool(self._keys)

    def take(self, spans: object, utc_s: int) -> None:
        """Replace them by what `cmd/key` holds; ValueError, and nothing changed, for what is no list of 1 or 2 keys.

        One that ends where they begin stays until `utc_s`, this probe's own time, has passed its end.
        """
        if not isinstance(spans, list) or not 1 <= len(spans) <= 2:
            raise ValueError("keys: 1 or 2")
        keys = sorted([_read(span) for span in spans], key=lambda key: key.from_s)
        ending = [key for key in self._keys if utc_s < key.until_s <= keys[0].from_s]
        self._keys = ending[-1:] + keys
        self.fresh = True

    def at(self, utc_s: int) -> Key | None:
        """Give the key in force; forget those that are over. One that ruled rules to its end: our time may go back."""
        self.fresh = False
        if self._keys and self._keys[0].until_s <= utc_s:
            self._keys = [key for key in self._keys if key.until_s > utc_s]
        for key in self._keys:
            if key.from_s <= utc_s or key.key_id == self._ruling:
                self._ruling = key.key_id
                return key
        return None

    def of(self, key_id: int) -> Key | None:
        """Give the key of that id."""
        for key in self._keys:
            if key.key_id == key_id:
                return key
        return None

    def running(self) -> Key | None:
        """Give the first of them, in force or about to be."""
        return self._keys[0] if self._keys else None

    def messages(self) -> list[dict[str, object]]:
        """Give them for a hub that lost its own."""
        return [key.message() for key in self._keys[-2:]]

    def forget(self) -> None:
        """Wipe."""
        self._keys = []


def _read(span: object) -> Key:
    if not isinstance(span, dict):
        raise ValueError("keys: an object each")
    key_id, key = _int(span.get("key_id"), 1, 0xFFFFFFFF), span.get("key")
    from_s, until_s = _int(span.get("from"), 0, 4_102_444_800), _int(span.get("until"), 0, 4_102_444_800)
    if not isinstance(key, str) or len(key) != 32 or from_s >= until_s:
        raise ValueError("keys: key")
    rows = span.get("registered", [])
    if not isinstance(rows, list) or len(rows) > MOST_REGISTERED:
        raise ValueError("keys: registered")
    registry = b"".join([int(row, 16).to_bytes(8, "little") for row in sorted(rows)])
    return Key(key_id, unhexlify(key), from_s, until_s, registry)


def _int(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("keys: key_id, from, until")
    return value
