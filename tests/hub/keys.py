"""Site keys as the hub holds them, made for tests."""

from collections.abc import Iterable

from hostkit.contract.messages import KeySpan
from hostkit.core.pseudonym import KEY_BYTES
from hostkit.hub.keys import HeldKey
from hostkit.io.memory import Secret


def held_key(key_id: int, byte: int = 0, from_s: int = 0, until_s: int = 2_000_000_000) -> HeldKey:
    """Make a key of sixteen equal bytes."""

    def fill(into: memoryview) -> None:
        into[:] = bytes([byte]) * KEY_BYTES

    return HeldKey(key_id=key_id, from_s=from_s, until_s=until_s, secret=Secret(KEY_BYTES, fill))


def as_given(keys: Iterable[HeldKey]) -> tuple[KeySpan, ...]:
    """Give keys as a probe has them, in strings of their own: the hub scrubs those it is sent."""
    return tuple(
        KeySpan(key_id=key.key_id, key=bytes(key.secret.raw).hex(), from_s=key.from_s, until_s=key.until_s)
        for key in keys
    )


def values(keys: Iterable[HeldKey]) -> list[tuple[int, bytes, int, int]]:
    """Give what two holders of the same keys have in common."""
    return [(key.key_id, bytes(key.secret.raw), key.from_s, key.until_s) for key in keys]
