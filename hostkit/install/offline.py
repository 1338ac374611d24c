"""A folder for a machine without internet: wheels, images, firmware files, fonts, a script, SHA-256 of each.

Made in a folder beside its place and moved there whole. What is in it is found again by `bundle.json`.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from hostkit.errors import InputError, UsageError
from hostkit.install import bundled_install
from hostkit.install.firmware import read_firmware
from hostkit.install.images import load_catalogue
from hostkit.install.wheelhouse import Fetch, Target, gather, read_wheel
from hostkit.io.files import storage_error

FORMAT, VERSION = "footfall-offline-bundle", 1
MANIFEST, SUMS, SCRIPT = bundled_install.MANIFEST, "SHA256SUMS", "install.py"
EXTRAS = "fonts,install"  # of pyproject: what an installer's laptop needs, and letters for Chinese
MAX_MANIFEST_BYTES = 10_000_000
FONTS = (".ttf", ".ttc", ".otf")


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the folder, by its path in it."""

    path: Annotated[str, Meta(max_length=500)]
    size: int
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the folder is: version of Footfall, its extras, whom the wheels are for, every file but this."""

    format: str
    version: int
    footfall: str
    extras: str
    targets: tuple[str, ...]
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What goes in. `own` are wheels of Footfall, `images` a release folder, `firmware` that of the probe's files."""

    targets: tuple[Target, ...]
    own: tuple[Path, ...]
    images: Path | None = None
    firmware: Path | None = None
    fonts: tuple[Path, ...] = ()


def pack(wanted: Wanted, out: Path, fetch: Fetch, say: Callable[[str], None]) -> Manifest:
    """Make the folder `out`, all or nothing, and give what is in it. `say` gets a line for each part.

    UsageError where `out` is there or no wheel of ours fits a machine; InputError for a part that is broken; PeerError
    from `fetch`; StorageError.
    """
    if out.exists():
        raise UsageError("is there already", where=str(out), next_step="delete it or name another with --out")
    version = _own_version(wanted.own)
    part = out.parent / f".{out.name}.{os.getpid()}"
    try:
        part.mkdir(parents=True)
        _pack_wheels(wanted, part / "wheels", fetch, say)
        _pack_others(wanted, part, say)
        shutil.copyfile(bundled_install.__file__, part / SCRIPT)
        manifest = Manifest(
            format=FORMAT, version=VERSION, footfall=version, extras=EXTRAS, files=tuple(_files(part)),
            targets=tuple(str(target) for target in wanted.targets),
        )  # fmt: skip
        (part / SUMS).write_text("".join(f"{one.sha256}  {one.path}\n" for one in manifest.files))
        (part / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        part.rename(out)
    except OSError as error:
        raise storage_error(str(out), error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def check(folder: Path) -> Manifest:
    """Hold every file of a folder against its SHA-256; InputError names the first that is not what it was."""
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            manifest = msgspec.json.decode(file.read(MAX_MANIFEST_BYTES), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)[:80]
        raise InputError(
            f"is no bundle ({what})", where=str(path), next_step="give a folder `footfall bundle` made"
        ) from error
    if manifest.format != FORMAT or manifest.version != VERSION:
        raise InputError(
            f"is {manifest.format[:40]!a} version {manifest.version}", where=str(path), next_step="update Footfall here"
        )
    for one in manifest.files:
        if Path(one.path).is_absolute() or ".." in Path(one.path).parts:
            raise InputError(f"names {one.path[:80]!a}", where=str(path), next_step="do not use it")
        inside = folder / one.path
        if not inside.is_file() or inside.stat().st_size != one.size or bundled_install.digest(inside) != one.sha256:
            raise InputError("is missing or damaged", where=str(inside), next_step="copy the folder again")
    return manifest


def _own_version(own: Sequence[Path]) -> str:
    wheels = [read_wheel(path) for path in own]
    for wheel in wheels:
        if wheel.name != "footfall" or not wheel.extras.issuperset(EXTRAS.split(",")):
            what = f"is a wheel of {wheel.name} {wheel.version} without its extras {EXTRAS}"
            raise UsageError(what, where=str(wheel.path), next_step="build it from this version: scripts/wheels")
    versions = {str(wheel.version) for wheel in wheels}
    if len(versions) != 1:
        what = f"are of versions {', '.join(sorted(versions))}" if versions else "no wheel of footfall is given"
        step = "build them with scripts/wheels, or with cibuildwheel for every machine"
        raise UsageError(what, where="--wheel", next_step=step)
    return versions.pop()


def _pack_wheels(wanted: Wanted, folder: Path, fetch: Fetch, say: Callable[[str], None]) -> None:
    folder.mkdir()
    own = [Path(shutil.copyfile(path, folder / path.name)) for path in wanted.own]
    used: set[Path] = set()
    for target in wanted.targets:
        found = gather(folder, own, target, EXTRAS, fetch)
        size = sum(path.stat().st_size for path in found)
        say(f"{target}: {len(found)} wheels, {size / 1e6:.0f} MB")
        used.update(found)
    for path in set(folder.iterdir()) - used:
        path.unlink()


def _pack_others(wanted: Wanted, part: Path, say: Callable[[str], None]) -> None:
    if wanted.images is not None:
        builds = load_catalogue(wanted.images)
        shutil.copytree(wanted.images, part / "images")
        say(f"images: {', '.join(sorted(builds))}")
    if wanted.firmware is not None:
        files = read_firmware(wanted.firmware)
        for name, content in files.contents.items():
            (part / "firmware" / name).parent.mkdir(parents=True, exist_ok=True)
            (part / "firmware" / name).write_bytes(content)
        say(f"firmware: {len(files.contents)} files")
    for font in wanted.fonts:
        if font.suffix.lower() not in FONTS or not font.is_file():
            raise InputError("is no font file", where=str(font), next_step="give a .ttf, .ttc or .otf file")
        (part / "fonts").mkdir(exist_ok=True)
        shutil.copyfile(font, part / "fonts" / font.name)
        say(f"font: {font.name}")


def _files(folder: Path) -> Iterator[File]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            yield File(path=name, size=path.stat().st_size, sha256=bundled_install.digest(path))
