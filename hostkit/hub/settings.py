"""site.toml and every version it had: changed whole or not at all, and never without a way back.

Versions are files in `<name>.history` beside it, the newest MAX_VERSIONS; what somebody wrote by hand becomes one too.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from hostkit.config import dump_site, load_site, parse_site
from hostkit.config.edit import with_site
from hostkit.errors import StorageError, UsageError
from hostkit.io.filelock import locked
from hostkit.io.files import storage_error, write_files
from hostkit.model import Site

MAX_VERSIONS = 100
_HEADER = re.compile(r"# version (\d{1,9}) of (\S{1,40}) by (.{1,200})\n")
_NAME = re.compile(r"\d{6,9}")
BY_HAND = "hand"
NOTHING: Mapping[Path, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of site.toml: when it was written (Unix seconds) and by whom or what."""

    number: int
    at_s: float
    by: str
    text: str


def config_hash(site: Site) -> str:
    """Give what names a configuration, whoever wrote it."""
    return hashlib.blake2b(dump_site(site).encode(), digest_size=16).hexdigest()


def versions(path: Path) -> tuple[Version, ...]:
    """Give the versions of the site.toml at `path`, the oldest first; other files in the folder are passed over."""
    try:
        found = [_read(file) for file in sorted(_folder(path).glob("*.toml")) if _NAME.fullmatch(file.stem)]
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"cannot be read ({str(error)[:120]})", where=str(_folder(path)), next_step="check the folder's rights"
        ) from error
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.number))


def version_of(path: Path, number: int) -> Version:
    """Give one version; UsageError where it is not kept."""
    kept = versions(path)
    for one in kept:
        if one.number == number:
            return one
    known = f"{kept[0].number} to {kept[-1].number} are" if kept else "none is"
    raise UsageError(f"there is no version {number}; {known} kept", where=str(path), next_step="see: hub config list")


def change(
    path: Path, make: Callable[[Site], Site], *, by: str, at_s: float, also: Mapping[Path, bytes] = NOTHING
) -> tuple[Version, Site]:
    """Write the site that `make` gives for the present one as the next version, and other files with it.

    All or nothing; ConfigError, of `make` too, leaves all as it was.
    """
    with _locked(path):
        text = _text(path)
        site = make(parse_site(text, str(path)))
        return _save(path, text, with_site(text, site, str(path)), by=by, at_s=at_s, also=also), site


def roll_back(path: Path, number: int, *, by: str, at_s: float) -> tuple[Version, Site]:
    """Write an earlier version as the next one; ConfigError where this release no longer takes it."""
    with _locked(path):
        text = version_of(path, number).text
        site = parse_site(text, f"version {number}")
        return _save(path, _text(path), text, by=by, at_s=at_s), site


def adopt(path: Path, *, at_s: float) -> Site:
    """Give the site at `path`; what was written by hand since the newest version becomes a version."""
    site = load_site(path)
    if not versions(path):
        return site  # no history yet, and perhaps no right to begin one
    with _locked(path):
        kept, text = versions(path), _text(path)
        if kept[-1].text != text:
            write_files(dict([_file(path, kept[-1].number + 1, BY_HAND, at_s, text)]))
    return site


def kept_until_restart(running: Site, wanted: Site) -> tuple[str, ...]:
    """Name the keys a running hub cannot take over: tracks and keys of the day rest on them."""
    same = {
        "tenant": (running.tenant, wanted.tenant),
        "site": (running.site, wanted.site),
        "time_zone": (running.time_zone, wanted.time_zone),
        "privacy.rotation_hour": (running.privacy.rotation_hour, wanted.privacy.rotation_hour),
        "delivery": (running.delivery, wanted.delivery),
        "probes": tuple([probe.id for probe in site.probes] for site in (running, wanted)),
    }
    return tuple(key for key, (one, other) in same.items() if one != other)


def taken_over(running: Site, wanted: Site) -> Site:
    """Give what a running hub goes on with: all of `wanted` but for what it keeps until its next start."""
    keys = kept_until_restart(running, wanted)
    privacy = replace(wanted.privacy, rotation_hour=running.privacy.rotation_hour)
    return replace(
        wanted,
        tenant=running.tenant,
        site=running.site,
        time_zone=running.time_zone,
        privacy=privacy,
        delivery=running.delivery,
        probes=running.probes if "probes" in keys else wanted.probes,
    )


def _save(
    path: Path, before: str, after: str, *, by: str, at_s: float, also: Mapping[Path, bytes] = NOTHING
) -> Version:
    """Write the version and the file, the file last."""
    kept = versions(path)
    number = kept[-1].number if kept else 0
    files: dict[Path, bytes] = {path: after.encode()}  # `write_files` moves the last into its place first
    if not kept or kept[-1].text != before:
        number += 1
        files.update([_file(path, number, BY_HAND, at_s, before)])
    number += 1
    files.update([_file(path, number, by, at_s, after)])
    write_files({**files, **also})
    made = number - (kept[-1].number if kept else 0)
    for old in kept[: max(0, len(kept) + made - MAX_VERSIONS)]:
        _place(path, old.number).unlink(missing_ok=True)
    return Version(number=number, at_s=at_s, by=by, text=after)


def _file(path: Path, number: int, by: str, at_s: float, text: str) -> tuple[Path, bytes]:
    when = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")
    who = "".join(char if char.isprintable() else "?" for char in by)[:200] or BY_HAND
    return _place(path, number), f"# version {number} of {when} by {who}\n{text}".encode()


def _read(file: Path) -> Version | None:
    header, _, text = file.read_text("utf-8").partition("\n")
    match = _HEADER.fullmatch(header + "\n")
    if match is None or int(match[1]) != int(file.stem):
        return None
    try:
        at_s = datetime.fromisoformat(match[2]).timestamp()
    except ValueError:
        return None
    return Version(number=int(match[1]), at_s=at_s, by=match[3], text=text)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"cannot be read ({str(error)[:120]})", where=str(path), next_step="check the file and its rights"
        ) from error


def _folder(path: Path) -> Path:
    return path.with_name(f"{path.stem}.history")


def _place(path: Path, number: int) -> Path:
    return _folder(path) / f"{number:06}.toml"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep others of ours from writing at the same time; the lock goes with the process."""
    folder = _folder(path)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise storage_error(str(folder), error) from error
    with locked(folder / ".lock"):
        yield
