"""One file for the ladder: codes for a site's probes, whom to trust, where the broker is, site.toml. Signed, expiring.

Made at the hub, read on a laptop that knows nothing else. What the bytes are: hostkit/contract/site-bundle.md. Whoever
has the file can take the place of its probes until they have enrolled or it is over: it is written for its owner alone.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from msgspec import Meta

from hostkit.config import dump_site, parse_site
from hostkit.errors import ConfigError, InputError, UsageError
from hostkit.identity.access import Role
from hostkit.identity.authority import signed_by
from hostkit.identity.enrolment import Enrolment
from hostkit.identity.invitation import Invitation, grouped, parse_invitation, pin_of
from hostkit.identity.realms import SiteRealm
from hostkit.identity.register import Register
from hostkit.model import ID_PATTERN, Site

FORMAT, VERSION = "footfall-site-bundle", 1
PURPOSE = f"{FORMAT}-{VERSION}"  # signed along, so that no other signature of the authority is one of these
SUFFIX = ".footfall"
MAX_BYTES = 4_000_000  # a thousand probes take a tenth
PIN_CHARS = 16  # 80 bits: as hard to hit as a code
SKEW_S = 86_400.0  # a laptop's clock may be a day behind the hub's, as a certificate's may

_Name = Annotated[str, Meta(pattern=f"^{ID_PATTERN}$")]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The file: `body` is JSON as text, signed as it is by the authority whose certificate is in it."""

    format: str
    version: int
    body: Annotated[str, Meta(max_length=MAX_BYTES)]
    signature: Annotated[str, Meta(max_length=200)]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What was signed. `hosts` are the broker's names, the codes' own first; times are Unix seconds."""

    tenant: _Name
    site: _Name
    made_s: int
    until_s: int
    hosts: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    port: Annotated[int, Meta(ge=1, le=65_535)]
    enrol_port: Annotated[int, Meta(ge=1, le=65_535)]
    authority: Annotated[str, Meta(max_length=8192)]
    site_toml: Annotated[str, Meta(max_length=1_000_000)]
    codes: Annotated[dict[_Name, Annotated[str, Meta(max_length=400)]], Meta(max_length=1000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteBundle:
    """A bundle that is whole, in time and signed by `authority` (PEM), whose `pin` a person may compare."""

    site: Site
    site_toml: str
    made_s: int
    until_s: int
    hosts: tuple[str, ...]
    port: int
    enrol_port: int
    authority: str
    pin: str
    codes: Mapping[str, Invitation]

    @property
    def short_pin(self) -> str:
        """As much of the pin as a person compares."""
        return grouped(self.pin[:PIN_CHARS])

    def invitation(self, probe: str) -> Invitation:
        """Give the code of one probe; UsageError where there is none."""
        if probe not in self.codes:
            held = ", ".join(sorted(self.codes)) or "none"
            step = f"name one of its probes ({held}), or make a new bundle at the hub: footfall site bundle {probe}"
            raise UsageError("has no code in this bundle", where=probe[:80], next_step=step)
        return self.codes[probe]


def make_bundle(
    site: Site, data: Path, probes: Iterable[str], now_s: float, *, valid_s: float, host: str = ""
) -> tuple[bytes, SiteBundle]:
    """Make a code for each probe, void those they had, and give the file; see `Enrolment.invite` for what is refused.

    `data` is the hub's folder. UsageError without probes.
    """
    wanted = tuple(dict.fromkeys(probes))
    if not wanted:
        raise UsageError("has no probe", where=f"{site.tenant}/{site.site}", next_step="add probes to site.toml first")
    realm = SiteRealm(site)
    for probe in wanted:
        realm.member(probe, Role.PROBE)  # a name that is none is found before any code is made
    enrolment = Enrolment(realm, data)
    codes = {probe: enrolment.invite(probe, Role.PROBE, now_s, valid_s=valid_s, host=host) for probe in wanted}
    books = Register(realm, data).read()
    first = next(iter(codes.values()))
    body = msgspec.json.encode(
        Body(
            tenant=site.tenant, site=site.site, made_s=int(now_s), until_s=int(now_s + valid_s),
            hosts=(first.host, *(one for one in books.served.hosts if one != first.host)), port=books.served.port,
            enrol_port=books.served.enrol_port, authority=books.authority.certificate.decode(),
            site_toml=dump_site(site), codes={probe: str(code) for probe, code in codes.items()},
        )
    )  # fmt: skip
    signature = base64.b64encode(books.authority.sign(PURPOSE, body)).decode()
    envelope = Envelope(format=FORMAT, version=VERSION, body=body.decode(), signature=signature)
    made = msgspec.json.format(msgspec.json.encode(envelope)) + b"\n"
    return made, parse_bundle(made, "bundle", now_s)


def read_bundle(path: Path, now_s: float, *, pin: str = "", site: Site | None = None) -> SiteBundle:
    """Read one. InputError for a file that was changed, is over, not yet good or none at all.

    `pin`: what the hub said when it was made, `PIN_CHARS` letters or more; without it the file vouches for itself.
    `site`: the one it must be of. UsageError where it is another's.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(path), next_step="give the file `footfall site bundle` made"
        ) from error
    bundle = parse_bundle(data, str(path), now_s)
    asked = pin.replace("-", "").replace(" ", "").upper()
    if asked and (len(asked) < PIN_CHARS or not bundle.pin.startswith(asked)):
        raise InputError(
            f"is of the authority {bundle.short_pin}, not of {pin[:40]!a}", where=str(path),
            next_step="trust it not: fetch it from the hub again",
        )  # fmt: skip
    if site is not None and (site.tenant, site.site) != (bundle.site.tenant, bundle.site.site):
        raise UsageError(
            f"is of {bundle.site.tenant}/{bundle.site.site}, not of {site.tenant}/{site.site}", where=str(path),
            next_step="take this shop's bundle, or its own site.toml",
        )  # fmt: skip
    return bundle


