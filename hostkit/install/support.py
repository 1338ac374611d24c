"""A file to send to support: what the doctor found, the machine, the site file, journals and logs, all redacted."""

import getpass
import io
import json
import platform
import socket
import sys
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path

from hostkit import __version__
from hostkit.errors import InputError
from hostkit.install.redact import redact
from hostkit.io.files import write_files

MAX_FILE_BYTES = 2 << 20  # of a log, its end
_EPOCH = (1980, 1, 1, 0, 0, 0)


def bundle(path: Path, doctor: dict[str, object], files: Sequence[Path]) -> tuple[list[str], int]:
    """Write the file; give the names inside and how many things were removed. InputError names what cannot be read."""
    texts = {"doctor.json": json.dumps(doctor, indent=1), "machine.txt": _machine()}
    for number, file in enumerate(files, 1):
        texts[f"{number}-{file.name}"] = _end_of(file)
    clean, removed = redact(texts, known=_own_names())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in clean.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)
    write_files({path: buffer.getvalue()}, private=True)
    return list(clean), removed


def _machine() -> str:
    packages = sorted(f"{one.metadata['Name']} {one.version}" for one in distributions())
    lines = [f"footfall {__version__}", f"python {sys.version.split()[0]}", platform.platform(), *packages]
    return "\n".join(lines) + "\n"


def _end_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), next_step="check the path") from error
    return data[-MAX_FILE_BYTES:].decode("utf-8", "replace")


def _own_names() -> list[str]:
    names = [socket.gethostname()]
    with suppress(OSError, KeyError, ImportError):  # no such user, or no way to ask
        names.append(getpass.getuser())
    return [*names, Path.home().name]
