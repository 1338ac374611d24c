"""What the fingerprints of records are made of, asked from the probes that heard them, and the classes that follow.

A description holds element ids, lengths and masked bytes, never a vendor's body or an SSID. From descriptions of
consecutive records of one device the hub learns which parts change, and leaves them out: a record's fingerprint becomes
that of its class before anything else sees it. The mask stays the same through a life of the key, so that one device
keeps its class; what is kept on disk are counts of changes by element (core/volatile.py), no fingerprint and no device.
"""

from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from hostkit.contract.commands import Describe, Description, Response
from hostkit.core.describe import MAX_DESCRIPTION_BYTES, read_description
from hostkit.core.volatile import VolatileFields
from hostkit.core.wire import SIGHTING, Flag
from hostkit.errors import InputError
from hostkit.hub.chain import Heard
from hostkit.io.outbox import Outbox

MOST = 64  # fingerprints of one command
MAX_KNOWN = 8192  # some 200 bytes each
MAX_WAITING = 1024  # fingerprints a probe may make us curious about
ASK_S = 10.0  # between commands to one probe; an answer that has not come by then will not
AGAIN_S = 3600.0  # what a probe could not describe is not asked of it before
EXPIRES_S = 60
KEEP_S = 3600.0
LEARN_S = 5.0  # of each probe a batch so often: changes are counted, not followed, and 64 probes send 900 a second
_WORD = "volatile"
_SEEN = np.dtype([("device_key", "u8"), ("fingerprint", "u4"), ("flags", "u1"), ("status", "u1")])


@dataclass(slots=True)
class _Asked:
    """What one probe is to describe."""

    waiting: dict[int, None] = field(default_factory=dict)  # in order of coming
    refused: dict[int, float] = field(default_factory=dict)  # what it could not, and when it said so
    id: str = ""
    since_s: float = float("-inf")
    learnt_s: float = float("-inf")


