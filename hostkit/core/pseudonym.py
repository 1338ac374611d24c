"""The site key and what it keys. It is made elsewhere, and never printed, logged or stored here."""

from dataclasses import dataclass, field

from hostkit.core._dot11 import siphash

KEY_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKey:
    """A 128-bit SipHash-2-4 key. ValueError for any other length; `repr` hides it."""

    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ValueError(f"a site key has {KEY_BYTES} bytes, not {len(self.raw)}")

    def pseudonym(self, data: bytes) -> int:
        """SipHash-2-4 (Aumasson and Bernstein 2012) of `data`, 64 bits: of an address, its device key."""
        return siphash(data, self.raw)