def parse_bundle(data: bytes, where: str, now_s: float) -> SiteBundle:
    """Turn the bytes of a file into a bundle; see `read_bundle`."""
    if len(data) > MAX_BYTES:
        raise InputError(f"is over {MAX_BYTES} bytes", where=where, next_step="give a bundle")
    body = _signed(data, where)
    if now_s >= body.until_s:
        raise InputError(
            f"is over since {_day(body.until_s)}", where=where,
            next_step="make a new one at the hub: footfall site bundle; or set this machine's clock",
        )  # fmt: skip
    if now_s < body.made_s - SKEW_S:
        raise InputError(
            f"was made on {_day(body.made_s)}, after this machine's {_day(now_s)}", where=where,
            next_step="set this machine's clock",
        )  # fmt: skip
    try:
        site = parse_site(body.site_toml, f"{where}: site.toml")
        codes = {probe: parse_invitation(code) for probe, code in body.codes.items()}
    except (ConfigError, UsageError) as error:
        raise InputError(error.what, where=error.where, next_step="make a new one at the hub") from error
    pin = pin_of(x509.load_pem_x509_certificate(body.authority.encode()).public_bytes(serialization.Encoding.DER))
    if (site.tenant, site.site) != (body.tenant, body.site) or any(code.pin != pin for code in codes.values()):
        raise _changed(where)
    return SiteBundle(
        site=site, site_toml=body.site_toml, made_s=body.made_s, until_s=body.until_s, hosts=body.hosts,
        port=body.port, enrol_port=body.enrol_port, authority=body.authority, pin=pin, codes=MappingProxyType(codes),
    )  # fmt: skip


def _signed(data: bytes, where: str) -> Body:
    """Give the body if the authority in it signed these very bytes."""
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            "is no site bundle, or cut short", where=where, next_step="copy the file `footfall site bundle` made again"
        ) from error
    if envelope.format != FORMAT or envelope.version != VERSION:
        raise InputError(
            f"is {envelope.format[:40]!a} version {envelope.version}, not {FORMAT} version {VERSION}", where=where,
            next_step="update Footfall here, or make it with the same version at the hub",
        )  # fmt: skip
    try:
        content = envelope.body.encode()
        body = msgspec.json.decode(content, type=Body)
        signature = base64.b64decode(envelope.signature, validate=True)
    except (msgspec.DecodeError, UnicodeError, binascii.Error) as error:
        raise _changed(where) from error
    if not signed_by(body.authority.encode(), PURPOSE, content, signature):
        raise _changed(where)
    return body


def _changed(where: str) -> InputError:
    return InputError(
        "is not what the hub signed: it was changed or damaged", where=where,
        next_step="do not use it; fetch it from the hub again",
    )  # fmt: skip


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
