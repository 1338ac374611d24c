"""The running mosquitto: told to read its files again, and to let go of a client that was revoked (POSIX)."""

import os
import signal
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

from hostkit.identity.authority import Credential
from hostkit.identity.register import Register, Served
from hostkit.io import mqttwire
from hostkit.io.files import write_files

TIMEOUT_S = 3.0
HINT = "tell the broker: systemctl reload mosquitto, or kill -HUP $(pidof mosquitto)"


def reload_broker(pid_file: Path) -> bool:
    """Let mosquitto read rights, passwords and certificates again; False where it does not run or is not ours."""
    try:
        pid = int(pid_file.read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() != "mosquitto":  # its number may be another's now
            return False
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True


def let_go(register: Register, identity: str, now_s: float) -> bool:
    """Take over the connection of a revoked identity and end it: a connected client is not asked for its certificate
    again. Its session goes too. False where the broker is not reached.
    """
    books = register.read()
    momentary = books.authority.momentary(identity, now_s)
    for host in dict.fromkeys(("127.0.0.1", *books.served.hosts)):
        with suppress(OSError, ValueError):
            _take_over(host, books.served, books.authority.certificate, momentary, identity)
            return True
    return False


def _take_over(host: str, served: Served, authority: bytes, credential: Credential, identity: str) -> None:
    context = ssl.create_default_context(cadata=authority.decode())
    with tempfile.TemporaryDirectory() as folder:  # the ssl module reads keys from files only; this one is 0700
        pair = Path(folder, "pair.pem")
        write_files({pair: credential.certificate + credential.key}, private=True)
        context.load_cert_chain(pair)
    with mqttwire.connect(host, served.port, context=context, name=served.hosts[0], timeout_s=TIMEOUT_S) as link:
        link.hello(identity)
        link.bye()