class Descriptions:
    """Knows fingerprints, asks for the others. Times are monotonic seconds."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._probes: dict[str, _Asked] = {}
        self._known: dict[int, bytes] = {}
        self._classes: dict[int, int] = {}
        self._fields, mask = _stored(outbox.word(_WORD))
        self._mask_fields = mask
        self._mask = mask.mask()
        self._kept_s = 0.0
        self.bad = 0

    @property
    def known(self) -> int:
        """Count the fingerprints that are described."""
        return len(self._known)

    @property
    def unknown(self) -> int:
        """Count those that somebody is still asked for."""
        return len({one for asked in self._probes.values() for one in asked.waiting})

    def classed(self, probe: str, rows: NDArray[np.void], now_s: float) -> NDArray[np.void]:
        """Give SIGHTING rows (N,) with the class in the place of the fingerprint, and learn from them.

        They carry tags, in order of time, and are of our own element table.
        """
        wifi = rows[(rows["flags"] & Flag.BLE) == 0]
        self._wonder(probe, np.unique(wifi["fingerprint"]).tolist(), now_s)
        if now_s >= self._probes[probe].learnt_s + LEARN_S:
            self._probes[probe].learnt_s = now_s
            self._learn(wifi)
        if not self._mask.rules:
            return rows
        found, back = np.unique(rows["fingerprint"], return_inverse=True)
        rows = rows.copy()
        rows["fingerprint"] = np.array([self._class(one) for one in found.tolist()], np.uint32)[back]
        return rows

    def of_batch(self, probe: str, heard: Heard, now_s: float) -> Heard:
        """Put classes in the place of the fingerprints of what a probe heard, as far as they are known."""
        rows = np.frombuffer(heard.rows, SIGHTING)
        classed = self.classed(probe, rows, now_s)
        return heard if classed is rows else msgspec.structs.replace(heard, rows=classed.tobytes())

    def due(self, probe: str, now_s: float, wall_s: float, id_: str) -> Describe | None:
        """Give what to ask a probe now; `id_` is the command's."""
        asked = self._probes.get(probe)
        if asked is None or not asked.waiting or now_s < asked.since_s + ASK_S:
            return None
        asked.id, asked.since_s = id_, now_s
        return Describe(id=id_, expires=int(wall_s) + EXPIRES_S, fingerprints=tuple(asked.waiting)[:MOST])

    def answered(self, probe: str, response: Response, now_s: float) -> bool:
        """Take an answer; False if it is to no question of ours."""
        asked = self._probes.get(probe)
        if asked is None or response.id != asked.id:
            return False
        asked.id, asked.since_s = "", now_s - ASK_S
        for one in response.descriptions:
            self._take(one)
        for fingerprint in tuple(asked.waiting)[:MOST]:
            del asked.waiting[fingerprint]
            if fingerprint not in self._known and len(asked.refused) < MAX_WAITING:
                asked.refused[fingerprint] = now_s
        return True

    def new_life(self) -> None:
        """A new key: tags mean other devices, and what was learnt so far is left out from now on."""
        fields = VolatileFields()
        fields.fields = self._fields.fields
        for data in self._known.values():
            fields.classify(data)
        self._fields = fields
        self._mask_fields = self._fields.merged(VolatileFields())
        self._mask = self._mask_fields.mask()
        self._classes.clear()
        self._keep()

    def keep(self, now_s: float) -> None:
        """Write what was learnt, now and then."""
        if now_s >= self._kept_s + KEEP_S and self._fields.fields:
            self._kept_s = now_s
            self._keep()

    def _keep(self) -> None:
        both = {"now": self._fields.to_json(), "mask": self._mask_fields.to_json()}
        self._outbox.set_word(_WORD, msgspec.json.encode(both).decode())

    def _learn(self, rows: NDArray[np.void]) -> None:
        seen = np.zeros(len(rows), _SEEN)
        for name in ("device_key", "fingerprint", "flags"):
            seen[name] = rows[name]
        self._fields.learn(seen)

    def _wonder(self, probe: str, fingerprints: list[int], now_s: float) -> None:
        asked = self._probes.setdefault(probe, _Asked())
        for one in fingerprints:
            if one in self._known or now_s < asked.refused.get(one, float("-inf")) + AGAIN_S:
                continue
            if len(asked.waiting) < MAX_WAITING:
                asked.waiting.setdefault(one)

    def _take(self, described: Description) -> None:
        try:
            data = _bytes(described)
            if read_description(data).fingerprint != described.fingerprint:
                raise InputError("is another's", where="description", next_step="update the probe")
        except (InputError, ValueError):
            self.bad += 1
            return
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[described.fingerprint] = data
        self._fields.classify(data)
        self._classes.pop(described.fingerprint, None)

    def _class(self, fingerprint: int) -> int:
        if fingerprint not in self._classes:
            data = self._known.get(fingerprint)
            if data is None:
                return fingerprint
            self._classes[fingerprint] = self._mask.classify(data)
        return self._classes[fingerprint]


def _bytes(described: Description) -> bytes:
    """Give the elements as a probe hashed them. ValueError where a length is not what follows."""
    data = b""
    for element in described.elements:
        body = bytes.fromhex(element.stable)
        if len(body) != element.length:
            raise ValueError("a length is not that of its bytes")
        data += bytes((element.id, element.length)) + body
        if len(data) > MAX_DESCRIPTION_BYTES:
            raise ValueError("too long")
    return data


def _stored(word: str | None) -> tuple[VolatileFields, VolatileFields]:
    """Read the counts so far and those the mask is made of; damage and another element table make empty ones."""
    try:
        both = msgspec.json.decode(word or "{}")
        return VolatileFields.from_json(both["now"]), VolatileFields.from_json(both["mask"])
    except (msgspec.DecodeError, KeyError, TypeError, InputError):
        return VolatileFields(), VolatileFields()
