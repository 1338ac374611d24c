"""The doctor's checks of the machine itself: ports, programs, disk, clock, radios. Reads only."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hostkit.identity.audit import Finding, Severity, SkippedError
from hostkit.install.flash import INSTALL
from hostkit.install.patient import Patient, finding
from hostkit.install.ports import RULE
from hostkit.io.osclock import read_clock
from hostkit.io.program import run_program

TOOLS = {"esptool": (5, 0), "mpremote": (1, 25), "bleak": (1, 0), "segno": (1, 6), "littlefs-python": (0, 14)}
LOW_MIB, VERY_LOW_MIB = 1024, 100
EARLIEST_S = 1_735_689_600  # 2025-01-01: an earlier clock was never set
CLOCKS_APART_S = 5.0
RULES = (Path("/etc/udev/rules.d"), Path("/lib/udev/rules.d"), Path("/usr/lib/udev/rules.d"))
BLUETOOTH, SWITCHES, NETWORK = Path("/sys/class/bluetooth"), Path("/sys/class/rfkill"), Path("/sys/class/net")
_IW_S = 5.0


def serial_permissions(patient: Patient) -> Iterator[Finding]:
    """May this user open the boards' ports?"""
    for port in patient.ports:
        if port.allowed is False:
            yield finding(Severity.HIGH, "serial-permissions", port.path, *str(port.trouble).split("; ", 1))
    if sys.platform.startswith("linux") and not any((folder / RULE).exists() for folder in RULES):
        step = f"footfall probe ports --udev-rule | sudo tee /etc/udev/rules.d/{RULE}"
        yield finding(Severity.NOTE, "serial-permissions", RULE, "the udev rule is not installed", step)


def ports(patient: Patient) -> Iterator[Finding]:
    """Is a board's port held by another program?"""
    for port in patient.ports:
        if port.held_by:
            yield finding(Severity.MEDIUM, "ports", port.path, f"{port.held_by} has it open", "close that program")


def python(patient: Patient) -> Iterator[Finding]:
    """Are the installer's programs here, and new enough?"""
    for name, least in TOOLS.items():
        needed = ".".join(map(str, least))
        try:
            found = version(name)
        except PackageNotFoundError:
            yield finding(Severity.MEDIUM, "python", name, f"is not installed ({needed} or newer is needed)", INSTALL)
            continue
        numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        if numbers < least:
            yield finding(Severity.MEDIUM, "python", name, f"is {found}, {needed} is needed", INSTALL)


def disk(patient: Patient) -> Iterator[Finding]:
    """Is there room where things are written?"""
    places = [Path.cwd(), Path(tempfile.gettempdir()), *([patient.data] if patient.data else [])]
    for place in dict.fromkeys(places):
        free_mib = shutil.disk_usage(place).free >> 20
        if free_mib < LOW_MIB:
            severity = Severity.CRITICAL if free_mib < VERY_LOW_MIB else Severity.MEDIUM
            yield finding(severity, "disk", str(place), f"{free_mib} MiB are free", "free some space")


def clock(patient: Patient) -> Iterator[Finding]:
    """Is the time right? Certificates and figures rest on it."""
    if patient.now_s < EARLIEST_S:
        yield finding(Severity.CRITICAL, "clock", "this machine", "its clock was never set", "set date and time")
    known = read_clock()
    if known is not None and not known.synced:
        yield finding(
            Severity.MEDIUM, "clock", "this machine", "its clock is not kept right by a time server",
            "sudo timedatectl set-ntp true, or let it reach a time server in the shop",
        )  # fmt: skip
    if patient.envoy is not None:
        apart_s = patient.told.probes.at_s - patient.now_s
        if abs(apart_s) > CLOCKS_APART_S:
            what = f"this clock and the hub's are {abs(apart_s):.0f} s apart"
            yield finding(Severity.HIGH, "clock", "hub", what, "set both by the same time server")
    elif known is None:
        raise SkippedError("this system does not say, and no hub is named to compare with")


def ble_adapter(patient: Patient) -> Iterator[Finding]:
    """Can this machine set up boards over BLE?"""
    if not sys.platform.startswith("linux"):
        raise SkippedError("only Linux says; try: footfall probe provision --port ble:auto")
    if not BLUETOOTH.is_dir() or not any(BLUETOOTH.glob("hci*")):
        step = "plug one in if you provision over BLE; a serial cable needs none"
        yield finding(Severity.NOTE, "ble-adapter", "this machine", "no BLE adapter", step)
    for switch in SWITCHES.glob("rfkill*"):
        if _word(switch / "type") == "bluetooth" and "1" in (_word(switch / "soft"), _word(switch / "hard")):
            step = "rfkill unblock bluetooth, or the switch on the case"
            yield finding(Severity.MEDIUM, "ble-adapter", switch.name, "Bluetooth is switched off", step)


def monitor_adapter(patient: Patient) -> Iterator[Finding]:
    """Can this machine hear Wi-Fi itself? Only surveys and captures of one's own need it."""
    if not sys.platform.startswith("linux"):
        raise SkippedError("only Linux says")
    cards = [card.name for card in NETWORK.glob("*") if (card / "phy80211").exists()] if NETWORK.is_dir() else []
    if not cards:
        step = "needed for captures of your own only: plug one in that can monitor"
        yield finding(Severity.NOTE, "monitor-adapter", "this machine", "no Wi-Fi adapter", step)
        return
    if shutil.which("iw") is None:
        raise SkippedError("iw is not installed (sudo apt install iw)")
    _, said = run_program(["iw", "phy"], timeout_s=_IW_S)
    if "* monitor" not in said:
        step = "needed for captures of your own only: use an adapter whose driver can"
        yield finding(Severity.NOTE, "monitor-adapter", ", ".join(cards), "none of them can monitor", step)


MACHINE = (serial_permissions, ports, python, disk, clock, ble_adapter, monitor_adapter)


def _word(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
