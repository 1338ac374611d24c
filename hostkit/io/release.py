"""Releases of probe images as scripts/release lays them out: a folder with ESP Web Tools' manifest. Writes only copies.

Beside `parts`, which are flashed over a cable, a build may have `update`: the application alone, and the signed text
that a probe wants before it takes it over the air.
"""

import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from hostkit.errors import InputError, StorageError

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_IMAGE_BYTES = 16 << 20  # no ESP32 board has more flash
MAX_SIGNED_BYTES = 1024  # MOST_MANIFEST of firmware/sensor/ota.py
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


class Signed(msgspec.Struct, frozen=True):
    """What the signed text says: for which chip (`esp32s3`), the image's number, size and SHA-256."""

    chip: Annotated[str, Meta(pattern=r"^[a-z0-9]{1,16}$")]
    build: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    size: Annotated[int, Meta(ge=1, le=MAX_IMAGE_BYTES)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class _Update(msgspec.Struct, frozen=True):
    path: str
    manifest: Annotated[str, Meta(max_length=MAX_SIGNED_BYTES)]
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}$")]


class _Build(msgspec.Struct, frozen=True, rename="camel"):
    chip_family: str
    update: _Update | None = None


class _Manifest(msgspec.Struct, frozen=True):
    version: Annotated[str, Meta(max_length=100)]
    builds: Annotated[tuple[_Build, ...], Meta(max_length=32)]


class Image(msgspec.Struct, frozen=True):
    """An image to update probes of one chip with, and what a probe checks it by."""

    signed: Signed
    manifest: str
    signature: str
    data: bytes


class Release(msgspec.Struct, frozen=True):
    """Images by chip, as probes name theirs."""

    version: str
    images: dict[str, Image]


_manifest = msgspec.json.Decoder(_Manifest)
_signed = msgspec.json.Decoder(Signed)


def read_release(folder: Path) -> Release:
    """Read the updates of a release and hold each against its signed text; the probes check the signature.

    Raises InputError for what is no release or not as its manifest says, StorageError.
    """
    where = folder / MANIFEST
    try:
        manifest = _manifest.decode(_read(where, MAX_MANIFEST_BYTES))
    except msgspec.DecodeError as error:
        raise _bad(where, f"is no release ({error})") from error
    images = {}
    for build in manifest.builds:
        if build.update is not None:
            image = _image(folder, build.chip_family, build.update)
            images[image.signed.chip] = image
    if not images:
        raise _bad(where, "has no signed update", "make it with: scripts/release --sign KEY.pem")
    return Release(manifest.version, images)


def copied(folder: Path, into: Path) -> dict[Path, bytes]:
    """Give what to write where (io.files) so that `into` holds the updates of `folder`. Raises as `read_release`."""
    read_release(folder)
    head = _read(folder / MANIFEST, MAX_MANIFEST_BYTES)
    names = [_name(build.update.path) for build in _manifest.decode(head).builds if build.update is not None]
    return {into / name: _read(folder / name, MAX_IMAGE_BYTES) for name in names} | {into / MANIFEST: head}


def _image(folder: Path, family: str, update: _Update) -> Image:
    try:
        signed = _signed.decode(update.manifest)
    except msgspec.DecodeError as error:
        raise _bad(folder / MANIFEST, f"{family}: the signed text is none ({error})") from error
    if signed.chip != family.lower().replace("-", ""):
        raise _bad(folder / MANIFEST, f"{family}: the signed text is for {signed.chip}")
    path = folder / _name(update.path)
    data = _read(path, MAX_IMAGE_BYTES)
    if len(data) != signed.size or sha256(data).hexdigest() != signed.sha256:
        raise _bad(path, "is not what the signed text says")
    return Image(signed, update.manifest, update.signature, data)


def _name(path: str) -> str:
    if not _NAME.fullmatch(path) or path.startswith("."):
        raise InputError("a part's path is no file name", where=MANIFEST, next_step="name files beside the manifest")
    return path


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError as error:
        raise _bad(path, "is missing") from error
    except OSError as error:
        step = "check the file and its rights"
        raise StorageError(f"cannot be read ({error.strerror})", where=str(path), next_step=step) from error
    if len(data) > most:
        raise _bad(path, f"is larger than {most} bytes")
    return data


def _bad(path: Path, what: str, next_step: str = "fetch the release again") -> InputError:
    return InputError(what, where=str(path), next_step=next_step)
