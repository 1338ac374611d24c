"""Enrolment at the authority: codes made, exchanged for a credential once, credentials renewed. No network.

A code that is used takes back what its identity held before: a node has one credential. Times are Unix seconds.
"""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from hostkit.errors import PeerError, UsageError
from hostkit.identity import authority, codes
from hostkit.identity.access import Role
from hostkit.identity.authority import Issued
from hostkit.identity.codes import Code, Verdict
from hostkit.identity.invitation import NAME_CHARS, Invitation, new_code, pin_of
from hostkit.identity.messages import Granted
from hostkit.identity.realms import Realm
from hostkit.identity.register import Books, Register

VALID_S = 86_400.0
MIN_VALID_S, MAX_VALID_S = 60.0, 30 * 86_400.0
MAX_OPEN = 1000  # codes at a time
GRACE_S = 60.0  # in which a lost answer may be fetched again
MAX_AGAIN = 5  # times the same key may fetch its answer
AGAIN_PART = 100  # of its life must have passed before an identity gets another certificate by renewal


class RefusedError(PeerError):
    """Somebody is refused; `verdict` is the reason in a word, `where` whom it is about as far as that is known."""

    def __init__(self, verdict: str, what: str, *, where: str = "code", next_step: str) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.verdict = verdict


class Enrolment:
    """Codes of `realm` in `data`. Raises ConfigError where `init` was not run."""

    def __init__(self, realm: Realm, data: Path) -> None:
        self._realm = realm
        self._register = Register(realm, data)

    def invite(self, node: str, role: Role, now_s: float, *, valid_s: float = VALID_S, host: str = "") -> Invitation:
        """Make a code for `node`; an unused one it had is void. UsageError for a role that is not its own."""
        identity = self._realm.member(node, role)
        if not MIN_VALID_S <= valid_s <= MAX_VALID_S:
            raise UsageError("is too short or too long", where="validity", next_step="give a minute to thirty days")
        with self._register.changing(now_s) as books:
            if host and host not in books.served.hosts:
                raise UsageError(
                    f"the broker's certificate is not for {host[:80]!a}",
                    where="--host",
                    next_step=f"use one of {', '.join(books.served.hosts)}",
                )
            kept = [one for one in books.codes if one.identity != identity or not one.open(now_s)]
            if sum(one.open(now_s) for one in kept) >= MAX_OPEN:
                raise UsageError(f"{MAX_OPEN} codes are open", where="enrol", next_step="wait until some are over")
            code = new_code()
            while any(one.name == code[:NAME_CHARS] for one in kept):
                code = new_code()
            books.codes = [*kept, codes.keep(code, identity=identity, role=role, now_s=now_s, valid_s=valid_s)]
        served = books.served
        certificate = x509.load_pem_x509_certificate(books.authority.certificate)
        pin = pin_of(certificate.public_bytes(serialization.Encoding.DER))
        return Invitation(host=host or served.hosts[0], port=served.enrol_port, pin=pin, code=code)

    def codes(self) -> tuple[Code, ...]:
        """Every code not yet forgotten, the oldest first."""
        return tuple(self._register.read().codes)

    def redeem(self, text: str, csr: bytes | None, now_s: float) -> Granted:
        """Exchange a code for a credential. Raises RefusedError; InputError for a request that is none."""
        made = None if csr else authority.make_request()
        key = authority.requested_key(csr or (made[1] if made else b""))
        digest = authority.key_digest(key)
        refusal: RefusedError | None = None
        with self._register.changing(now_s) as books:
            code, verdict = codes.judge(books.codes, text, digest, now_s)
            if verdict is None and sum(one.public == digest for one in books.authority.issued) >= MAX_AGAIN:
                verdict = Verdict.USED
            if code is None or verdict is not None:
                refusal = _refusal(code, verdict or Verdict.UNKNOWN)
                if code is not None and verdict is Verdict.UNKNOWN:
                    books.codes = codes.wrong_try(books.codes, code.name)
            else:
                books.codes = codes.used(books.codes, code.name, digest, now_s)
                certificate = books.authority.certify(code.identity, code.role, key, now_s, life_s=books.served.life_s)
                books.authority.revoke(code.identity, now_s, but=digest)
        if refusal is not None:
            raise refusal
        return _granted(books, certificate, made[0] if made else None)

    def renew(self, certificate: x509.Certificate, now_s: float) -> Granted:
        """Certify the same key for longer. Raises RefusedError for one that was revoked, is over or not yet due."""
        serial = f"{certificate.serial_number:x}"
        refusal: RefusedError | None = None
        with self._register.changing(now_s) as books:
            issued = books.authority.issued
            held = next((one for one in issued if one.serial == serial), None)
            newest = max((one.since_s for one in issued if held and one.identity == held.identity), default=0)
            if held is None or held.revoked_s is not None or held.until_s <= now_s:
                refusal = RefusedError(
                    "revoked",
                    "this certificate is not in force",
                    where=held.identity if held else "certificate",
                    next_step="ask for a new code: footfall hub enrol NODE",
                )
            elif not held.due(now_s) or now_s < newest + books.served.life_s / AGAIN_PART:
                refusal = RefusedError(
                    "early", "this certificate is not due yet", where=held.identity, next_step="ask again later"
                )
            else:
                made = books.authority.renew(certificate, now_s, life_s=books.served.life_s)
        if refusal is not None:
            raise refusal
        return _granted(books, made, None)

    def awaited(self, now_s: float) -> bool:
        """Tell whether anybody may come: a code is open or was just used, or a credential that nodes hold is due."""
        books = self._register.read()
        codes_open = any(one.open(now_s) or now_s < (one.used_s or 0) + GRACE_S for one in books.codes)
        return codes_open or bool(due(books.authority.in_force(now_s), now_s))


def due(issued: tuple[Issued, ...], now_s: float) -> list[Issued]:
    """Give the newest certificate of each identity whose newest is due."""
    newest = {one.identity: one for one in issued}
    return [one for one in newest.values() if one.due(now_s)]


def _granted(books: Books, certificate: bytes, key: bytes | None) -> Granted:
    issued = books.authority.issued[-1]
    return Granted(
        identity=issued.identity, role=issued.role, certificate=certificate.decode(), key=key.decode() if key else None,
        authority=books.authority.certificate.decode(), port=books.served.port, until_s=issued.until_s,
    )  # fmt: skip


_REASONS = {
    Verdict.UNKNOWN: ("this code is not known", "check every letter; it may belong to another hub"),
    Verdict.LOCKED: ("this code was tried wrongly too often and is void", "ask for a new one"),
    Verdict.EXPIRED: ("this code is over", "ask for a new one"),
    Verdict.USED: ("this code was used", "if that was not you, revoke the node at once; else ask for a new code"),
}


def _refusal(code: Code | None, verdict: Verdict) -> RefusedError:
    what, next_step = _REASONS[verdict]
    known = code is not None and verdict is not Verdict.UNKNOWN
    return RefusedError(
        verdict, what, where=code.identity if code is not None and known else "code", next_step=next_step
    )
