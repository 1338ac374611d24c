"""Whom the doctor looks at: this machine and, where named, a site, its hub and a credential. Changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hostkit.errors import HostkitError
from hostkit.hub.ask import Envoy
from hostkit.identity.audit import Finding, Severity, SkippedError
from hostkit.install.hubline import HubLine, Told
from hostkit.install.ports import Port, find_ports
from hostkit.model import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a hub said of its probes, or why it did not; and of itself."""

    told: Told | HostkitError
    release: str | None


@dataclass(frozen=True, kw_only=True)
class Patient:
    """`site_error` is why the site file cannot be read; `credential` a folder of `footfall enrol`; `data` a hub's."""

    now_s: float
    site_path: Path | None = None
    site: Site | None = None
    site_error: HostkitError | None = None
    envoy: Envoy | None = None
    credential: Path | None = None
    data: Path | None = None
    look_for_ports: Callable[[], list[Port]] = find_ports

    @cached_property
    def ports(self) -> list[Port]:
        """Give the ports boards hang on; SkippedError without any."""
        found = [port for port in self.look_for_ports() if port.bridge]
        if not found:
            raise SkippedError("no board is plugged in")
        return found

    @property
    def told(self) -> Told:
        """Give what the hub says of its probes; SkippedError where none can be asked, PeerError where it is silent."""
        if isinstance(self._answer.told, HostkitError):
            raise self._answer.told
        return self._answer.told

    @property
    def hub_release(self) -> str | None:
        """Give the release the hub runs, as it says; None where it does not. SkippedError where none can be asked."""
        return self._answer.release

    @cached_property
    def _answer(self) -> Answer:
        """Ask once, whatever comes of it."""
        if self.envoy is None:
            raise SkippedError("no hub is named (--site with --as or --broker)")
        try:
            with HubLine(self.envoy) as line:
                told = _next(line)
                return Answer(told=told, release=line.release)
        except HostkitError as error:
            return Answer(told=error, release=None)


def _next(line: HubLine) -> Told | HostkitError:
    try:
        return line.next()
    except HostkitError as error:
        return error


def finding(severity: Severity, check: str, where: str, what: str, next_step: str) -> Finding:
    """Make a finding."""
    return Finding(severity=severity, check=check, what=what, where=where, next_step=next_step)
