"""Images to flash: a real MicroPython for the ESP32 where it can be had, and made ones."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CI
from tests.install.image import Made, made_image

ROOT = Path(__file__).parents[2]
CARRIER = "mp-image-tool-esp32==0.1.1"  # its sdist holds upstream's ESP32_GENERIC image
IMAGE = "ESP32_GENERIC-20240602-v1.23.0.bin"


@pytest.fixture(scope="session")
def micropython_image() -> Path:
    """Give upstream's MicroPython 1.23 for the ESP32, fetched once into build/."""
    folder = ROOT / "build" / "images"
    path = folder / IMAGE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            ":all:",
            "-d",
            str(folder),
        ]
        done = subprocess.run([*command, CARRIER], capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{CARRIER} cannot be fetched: {done.stderr[-300:]}"
            pytest.fail(message) if CI else pytest.skip(message)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            member = archive.extractfile(next(name for name in archive.getnames() if name.endswith(IMAGE)))
            assert member
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                shutil.copyfileobj(member, file)
            part.replace(path)
    return path


def release(folder: Path, *images: Path, version: str = "1.0") -> Path:
    """Lay out a release as its script does."""
    command = [sys.executable, str(ROOT / "scripts" / "release"), *map(str, images), "--version", version]
    subprocess.run([*command, "--out", str(folder)], check=True, capture_output=True)
    assert json.loads((folder / "manifest.json").read_text())["builds"]
    return folder


@pytest.fixture(scope="session")
def real_release(micropython_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a release of the real image."""
    return release(tmp_path_factory.mktemp("real") / "release", micropython_image, version="1.23.0")


@pytest.fixture
def made_release(tmp_path: Path) -> Callable[..., Path]:
    """Make a release of made images, one a chip."""

    def make(*made: Made, version: str = "1.0") -> Path:
        paths = []
        for number, one in enumerate(made):
            path = tmp_path / f"made-{version}-{number}.bin"
            path.write_bytes(made_image(one))
            paths.append(path)
        return release(tmp_path / f"release-{version}", *paths, version=version)

    return make
