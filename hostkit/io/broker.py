"""A private MQTT broker on loopback: mosquitto where it is installed, else amqtt. Says how to run it, runs nothing."""

import asyncio
import getpass
import importlib
import importlib.util
import os
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from hostkit.errors import PeerError, StorageError, UsageError

LOOPBACK = "127.0.0.1"
MAX_PACKET_BYTES = 2 << 20  # the contract's largest message and room for topic and header
_SBIN = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"  # where packages put mosquitto, often not on a user's PATH
_PROBE_S = 0.5

# autosave: a SIGKILL loses what mosquitto has not yet saved, and its default is 30 minutes.
# set_tcp_nodelay: else an answer behind an acknowledgement waits 40 ms for the client's own.
# max_queued_messages: by default it drops from the 1,001st message a client that is away has not fetched.
_MOSQUITTO = """\
listener {port} {host}
allow_anonymous true
set_tcp_nodelay true
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 200000
max_inflight_messages 100
max_packet_size {packet}
user {user}
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPlan:
    """How to run the broker: the same plan started again has the same port and finds its persistence."""

    kind: str  # mosquitto or amqtt
    argv: tuple[str, ...]
    port: int

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def remark(self) -> str:
        """Give the line for the screen."""
        why = "" if self.kind == "mosquitto" or find_mosquitto() else " (mosquitto is not installed)"
        return f"broker: {self.kind} on {self.url}{why}"

    def accepts(self) -> bool:
        """Tell whether somebody listens on the port."""
        with socket.socket() as probe:
            probe.settimeout(_PROBE_S)
            return probe.connect_ex((LOOPBACK, self.port)) == 0


def find_mosquitto() -> str | None:
    """Give the path of mosquitto, on PATH or where packages put it."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_SBIN)


def plan_broker(folder: Path, *, port: int | None = None, kind: str | None = None) -> BrokerPlan:
    """Write what the broker needs into `folder`, which becomes private, and say how to run it.

    Without `port` a free one is taken, without `kind` mosquitto if it is installed. Raises UsageError for a port in
    use or an unknown kind, PeerError where neither broker is installed, StorageError where the disk refuses.
    """
    chosen = kind or ("mosquitto" if find_mosquitto() else "amqtt")
    at = free_port() if port is None else unused_port(port, "broker")
    _make_private(folder)
    if chosen == "mosquitto":
        return BrokerPlan(kind=chosen, argv=_mosquitto(folder, at), port=at)
    if chosen != "amqtt":
        raise UsageError(f"{chosen!r} is no broker we know", where="broker", next_step="use mosquitto or amqtt")
    if importlib.util.find_spec("amqtt") is None:
        raise _missing("neither mosquitto nor amqtt is installed" if kind is None else "amqtt is not installed")
    return BrokerPlan(kind=chosen, argv=(sys.executable, "-m", __name__, str(at)), port=at)


def free_port() -> int:
    """Give a loopback port nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def unused_port(port: int, whose: str) -> int:
    """Give back `port` of this machine; raises UsageError if it is in use or not allowed."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                "is in use or not allowed", where=f"{whose}: port {port}", next_step="choose another or leave it out"
            ) from error
    return port


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise _refused(folder, error) from error


def _mosquitto(folder: Path, port: int) -> tuple[str, ...]:
    program = find_mosquitto()
    if program is None:
        raise _missing("mosquitto is not installed")
    configuration = folder / "mosquitto.conf"
    text = _MOSQUITTO.format(
        port=port, host=LOOPBACK, folder=folder.resolve(), packet=MAX_PACKET_BYTES, user=getpass.getuser()
    )
    try:
        configuration.touch(mode=0o600)
        configuration.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _refused(configuration, error) from error
    return (program, "-c", str(configuration.resolve()))


def _missing(what: str) -> PeerError:
    return PeerError(what, where="broker", next_step="apt-get install mosquitto, or pip install amqtt")


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot be written ({error.strerror})", where=str(path), next_step="choose another folder")


def serve_amqtt(port: int) -> None:
    """Run amqtt on `port` until SIGTERM or SIGINT. It keeps nothing: clients resend what was not acknowledged."""
    asyncio.run(_serve(port))


async def _serve(port: int) -> None:
    # Loaded here: an installation with mosquitto does without it.
    broker_class = importlib.import_module("amqtt.broker").Broker
    broker = broker_class(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{port}", "max_connections": 1000}},
            "timeout_disconnect_delay": 2,
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *unused: loop.call_soon_threadsafe(ended.set))
    await broker.start()
    await ended.wait()
    await broker.shutdown()


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    serve_amqtt(int(sys.argv[1]))
