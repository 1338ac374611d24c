"""Where nodes enrol and renew: HTTPS, a request a connection, everything bounded. Open only while somebody is awaited.

HTTPS and not MQTT: strangers need no listener and no topic at the broker, none can hear another, and the port can be
shut. The server is the broker's own certificate; whoever renews shows his, whoever enrols a code.
"""

import asyncio
import http
import json
import math
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography import x509

from hostkit.errors import ConfigError, HostkitError, InputError, PeerError, StorageError
from hostkit.identity.backoff import Backoff
from hostkit.identity.enrolment import Enrolment, RefusedError
from hostkit.identity.messages import AUTHORITY, ENROL, MAX_BODY_BYTES, RENEW, Ask, Granted, Refused
from hostkit.secret import secret_path

MAX_CONNECTIONS, MAX_OF_PEER = 64, 16  # a laptop that enrols a shop at once is one peer
MAX_HEAD_BYTES = 4096
REQUEST_S = 10.0  # from the first byte to the last of the answer
HANDSHAKE_S = 5.0
DRAIN_POLL_S = 0.05
CLOSE_S = 1.0
SETTLE_S = 0.3  # the broker reads its list of rights within it
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFiles:
    """Certificate and key of the server, certificate of the authority; PEM files."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    body: bytes
    peer: str
    certificate: bytes | None  # of a client that showed one, DER; verified by TLS


class Endpoint:
    """Serves in a thread of its own from `start` to `stop`. `changed` is called after each grant: the broker must know.

    `say` gets one line for each grant and refusal. Raises PeerError where the port cannot be had.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        files: ServerFiles,
        port: int,
        *,
        say: Say,
        changed: Callable[[], object],
        clock: Callable[[], float] = time.time,
        host: str | None = None,
    ) -> None:
        self._enrolment, self._files, self.port, self._host = enrolment, files, port, host
        self._say, self._changed, self._clock = say, changed, clock
        self._backoff = Backoff()
        self._open: Counter[str] = Counter()  # connections by peer; what is zero is not kept
        self._tls: ssl.SSLContext | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="enrol", daemon=True)
        self._end = asyncio.Event()
        self._ready: Future[int] = Future()

    def start(self) -> int:
        """Listen; give the port."""
        self._thread.start()
        self.port = self._ready.result()
        return self.port

    def stop(self) -> None:
        """Shut the port, let those who are in finish, end."""
        if self._thread.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(REQUEST_S + 1.0)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except (OSError, HostkitError) as error:
            self._ready.set_exception(
                error
                if isinstance(error, HostkitError)
                else PeerError(
                    f"cannot listen ({error.strerror or error})",
                    where=f"enrolment port {self.port}",
                    next_step="a running hub serves it already, or something else does: see `ss -tlnp`",
                )
            )
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._tls = server_context(self._files)
        server = await asyncio.start_server(
            self._connection,
            self._host,
            self.port,
            limit=MAX_HEAD_BYTES,
            backlog=MAX_CONNECTIONS,
        )
        async with server:
            self._ready.set_result(server.sockets[0].getsockname()[1])
            await self._end.wait()
        deadline = self._loop.time() + REQUEST_S
        await asyncio.sleep(DRAIN_POLL_S)
        while self._open.total() and self._loop.time() < deadline:
            await asyncio.sleep(DRAIN_POLL_S)
        await asyncio.sleep(DRAIN_POLL_S)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("?",))[0])
        self._open[peer] += 1  # before TLS: a stranger who says nothing holds a file descriptor of the hub too
        try:
            if self._open.total() <= MAX_CONNECTIONS and self._open[peer] <= MAX_OF_PEER:
                async with asyncio.timeout(REQUEST_S):
                    assert self._tls
                    await writer.start_tls(self._tls, ssl_handshake_timeout=HANDSHAKE_S)
                    writer.write(await self._answer(reader, writer, peer))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who does not finish his sentence gets no answer
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), CLOSE_S)
            writer.transport.abort()
            self._open -= Counter([peer])

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> bytes:
        wait_s = self._backoff.wait_s(peer, self._clock())
        if wait_s > 0:
            seconds = math.ceil(wait_s)
            return _refused(429, f"too many wrong codes from {peer}", f"try again in {seconds} s", seconds)
        try:
            request = await _read(reader, writer, peer)
            return await self._served(request)
        except InputError as error:
            return _refused(400, error.what, error.next_step)
        except RefusedError as error:
            return self._refuse(error, peer)
        except (StorageError, ConfigError) as error:
            self._say(f"enrol: {error}")
            return _refused(503, "the authority cannot write its books", "look at the hub's log")

    async def _served(self, request: _Request) -> bytes:
        match request.method, request.path:
            case "GET", path if path == AUTHORITY:
                return _response(200, self._files.authority.read_bytes(), "application/x-pem-file")
            case "POST", path if path == ENROL:
                ask = _decode(request.body)
                csr = ask.csr.encode() if ask.csr is not None else None
                granted = self._enrolment.redeem(ask.code, csr, self._clock())
            case "POST", path if path == RENEW and request.certificate:
                certificate = x509.load_der_x509_certificate(request.certificate)
                granted = self._enrolment.renew(certificate, self._clock())
            case "POST", path if path == RENEW:
                return _refused(401, "no certificate was shown", "connect with the one to be renewed")
            case _:
                return _refused(404, "there is nothing here", "see contract/enrolment.md")
        self._changed()
        await asyncio.sleep(SETTLE_S)
        self._say(f"enrol: {granted.identity} {request.path.rpartition('/')[2]}s from {request.peer}")
        return _granted(granted)

    def _refuse(self, refusal: RefusedError, peer: str) -> bytes:
        status = {"used": 409, "expired": 410, "locked": 423, "revoked": 403, "early": 425}.get(refusal.verdict, 401)
        if refusal.verdict != "early":
            tries = self._backoff.wrong(peer, self._clock())
            self._say(f"enrol: {peer} refused: {refusal.where}: {refusal.what} ({tries} in a row)")
        return _refused(status, f"{refusal.where}: {refusal.what}", refusal.next_step)


