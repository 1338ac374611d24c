"""One outside program: run to its end, its lines as they come, stopped when asked. Knows none of the programs."""

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from hostkit.errors import PeerError, StorageError

KEPT_LINES = 200
MAX_LINE = 400  # characters
_READ_BYTES = 4096
_POLL_S = 0.1
_BREAK = re.compile(r"[\r\n]+")


def run_program(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None] = lambda line: None,
    check: Callable[[], None] = lambda: None,
    timeout_s: float,
    cwd: Path | None = None,
) -> tuple[int, list[str]]:
    """Run `argv` without a shell or input; give its exit code and its last lines, both streams, cleaned and bounded.

    A carriage return ends a line too (progress bars). `check` is called ten times a second: what it raises ends the
    program and comes through. PeerError after `timeout_s`, StorageError where the program cannot be started.
    """
    said: queue.Queue[str | None] = queue.Queue()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **_PLAIN},
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle
        )
    except OSError as error:
        raise StorageError(f"cannot start ({error.strerror})", where=argv[0], next_step="install it") from error
    assert process.stdout
    threading.Thread(target=_read, args=(process.stdout, said), daemon=True).start()
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    give_up = time.monotonic() + timeout_s
    try:
        while (line := _next(said)) is not None:
            if line:
                lines.append(line)
                on_line(line)
            check()
            if time.monotonic() > give_up:
                raise PeerError(
                    f"not done after {timeout_s:.0f} s", where=_name(argv), next_step="unplug the board and try again"
                )
        return process.wait(_POLL_S * 100), list(lines)
    finally:
        process.kill()
        process.wait()


_PLAIN = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "300"}


def _name(argv: Sequence[str]) -> str:
    return argv[2] if argv[:2] == [sys.executable, "-m"] else argv[0]


def _next(said: "queue.Queue[str | None]") -> str | None:
    """Give the next line, "" where none came in a while, None at the end."""
    try:
        return said.get(timeout=_POLL_S)
    except queue.Empty:
        return ""


def _read(stream: IO[bytes], said: "queue.Queue[str | None]") -> None:
    held = ""
    with stream:
        while data := os.read(stream.fileno(), _READ_BYTES):
            *whole, held = _BREAK.split(held + data.decode("utf-8", "replace"))
            for line in whole:
                said.put(_clean(line))
            held = held[-MAX_LINE:]
    said.put(_clean(held))
    said.put(None)


def _clean(line: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in line.strip()[:MAX_LINE])
