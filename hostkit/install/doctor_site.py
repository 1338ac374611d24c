"""The doctor's checks of a site: its file, certificates, broker, probes, versions. Asks the hub, changes nothing."""

import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hostkit import __version__
from hostkit.contract.probes import Step
from hostkit.errors import ConfigError, PeerError
from hostkit.hub.fleet import probe_hash
from hostkit.identity.audit import Finding, Severity, SkippedError
from hostkit.identity.authority import CERTIFICATE as AUTHORITY
from hostkit.identity.client import CA, KEY, certificate_span_s, distrusted
from hostkit.identity.client import CERTIFICATE as OWN
from hostkit.install.findings import Level
from hostkit.install.ladder import Evidence, judge
from hostkit.install.patient import Patient, finding
from hostkit.install.sitecheck import check_site
from hostkit.io.mqtt import parse_url
from hostkit.secret import secret_path

SOON_S = 30 * 86_400.0
REACH_S = 5.0


def site_file(patient: Patient) -> Iterator[Finding]:
    """Is site.toml sound, and does it promise figures?"""
    if patient.site_path is None:
        raise SkippedError("no site is named (--site)")
    if patient.site_error is not None:
        error = patient.site_error
        yield finding(Severity.HIGH, "site-file", error.where, error.what, error.next_step)
    if patient.site is not None:
        found = check_site(patient.site, patient.site_path.parent).findings
        for one in found:
            if one.level is Level.PROBLEM:
                yield finding(Severity.MEDIUM, "site-file", one.where, one.what, one.next_step)
        if advice := sum(one.level is not Level.PROBLEM for one in found):
            step = f"footfall site check --site {patient.site_path}"
            yield finding(Severity.NOTE, "site-file", str(patient.site_path), f"{advice} could be better", step)


def certificates(patient: Patient) -> Iterator[Finding]:
    """Do the certificates count, and for how long?"""
    files = []
    if patient.credential is not None:
        files = [patient.credential / OWN, patient.credential / CA]
        yield from _guarded(patient.credential / KEY)
    if patient.data is not None:
        files += [patient.data / "identity" / AUTHORITY, *sorted((patient.data / "identity").glob("*.crt"))]
    if not files:
        raise SkippedError("no credential is named (--as, or --data on the hub)")
    for path in dict.fromkeys(files):
        try:
            begin_s, end_s = certificate_span_s(path)
        except ConfigError as error:
            yield finding(Severity.HIGH, "certificates", error.where, error.what, error.next_step)
            continue
        left_s, days = end_s - patient.now_s, f"{abs(end_s - patient.now_s) / 86_400:.0f} days"
        if patient.now_s < begin_s:
            yield finding(Severity.HIGH, "certificates", str(path), "does not count yet", "set this machine's clock")
        elif left_s <= 0:
            yield finding(Severity.CRITICAL, "certificates", str(path), f"is over since {days}", _anew(path))
        elif left_s < SOON_S:
            step = f"footfall enrol --to {path.parent} --renew" if path.name == OWN else _anew(path)
            yield finding(Severity.MEDIUM, "certificates", str(path), f"ends in {days}", step)


def _guarded(key: Path) -> Iterator[Finding]:
    try:
        secret_path(key)
    except ConfigError as error:
        yield finding(Severity.HIGH, "certificates", error.where, error.what, error.next_step)


def _anew(path: Path) -> str:
    if path.name == OWN:
        return "enrol anew: ask for a code (footfall hub enrol), then footfall enrol"
    return "make another authority: footfall hub init with another --data, and enrol every node anew"


def broker(patient: Patient) -> Iterator[Finding]:
    """Does the hub's broker answer, and is it the one of the credential?"""
    if patient.envoy is None:
        raise SkippedError("no hub is named (--site with --as or --broker)")
    url = parse_url(patient.envoy.broker)
    try:
        with socket.create_connection((url.host, url.port), REACH_S) as line:
            if url.ca:
                context = ssl.create_default_context(cafile=url.ca)
                with context.wrap_socket(line, server_hostname=url.host):
                    pass
    except ssl.SSLCertVerificationError as error:
        what = f"its certificate does not hold ({error.verify_message})"
        yield finding(Severity.HIGH, "broker", str(url), what, distrusted(error))
    except ssl.SSLError:
        return  # it asks for our certificate after the handshake: somebody is there who speaks TLS
    except OSError as error:
        yield finding(Severity.HIGH, "broker", str(url), *_unreachable(error))


def _unreachable(error: OSError) -> tuple[str, str]:
    if isinstance(error, socket.gaierror):
        return "no such name in this network", "write the hub's address, or join the shop's network"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there", "start the broker on the hub: sudo systemctl start mosquitto"
    if isinstance(error, TimeoutError):
        return "no answer", "join the shop's network; see that no firewall is between"
    return f"cannot be reached ({error.strerror or error})", "join the shop's network, check the cable"


def probes_heard(patient: Patient) -> Iterator[Finding]:
    """How far is each probe, as the hub says."""
    try:
        rows = patient.told.probes.rows
    except PeerError as error:
        yield finding(Severity.HIGH, "probes-heard", error.where, error.what, error.next_step)
        return
    site = patient.site
    wanted = {probe.id: probe_hash(probe) for probe in site.probes} if site else {}
    for row in rows:
        fresh = row.heard_s is not None and row.step is not Step.DELIVERS
        seen = Evidence(
            probe=row.id, row=row, asked_hub=True, told=True, fresh=fresh, config_hash=wanted.get(row.id, "")
        )
        standing = judge(seen)
        if standing.failed is not None:
            yield finding(Severity.HIGH, "probes-heard", row.id, standing.what, standing.next_step)
    there = {row.id for row in rows}
    for name in sorted(wanted.keys() - there):
        step = "copy your site.toml to the hub and restart it"
        yield finding(Severity.HIGH, "probes-heard", name, "the hub's site.toml has no probe of this id", step)


def versions(patient: Patient) -> Iterator[Finding]:
    """Do the hub and this machine run the same release, and all probes the same firmware?"""
    if patient.hub_release not in {None, __version__}:
        what = f"the hub runs {patient.hub_release}, this machine {__version__}"
        step = "install the newer release on both: pip install --upgrade footfall, or a bundle's install.py"
        yield finding(Severity.MEDIUM, "versions", "footfall", what, step)
    builds = {row.id: row.firmware for row in patient.told.probes.rows if row.firmware}
    most = Counter(builds.values()).most_common(1)
    for name, build in builds.items():
        if build != most[0][0]:
            what = f"runs {build}, the others {most[0][0]}"
            yield finding(Severity.MEDIUM, "versions", name, what, "update it: footfall probe update")


SITE = (site_file, certificates, broker, probes_heard, versions)
