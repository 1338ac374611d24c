"""An ASGI application on a TCP port, in a thread (uvicorn). Knows nothing of what it serves."""

import re
import socket
import threading
from dataclasses import dataclass
from typing import TypeAlias

import uvicorn
from starlette.types import ASGIApp

from hostkit.errors import PeerError, UsageError

STOP_S = 2  # requests may finish within it
MAX_CONNECTIONS = 100
IDLE_S = 15
Application: TypeAlias = ASGIApp
# For pages that load nothing from elsewhere and are never put into another.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        return self.host in LOOPBACK


def parse_listen(text: str, option: str = "--http") -> Listen:
    """Read `127.0.0.1:8080` or `[::1]:8080`; raises UsageError that names `option`."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})", text)
    if match is None or int(match[2]) > 65_535:
        raise UsageError(f"{text!a} is not HOST:PORT", where=option, next_step="write it as 127.0.0.1:8080")
    return Listen(host=match[1].strip("[]"), port=int(match[2]))


class WebServer:
    """Listens from the moment it is made, so that a port in use is a PeerError before anything else starts."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._socket = _bound(listen)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Give the address for a browser."""
        host = f"[{self._listen.host}]" if ":" in self._listen.host else self._listen.host
        return f"http://{host}:{self._socket.getsockname()[1]}/"

    def start(self, application: Application) -> None:
        """Serve in a thread of its own."""
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=STOP_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Finish the requests under way and let go of the port."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_S + 1)
        self._socket.close()


def _bound(listen: Listen) -> socket.socket:
    where = f"{listen.host}:{listen.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PeerError(f"cannot listen ({error.strerror})", where=where, next_step="give another --http") from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(MAX_CONNECTIONS)
    except OSError as error:
        made.close()
        raise PeerError(
            f"cannot listen ({error.strerror})", where=where, next_step="stop what uses the port or give another --http"
        ) from error
    return made
