"""What is said when somebody enrols or renews, as JSON over HTTPS; told to others in `contract/enrolment.md`."""

from typing import Annotated

import msgspec
from msgspec import Meta

AUTHORITY, ENROL, RENEW = "/v1/authority", "/v1/enrol", "/v1/renew"
MAX_BODY_BYTES = 8192

Text = Annotated[str, Meta(max_length=4096)]


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code, and a certificate request; without `csr` the key is made here and given along, for chips that cannot."""

    code: Annotated[str, Meta(max_length=64)]
    csr: Text | None = None


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A credential and where it counts. PEM; `key` only where it was made here. `until_s` is Unix time."""

    identity: str
    role: str
    certificate: str
    authority: str
    port: int
    until_s: int
    key: str | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why not, and what to do."""

    what: str
    next_step: str
