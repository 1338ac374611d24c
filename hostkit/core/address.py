"""EUI-48 addresses as text and bytes. For lists a person writes; never for what the air delivers."""

import re

from hostkit.errors import InputError

ADDRESS_BYTES = 6
_LOCALLY_ADMINISTERED = 0x02  # U/L bit of the first octet (IEEE 802-2014, 8.2.2)
_GROUP = 0x01  # I/G bit of the first octet
_TEXT = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4})", re.IGNORECASE | re.ASCII)


def parse_address(text: str, *, where: str) -> bytes:
    """Give the 6 bytes of `aa:bb:cc:dd:ee:ff` (or with `-`); InputError naming `where` for anything else."""
    stripped = text.strip()
    if not _TEXT.fullmatch(stripped):
        raise InputError(f"{stripped[:40]!a} is not an address", where=where, next_step="write it as aa:bb:cc:dd:ee:ff")
    return bytes.fromhex(stripped.replace("-", "").replace(":", ""))


def format_address(address: bytes) -> str:
    """Give `aa:bb:cc:dd:ee:ff` of 6 bytes."""
    if len(address) != ADDRESS_BYTES:
        raise ValueError(f"an address has {ADDRESS_BYTES} bytes, not {len(address)}")
    return address.hex(":")


def is_group(address: bytes) -> bool:
    """Tell whether it addresses many, so is nobody's own."""
    return bool(address[0] & _GROUP)


def is_randomised(address: bytes) -> bool:
    """Tell whether the address is locally administered, so not made by a manufacturer."""
    return bool(address[0] & _LOCALLY_ADMINISTERED)