def server_context(files: ServerFiles) -> ssl.SSLContext:
    """TLS 1.2 or later; a client may show a certificate of the authority. ConfigError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.verify_mode = ssl.CERT_OPTIONAL
    try:
        context.load_cert_chain(files.certificate, secret_path(files.key))
        context.load_verify_locations(files.authority)
    except OSError as error:
        raise ConfigError(
            f"TLS files cannot be used ({error.strerror or error})",
            where=str(files.certificate),
            next_step="restore the backup of the identity folder",
        ) from error
    return context


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> _Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = head[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise InputError("is no HTTP request", where="request", next_step="speak HTTP/1.1")
    lengths = [line.partition(":")[2].strip() for line in head if line.lower().startswith("content-length:")]
    length = int(lengths[0]) if lengths and lengths[0].isascii() and lengths[0].isdecimal() else 0
    if length > MAX_BODY_BYTES:
        raise InputError("is too long", where="request", next_step=f"send at most {MAX_BODY_BYTES} bytes")
    tls = writer.get_extra_info("ssl_object")
    return _Request(
        method=words[0],
        path=words[1],
        body=await reader.readexactly(length),
        peer=peer,
        certificate=tls.getpeercert(binary_form=True),
    )


def _decode(body: bytes) -> Ask:
    try:
        return msgspec.json.decode(body, type=Ask)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(str(error)[:200], where="request", next_step="see contract/enrolment.md") from error


def _granted(granted: Granted) -> bytes:
    return _response(200, msgspec.json.encode(granted))


def _refused(status: int, what: str, next_step: str, retry_s: int = 0) -> bytes:
    body = json.dumps(msgspec.structs.asdict(Refused(what=what, next_step=next_step))).encode()
    return _response(status, body, extra=f"Retry-After: {retry_s}\r\n" if retry_s else "")


def _response(status: int, body: bytes, kind: str = "application/json", extra: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nConnection: close\r\n{extra}\r\n"
    )
    return head.encode() + body
