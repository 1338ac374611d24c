"""tshark as the reference dissector: chosen fields of every packet of a capture, line by line. Keeps nothing."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hostkit.errors import InputError

MAX_LINE_BYTES = 65_536  # a longer one is cut: a frame has at most a thousand elements
_QUIET = ("-n", "-o", "wlan.defragment:FALSE", "-o", "wlan.enable_decryption:FALSE")


def tshark_version() -> str:
    """Give the version of the installed tshark; InputError says how to install one."""
    program = shutil.which("tshark")
    if program is None:
        raise InputError("tshark is not installed", where="PATH", next_step="install it: apt install tshark")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60)
    words = done.stdout.split()
    return words[2] if len(words) > 2 else "unknown"


@contextmanager
def dissected(path: Path, fields: Sequence[str]) -> Iterator[Iterator[tuple[str, ...]]]:
    """Give, for each packet of the capture, the text of each of `fields`; several values are joined by commas."""
    command = [
        "tshark",
        *_QUIET,
        "-r",
        str(path.absolute()),
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=,",
    ]
    for name in fields:
        command += ["-e", name]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    ) as child:
        lines = child.stdout
        assert lines is not None
        try:
            yield _rows(iter(lambda: lines.readline(MAX_LINE_BYTES), b""), len(fields))
        finally:
            child.kill()


def _rows(lines: Iterator[bytes], width: int) -> Iterator[tuple[str, ...]]:
    for line in lines:
        texts = line.decode("ascii", "replace").rstrip("\n").split("\t")
        yield (*texts, *[""] * (width - len(texts)))[:width]
