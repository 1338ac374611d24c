"""What the site key derives at the hub: tags instead of device keys, sealed journal entries, ids of visits.

Whoever has the disk but not the key, which is in RAM only and gone after its day, has random bytes. What is derived
lives as long as the key's journal is needed and is overwritten by `close`.
"""

import hashlib
import secrets

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from hostkit.core.pseudonym import KEY_BYTES, SiteKey
from hostkit.errors import StorageError
from hostkit.hub.chain import Entry
from hostkit.io.memory import scrub

_NONCE_BYTES = 12  # random; NIST SP 800-38D allows 2**32 entries under one key, a day has some thousands
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])


class Seal:
    """Everything derived from one site key for one `life` of it."""

    def __init__(self, key: bytes | memoryview, life: str) -> None:
        self._journal_key = _derived(key, b"footfall-journal", 32)
        self._cipher = AESGCM(self._journal_key)
        self._tag_key = SiteKey(raw=_derived(key, b"footfall-tag", KEY_BYTES))
        self._id_key = SiteKey(raw=_derived(key, b"footfall-visit", KEY_BYTES))
        self._life = life.encode()

    def close(self) -> None:
        """Overwrite the derived keys: nothing of this life can be made or read any more."""
        for derived in (self._journal_key, self._tag_key.raw, self._id_key.raw):
            scrub(derived)

    def tags(self, device_keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Give for each device key (N,) what stands for it at the hub: SipHash-2-4 of it under a derived key."""
        distinct, back = np.unique(device_keys, return_inverse=True)
        tags = [self._tag_key.pseudonym(key.to_bytes(8, "little")) for key in distinct.tolist()]
        return np.array(tags, np.uint64)[back]

    def visit_id(self, number: int) -> str:
        """Give the id of the life's visit `number`: random to all others, the same after a restart."""
        return f"v{self._id_key.pseudonym(self._life + b'/' + str(number).encode()):016x}"

    def seal(self, entries: list[Entry]) -> bytes:
        """Encrypt and authenticate journal entries (AES-256-GCM)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, _encoder.encode(entries), self._life)

    def open(self, sealed: bytes) -> list[Entry]:
        """Give the entries of `seal`; StorageError if they are another key's or damaged."""
        try:
            clear = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._life)
            return _decoder.decode(clear)
        except (InvalidTag, msgspec.DecodeError, ValueError) as error:
            raise StorageError(
                "cannot be opened with the recovered key", where="journal", next_step="open visits end as restart"
            ) from error


def _derived(key: bytes | memoryview, purpose: bytes, size: int) -> bytes:
    return hashlib.blake2b(key=key, person=purpose, digest_size=size).digest()
