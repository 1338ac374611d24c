"""What is given to a person or printed as a QR code: where to enrol, whom to trust there, and a code good for once.

`footfall-enrol://hub.local:8885/AUTHORITY/CODE`. AUTHORITY is the start of the SHA-256 of the authority's certificate,
so that the first word said to the hub is verified. Letters are base32 (RFC 4648), dashes and case do not matter.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hostkit.errors import UsageError

SCHEME = "footfall-enrol"
PIN_BYTES = 20  # 160 bits: nobody finds a second certificate that begins so
NAME_CHARS = 4  # of the code: which one it is, so that wrong tries are counted against it
SECRET_CHARS = 16  # 80 bits
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CODE = re.compile(rf"[{_ALPHABET}]{{{NAME_CHARS + SECRET_CHARS}}}")
_PIN = re.compile(rf"[{_ALPHABET}]{{{PIN_BYTES * 8 // 5}}}")
_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """`pin` is what `pin_of` gives of the authority's certificate; `code` is secret until used."""

    host: str
    port: int
    pin: str
    code: str = field(repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEME}://{host}:{self.port}/{self.pin}/{grouped(self.code)}"


def new_code() -> str:
    """Draw one: its name and its secret."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(NAME_CHARS + SECRET_CHARS))


def grouped(code: str) -> str:
    """Write it in fours, as a person reads it out."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def parse_code(text: str) -> str | None:
    """Read a code however it was written; None for what is none."""
    code = re.sub(r"[-\s]", "", text[:_LONGEST]).upper()
    return code if _CODE.fullmatch(code) else None


def pin_of(certificate_der: bytes) -> str:
    """Give what an invitation says of the authority with this certificate."""
    return base64.b32encode(hashlib.sha256(certificate_der).digest()[:PIN_BYTES]).decode()


def parse_invitation(text: str) -> Invitation:
    """Read one; UsageError for anything else. The message does not repeat it: it is a secret."""
    try:
        parts = urlsplit(text.strip()[:_LONGEST])
        host, port = parts.hostname, parts.port
        pin, _, code_text = parts.path.strip("/").partition("/")
    except ValueError:
        host, port, pin, code_text, parts = None, None, "", "", urlsplit("")
    code = parse_code(code_text)
    if parts.scheme != SCHEME or not host or not port or not _PIN.fullmatch(pin.upper()) or code is None:
        raise UsageError(
            "is no invitation, or a part of one is missing",
            where="invitation",
            next_step=f"copy the whole line that begins with {SCHEME}:// from `footfall hub enrol`",
        )
    return Invitation(host=host, port=port, pin=pin.upper(), code=code)
