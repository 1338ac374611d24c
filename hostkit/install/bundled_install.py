"""Installs Footfall from the folder it lies in, without internet. Python alone is needed; copied there as install.py.

  python3 install.py                 into ./footfall
  python3 install.py --to DIR
  python3 install.py --check         only see that every file is whole

It takes nothing from the network and changes nothing outside DIR.
"""

import argparse
import hashlib
import json
import platform
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = "bundle.json"


def main() -> int:
    """Check, make an environment, install, say how it is started."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path("footfall"), metavar="DIR", help="a new folder")
    parser.add_argument("--check", action="store_true", help="only check the files")
    given = parser.parse_args()
    try:
        manifest = json.loads((HERE / MANIFEST).read_text("utf-8"))
        check({entry["path"]: entry["sha256"] for entry in manifest["files"]})
        if not given.check:
            install(f"footfall[{manifest['extras']}]=={manifest['footfall']}", manifest["targets"], given.to.absolute())
    except (OSError, ValueError, KeyError, TypeError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"install: {error}\n")
        return 3
    return 0


def check(sums: dict[str, str]) -> None:
    """Hold every file against its SHA-256; ValueError names the first that differs."""
    for name, wanted in sums.items():
        path = HERE / name
        if not path.is_file() or digest(path) != wanted:
            raise ValueError(f"{name}: missing or damaged; next: copy the folder again")
    sys.stdout.write(f"{len(sums)} files are whole\n")


def digest(path: Path) -> str:
    """SHA-256 of a file, a MiB at a time."""
    made = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            made.update(part)
    return made.hexdigest()


def install(requirement: str, targets: list[str], folder: Path) -> None:
    """Make an environment in `folder` and install there from the wheels beside this file."""
    here = f"{system()}, Python 3.{sys.version_info.minor}"
    if here not in targets:
        known = "; ".join(targets)
        raise ValueError(f"this is {here}, the bundle is for {known}; next: start it with such a Python")
    if folder.exists():
        raise ValueError(f"{folder}: is there already; next: delete it or name another with --to")
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [str(scripts / "python"), "-m", "pip", "--isolated", "install", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "--no-index", "--find-links", str(HERE / "wheels"), requirement], check=True)
    sys.stdout.write(f"installed; start it with: {scripts / 'footfall'}\n")


def system() -> str:
    """Name this machine as the manifest does."""
    name = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    return f"{name}-{platform.machine().lower()}"


if __name__ == "__main__":
    sys.exit(main())
