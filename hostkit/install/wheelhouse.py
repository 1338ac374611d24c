"""Every wheel that a machine without internet needs, of its system and its Python. Fetched by pip, then proven whole.

pip judges requirements by the machine it runs on, not by the one it fetches for: what that leaves out is found here,
by walking the wheels' own metadata as the other machine would read it.
"""

import email.parser
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from hostkit.errors import InputError, PeerError, UsageError
from hostkit.io.program import run_program

GLIBC = 36  # 2.36: Debian 12 and Raspberry Pi OS of the same base, the oldest the hub's image is made from
FETCH_S = 1800.0
MAX_ROUNDS = 6  # of fetching what the other machine needs besides
MAX_METADATA_BYTES = 1_000_000

# platform_machine, sys_platform, os_name, platform_system as the markers of PEP 508 name them.
_SYSTEMS: Mapping[str, tuple[str, str, str, str]] = MappingProxyType(
    {
        "linux-x86_64": ("x86_64", "linux", "posix", "Linux"),
        "linux-aarch64": ("aarch64", "linux", "posix", "Linux"),
        "windows-amd64": ("AMD64", "win32", "nt", "Windows"),
        "macos-arm64": ("arm64", "darwin", "posix", "Darwin"),
        "macos-x86_64": ("x86_64", "darwin", "posix", "Darwin"),
    }
)
MACHINES = tuple(_SYSTEMS)
Fetch = Callable[[Path, "Target", Sequence[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A machine, one of MACHINES, and the minor version of its CPython 3."""

    machine: str
    minor: int

    def __str__(self) -> str:
        return f"{self.machine}, Python 3.{self.minor}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Give the platform tags it takes, the best first."""
        arch = self.machine.partition("-")[2]
        if self.machine.startswith("linux"):
            many = [f"manylinux_2_{minor}_{arch}" for minor in range(GLIBC, 16, -1)]
            older = (
                [f"manylinux2014_{arch}"] if arch == "aarch64" else [f"manylinux{v}_{arch}" for v in (2014, 2010, 1)]
            )
            return (*many, *older, f"linux_{arch}")
        if self.machine.startswith("windows"):
            return ("win_amd64",)
        newest = [f"macosx_{major}_0_{kind}" for major in range(14, 10, -1) for kind in (arch, "universal2")]
        oldest = [f"macosx_10_{minor}_{kind}" for minor in range(16, 8, -1) for kind in (arch, "universal2")]
        return (*newest, *oldest) if arch == "x86_64" else tuple(newest)

    def tags(self) -> frozenset[Tag]:
        """Give every tag of a wheel that it takes."""
        version = (3, self.minor)
        own = cpython_tags(version, platforms=self.platforms)
        return frozenset((*own, *compatible_tags(version, f"cp3{self.minor}", self.platforms)))

    def environment(self) -> dict[str, str]:
        """Give what the markers of requirements are judged by."""
        machine, platform, os_name, system = _SYSTEMS[self.machine]
        return {
            "platform_machine": machine, "sys_platform": platform, "os_name": os_name, "platform_system": system,
            "python_version": f"3.{self.minor}", "python_full_version": f"3.{self.minor}.0",
            "implementation_name": "cpython", "platform_python_implementation": "CPython",
            "implementation_version": f"3.{self.minor}.0", "platform_release": "", "platform_version": "",
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel's name as its file says it, and what it requires as its metadata says."""

    path: Path
    name: str
    version: Version
    tags: frozenset[Tag]
    requires: tuple[Requirement, ...]
    extras: frozenset[str]


def read_wheel(path: Path) -> Wheel:
    """Read a wheel's name and metadata; InputError for what is none."""
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            inside = next(one for one in archive.infolist() if one.filename.endswith(".dist-info/METADATA"))
            if inside.file_size > MAX_METADATA_BYTES:
                raise ValueError("metadata is too long")
            said = email.parser.BytesParser().parsebytes(archive.read(inside), headersonly=True)
        requires = tuple(Requirement(str(line)) for line in said.get_all("Requires-Dist", []))
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile, InvalidWheelFilename, InvalidRequirement) as error:
        raise InputError(
            f"is no wheel ({str(error)[:80]!a})", where=str(path), next_step="give a .whl file that pip would install"
        ) from error
    extras = frozenset(canonicalize_name(str(one)) for one in said.get_all("Provides-Extra", []))
    return Wheel(path=path, name=name, version=version, tags=tags, requires=requires, extras=extras)


def missing(wheels: Iterable[Wheel], target: Target, wanted: Iterable[str]) -> list[str]:
    """Give the requirements that no wheel meets on `target`, beginning from `wanted`, such as `footfall[install]`."""
    taken = target.tags()
    fitting: dict[str, list[Wheel]] = {}
    for wheel in wheels:
        if wheel.tags & taken:
            fitting.setdefault(wheel.name, []).append(wheel)
    todo, seen, lacking = [Requirement(one) for one in wanted], set[tuple[str, frozenset[str]]](), dict[str, None]()
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        found = [wheel for wheel in fitting.get(name, []) if one.specifier.contains(wheel.version, prereleases=True)]
        if not found:
            lacking[f"{name}{one.specifier}"] = None
        elif (name, frozenset(one.extras)) not in seen:
            seen.add((name, frozenset(one.extras)))
            todo += _requires(max(found, key=lambda wheel: wheel.version), one.extras, target)
    return sorted(lacking)


def gather(folder: Path, own: Sequence[Path], target: Target, extras: str, fetch: Fetch) -> tuple[Path, ...]:
    """Fill `folder` with what `footfall[extras]` needs on `target`; `own` are wheels of ours, copied there already.

    Gives the wheels that `target` uses. UsageError where no wheel of ours fits; InputError where something cannot be
    had as a wheel.
    """
    root = f"footfall[{extras}]"
    if not any(read_wheel(path).tags & target.tags() for path in own):
        raise UsageError(
            f"no wheel of footfall is for {target}", where="--wheel",
            next_step="build it there or with cibuildwheel (see pyproject.toml) and give it, or leave that machine out",
        )  # fmt: skip
    for _ in range(MAX_ROUNDS):
        lacking = missing(map(read_wheel, sorted(folder.glob("*.whl"))), target, [root])
        if not lacking:
            return tuple(path for path in sorted(folder.glob("*.whl")) if read_wheel(path).tags & target.tags())
        fetch(folder, target, lacking)
    raise InputError(f"{', '.join(lacking)} cannot be had", where=str(target), next_step="build those wheels there")


def fetch_by_pip(folder: Path, target: Target, requirements: Sequence[str]) -> None:
    """Download wheels for `target`; what its index has only as source is built here, which must give one for any."""
    code, said = _pip("download", folder, target, requirements)
    if code == 0:
        return
    for requirement in requirements:  # one of them is source only
        code, said = _pip("download", folder, target, [requirement])
        if code != 0:
            code, said = run_program(
                [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), requirement],
                timeout_s=FETCH_S,
            )
        if code != 0:
            raise PeerError(
                f"{requirement} for {target}: {_reason(said)}", where="pip",
                next_step="is there internet? else give --wheel for it; to look closer: pip download " + requirement,
            )  # fmt: skip


def _pip(verb: str, folder: Path, target: Target, requirements: Sequence[str]) -> tuple[int, list[str]]:
    platforms = [word for platform in target.platforms for word in ("--platform", platform)]
    python = ["--python-version", f"3.{target.minor}", "--implementation", "cp", "--abi", f"cp3{target.minor}"]
    argv = [
        sys.executable, "-m", "pip", verb, "--disable-pip-version-check", "--no-input", "--only-binary=:all:",
        "--dest", str(folder), "--find-links", str(folder), *platforms, *python, "--abi", "abi3", "--abi", "none",
        *requirements,
    ]  # fmt: skip
    return run_program(argv, timeout_s=FETCH_S)


def _reason(said: Sequence[str]) -> str:
    errors = [line for line in said if line.startswith("ERROR")] or list(said)
    return errors[0].removeprefix("ERROR: ")[:160] if errors else "pip said nothing"


def _requires(wheel: Wheel, extras: Iterable[str], target: Target) -> Iterator[Requirement]:
    environments = [target.environment() | {"extra": extra} for extra in ("", *extras)]
    for requirement in wheel.requires:
        if requirement.marker is None or any(requirement.marker.evaluate(one) for one in environments):
            yield requirement
