"""`footfall bundle`: everything an installer's laptop or a hub without internet needs, in one folder. No logic."""

import json
import sys
from pathlib import Path

import click

from hostkit.cli import text
from hostkit.cli.options import json_option
from hostkit.errors import UsageError
from hostkit.install.firmware import source_folder
from hostkit.install.offline import Manifest, Wanted, check, pack
from hostkit.install.wheelhouse import MACHINES, Target, fetch_by_pip

DEFAULT_MACHINES = ("linux-x86_64", "linux-aarch64")
OLDEST = 11  # of Python 3, as pyproject has it


def minors(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[int, ...]:
    """Read `3.11` as its minor number. Raises UsageError."""
    for one in value:
        if not (one.startswith("3.") and one[2:].isdecimal() and OLDEST <= int(one[2:]) <= 99):
            raise UsageError(f"{one[:20]!a} is no Python", where="--python", next_step=f"write 3.{OLDEST} or later")
    return tuple(int(one[2:]) for one in value) or (sys.version_info.minor,)


@click.command(
    epilog="""Examples:

    \b
      scripts/wheels                                         wheels of Footfall itself, into dist
      footfall bundle --wheel dist/*aarch64.whl --wheel dist/*x86_64.whl --images release
      footfall bundle --machine windows-amd64 --wheel dist/footfall-0.1.0-cp311-cp311-win_amd64.whl
      footfall bundle --check footfall-bundle

    \b
    Then, on the machine without internet: python3 footfall-bundle/install.py

    \b
    Exit codes: 0 done, 2 the folder is there or no wheel of Footfall fits a machine, 3 a part is broken,
    5 cannot be written, 6 a package could not be fetched."""
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("footfall-bundle"),
    show_default=True,
    metavar="DIR",
    help="A new folder.",
)
@click.option(
    "--wheel",
    "wheels",
    multiple=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Of Footfall, one for each machine and Python; may be repeated.",
)
@click.option(
    "--machine",
    "machines",
    multiple=True,
    type=click.Choice(MACHINES),
    help="May be repeated.  [default: linux-x86_64 and linux-aarch64]",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    callback=minors,
    metavar="3.N",
    help="Of those machines; may be repeated.  [default: this one's]",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    help="Release folder of probe images (scripts/release).",
)
@click.option(
    "--firmware",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    help="Firmware files for boards with MicroPython.  [default: this checkout's]",
)
@click.option(
    "--font",
    "fonts",
    multiple=True,
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="A font to take along, beside the wheel with Chinese letters.",
)
@click.option(
    "--check",
    "checked",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    help="Hold a bundle against its SHA-256 instead.",
)
@json_option
def bundle(
    *, out: Path, wheels: tuple[Path, ...], machines: tuple[str, ...], pythons: tuple[int, ...], images: Path | None,
    firmware: Path | None, fonts: tuple[Path, ...], checked: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Pack wheels, images, firmware files and fonts with their SHA-256 and a script that installs without internet.

    Needs internet itself, unless pip finds the packages elsewhere (PIP_FIND_LINKS).
    """
    if checked is not None:
        _show(check(checked), checked, as_json=as_json)
        return
    targets = [Target(machine=machine, minor=minor) for machine in machines or DEFAULT_MACHINES for minor in pythons]
    wanted = Wanted(
        targets=tuple(targets), own=wheels, images=images, firmware=firmware or source_folder(), fonts=fonts
    )
    manifest = pack(wanted, out, fetch_by_pip, lambda line: text.remark(f"{out}: {line}"))
    if images is None:
        text.remark(f"{out}: no images; --images takes a release folder, for boards that are blank")
    _show(manifest, out, as_json=as_json)


def _show(manifest: Manifest, folder: Path, *, as_json: bool) -> None:
    size = sum(one.size for one in manifest.files)
    if as_json:
        facts = {
            "folder": str(folder), "footfall": manifest.footfall, "targets": manifest.targets,
            "files": len(manifest.files), "bytes": size,
        }  # fmt: skip
        text.emit(json.dumps(facts) + "\n")
        return
    text.remark(f"{folder}: {len(manifest.files)} files, {size / 1e6:.0f} MB, for {'; '.join(manifest.targets)}")
    text.remark(f"next: copy it there and run: python3 {folder.name}/install.py")
