"""What an authority does by itself while its service runs: opens the enrolment port, renews what is due. In a thread.

The port is open only while a code is or a node's certificate is due. Of credentials enrolled elsewhere (the uplink's)
those due are renewed there. Nothing here stops the service: what fails is said and tried again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hostkit.errors import HostkitError
from hostkit.identity.authority import RENEW_PART
from hostkit.identity.broker import HINT, reload_broker
from hostkit.identity.client import PLACE, Folder, renew
from hostkit.identity.endpoint import Endpoint, ServerFiles
from hostkit.identity.enrolment import Enrolment
from hostkit.identity.identities import Identities
from hostkit.identity.realms import Realm

POLL_S = 1.0
LOOK_S = 3600.0  # between looks at certificates
RETRY_S = 600.0
STOP_S = 3.0
Say = Callable[[str], None]


class Upkeep:
    """Works between `start` and `stop`. Without an authority in `data` it minds `credentials` only."""

    def __init__(
        self, realm: Realm, data: Path, credentials: Sequence[Path], say: Say, *, look_s: float = LOOK_S
    ) -> None:
        self._identities, self._enrolment = Identities(realm, data), Enrolment(realm, data)
        self._folders = [Folder(path) for path in credentials if (path / PLACE).exists()]
        self._say, self._look_s = say, look_s
        self._endpoint: Endpoint | None = None
        self._stop = threading.Event()
        self._look_at = self._try_at = 0.0
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Shut the port and end."""
        self._stop.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._turn(time.time(), time.monotonic())
            self._stop.wait(POLL_S)
        if self._endpoint:
            self._endpoint.stop()

    def _turn(self, at_s: float, now_s: float) -> None:
        looking = now_s >= self._look_at
        if looking:
            self._look_at = now_s + self._look_s
        try:
            if looking:
                self._renew_away(at_s)
            if self._identities.register.exists:
                if looking:
                    self._mind_rights(at_s)
                    self._renew_own(at_s)
                self._mind_port(at_s, now_s)
        except HostkitError as error:
            self._tell(f"identity: {error}")

    def _mind_rights(self, at_s: float) -> None:
        """An older release wrote them, somebody else did, or a certificate is over."""
        if self._identities.register.refresh(at_s):
            told = reload_broker(self._identities.broker_files.pid)
            said = "identity: the broker's list of rights was not as it should be and is written anew"
            self._say(said if told else f"{said}; {HINT}")

    def _renew_own(self, at_s: float) -> None:
        renewed = self._identities.renew_own(at_s)
        if renewed:
            told = reload_broker(self._identities.broker_files.pid)
            self._say(f"identity: renewed {', '.join(renewed)}" + ("" if told else f"; {HINT}"))

    def _renew_away(self, at_s: float) -> None:
        for folder in self._folders:
            since_s, until_s = folder.span_s
            if until_s - at_s < (until_s - since_s) / RENEW_PART:
                try:
                    days = (renew(folder) - at_s) / 86_400
                    self._say(
                        f"identity: renewed {folder.place.identity} at {folder.place.host}, good for {days:.0f} days"
                    )
                except HostkitError as error:
                    left = (until_s - at_s) / 86_400
                    self._tell(f"identity: {folder.place.identity} ends in {left:.1f} days: {error}")

    def _mind_port(self, at_s: float, now_s: float) -> None:
        awaited = self._enrolment.awaited(at_s)
        if not awaited and self._endpoint:
            self._endpoint.stop()
            self._endpoint = None
            self._say("enrol: nobody is awaited any more, the port is shut")
        elif awaited and not self._endpoint and now_s >= self._try_at:
            self._try_at = now_s + RETRY_S
            endpoint = serve(self._identities, self._enrolment, self._say)
            self._say(f"enrol: somebody is awaited, port {endpoint.port} is open")
            self._endpoint = endpoint
            self._try_at = 0.0

    def _tell(self, line: str) -> None:
        """Say it once."""
        if line != self._said:
            self._said = line
            self._say(line)


def serve(identities: Identities, enrolment: Enrolment, say: Say, *, host: str | None = None) -> Endpoint:
    """Open the enrolment port of an authority. Raises PeerError where it cannot be had."""
    files = identities.broker_files
    server = ServerFiles(certificate=files.certificate, key=files.key, authority=files.authority)

    def changed() -> None:
        if not reload_broker(files.pid):
            say(HINT)

    endpoint = Endpoint(
        enrolment, server, identities.register.read().served.enrol_port, say=say, changed=changed, host=host
    )
    endpoint.start()
    return endpoint
