"""Lists of addresses a person keeps: one a line, `#` begins a comment. Names the line that is no address."""

from pathlib import Path

from hostkit.core.address import parse_address
from hostkit.errors import InputError, StorageError

MAX_BYTES = 4_000_000  # two hundred thousand addresses


def read_addresses(path: Path) -> tuple[bytes, ...]:
    """Read the 6-byte addresses listed at `path`. Raises InputError naming the line, or StorageError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except PermissionError as error:
        raise StorageError(
            "may not be read", where=str(path), next_step="give yourself the right to read it"
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), next_step="check the path") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"is over {MAX_BYTES} bytes", where=str(path), next_step="give a list of addresses")
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    entries = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1))
    return tuple(parse_address(text, where=f"{path}:{number}") for number, text in entries if text)
