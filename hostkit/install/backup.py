"""A probe's place in a file: its entry of site.toml, its calibrations, what the hub last saw of it. Holds no secret.

A place is the site's, not the board's: whoever takes it over takes its position and its calibration, and gets a
credential of its own. Another board's radio hears differently by some dB: a calibration taken over wants a check.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from hostkit.contract.probes import ProbeStatus
from hostkit.errors import InputError, UsageError
from hostkit.hub.settings import change
from hostkit.io.calibrations import FieldRecord, read_field
from hostkit.io.files import write_files
from hostkit.model import Probe, Site

VERSION = 1
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """`calibrations`: those that set a number of this probe, with those numbers alone; `status`: the hub's word."""

    version: int
    made_s: int
    tenant: str
    site: str
    probe: Probe
    calibrations: tuple[FieldRecord, ...] = ()
    status: ProbeStatus | None = None

    @property
    def uplink(self) -> str | None:
        """Give how the board reached its hub, where the hub was asked."""
        return self.status.uplink if self.status else None

    @property
    def board(self) -> str:
        """Name the board, as in hardware/boards; "" where nobody said."""
        words = (self.status.hardware or "").split() if self.status else []
        return words[0] if words and "-" in words[0] else ""


def take_backup(site_path: Path, site: Site, probe: Probe, status: ProbeStatus | None, now_s: float) -> Backup:
    """Gather a probe's place."""
    key = f"probes.{probe.id}."
    records = []
    for record in read_field(site_path):
        changes = tuple(one for one in record.changes if one.key.startswith(key))
        if changes and not record.undone:
            records.append(msgspec.structs.replace(record, changes=changes))
    return Backup(
        version=VERSION, made_s=int(now_s), tenant=site.tenant, site=site.site, probe=probe,
        calibrations=tuple(records), status=status,
    )  # fmt: skip


def write_backups(folder: Path, backups: Sequence[Backup]) -> list[Path]:
    """Write one file a probe, all or none."""
    files = {folder / f"{one.probe.id}.json": msgspec.json.format(msgspec.json.encode(one)) + b"\n" for one in backups}
    write_files(files)
    return list(files)


def read_backup(path: Path, site: Site, probe_id: str) -> Backup:
    """Read the backup of a probe of this site. InputError for what is none, UsageError for another's."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too long")
        found = msgspec.json.decode(path.read_bytes(), type=Backup)
        if found.version != VERSION:
            raise ValueError(f"version {found.version}")
    except (OSError, ValueError) as error:
        step = "give a file that footfall probe backup wrote"
        raise InputError(f"is no backup ({str(error)[:80]})", where=str(path), next_step=step) from error
    if (found.tenant, found.site, found.probe.id) != (site.tenant, site.site, probe_id):
        what = f"is of {found.tenant}/{found.site}/{found.probe.id}, not {site.tenant}/{site.site}/{probe_id}"
        raise UsageError(what, where=str(path), next_step="give that probe's file")
    return found


def differences(site: Site, backup: Backup) -> list[str]:
    """Name the keys in which site.toml differs from the backup; `all of it` where it has no such probe."""
    there = next((probe for probe in site.probes if probe.id == backup.probe.id), None)
    if there is None:
        return ["all of it"]
    return [name for name in Probe.__slots__ if getattr(there, name) != getattr(backup.probe, name)]


def restore(site_path: Path, backup: Backup, now_s: float) -> Site:
    """Write the probe's entry back into site.toml, as its next version; ConfigError where it no longer fits there."""

    def make(site: Site) -> Site:
        if all(probe.id != backup.probe.id for probe in site.probes):
            return replace(site, probes=(*site.probes, backup.probe))
        probes = tuple(backup.probe if probe.id == backup.probe.id else probe for probe in site.probes)
        return replace(site, probes=probes)

    return change(site_path, make, by=f"backup of {backup.probe.id}", at_s=now_s)[1]
