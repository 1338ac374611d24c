"""Files that hold a secret: read where nobody else can, refused where others may. Writes nothing.

Under systemd a file of the same name in `$CREDENTIALS_DIRECTORY` (`LoadCredential=`, `LoadCredentialEncrypted=`) comes
before the one on disk; systemd guards that folder, so its modes are not judged.
"""

import os
import stat
from pathlib import Path

from hostkit.errors import ConfigError

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def secret_path(path: Path) -> Path:
    """Give the file to read instead of `path`: systemd's credential of that name, else itself.

    ConfigError where it is missing or the group or anybody may read or write it.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    given = Path(folder, path.name) if folder else None
    if given and given.is_file():
        return given
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", where=str(path), next_step="check the path, or restore its backup"
        ) from error
    if os.name == "posix" and mode & OTHERS:
        raise ConfigError(
            f"holds a secret that others may read (mode {mode:04o})",
            where=str(path),
            next_step=f"chmod 600 {path} (on a USB stick that does nothing: copy it first); "
            "if somebody else uses this machine, enrol anew",
        )
    return path


def read_secret(path: Path) -> bytes:
    """Read it; see `secret_path`."""
    chosen = secret_path(path)
    try:
        return chosen.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", where=str(chosen), next_step="run as the user it belongs to"
        ) from error
