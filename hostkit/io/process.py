"""Child processes that never outlive us: started, watched, told to stop, killed. Knows none of the commands it runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hostkit.errors import PeerError, StorageError

STOP_S = 10.0  # a service flushes within this; then it is killed
_POLL_S = 0.02
_TAIL_BYTES = 4000
_MAX_LINE = 300

# Linux kills the child when we die, however we die; exec keeps the wish. Elsewhere leaving `Children` does.
# The getppid test closes the gap between fork and prctl.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """One process. Its output goes to `out` and `log`; start it from the main thread, whose death Linux reports."""

    def __init__(self, name: str, argv: Sequence[str], folder: Path) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.out = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        try:
            with self.out.open("ab") as out, self.log.open("ab") as log:
                return subprocess.Popen(
                    _guarded(self.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
                )
        except OSError as error:
            raise StorageError(
                f"cannot start: {error.strerror}", where=self.name, next_step="check the program and the disk"
            ) from error

    @property
    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self.process.poll() is None

    def restart(self) -> None:
        """Start the same command again after it ended. Main thread only."""
        with _ctrl_c_held():
            self.process = self._start()

    def kill(self) -> None:
        """End it at once and everything it started: SIGKILL, no goodbye."""
        if self.running:
            _signal_group(self.process, getattr(signal, "SIGKILL", signal.SIGTERM))
        self.process.wait()

    def ask_to_stop(self) -> None:
        """Ask it to end in good order."""
        if self.running:
            self.process.terminate()

    def stop(self, grace_s: float = STOP_S) -> int:
        """Ask it to end, kill it after `grace_s`, and give its exit code."""
        self.ask_to_stop()
        return self.wait(grace_s)

    def wait(self, grace_s: float) -> int:
        """Let it end by itself, kill it after `grace_s`, and give its exit code."""
        try:
            return self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def last_words(self) -> str:
        """Give the last line of its log, cleaned and short."""
        lines = [line for line in _tail(self.log).splitlines() if line.strip()]
        return "".join(char if char.isprintable() else "?" for char in lines[-1])[:_MAX_LINE] if lines else ""

    def ended(self) -> PeerError:
        """Say that it ended when it should not have."""
        said = self.last_words().removeprefix("footfall: ")
        what = f"ended with code {self.process.returncode}" + (f" ({said})" if said else "")
        return PeerError(what, where=self.name, next_step=f"read its log {self.log}")

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `ready`; raises PeerError if it ends before or takes longer."""
        give_up = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise self.ended()
            if time.monotonic() > give_up:
                raise PeerError(
                    f"not ready after {timeout_s:.0f} s", where=self.name, next_step=f"read its log {self.log}"
                )
            time.sleep(_POLL_S)


class Children:
    """Children that are stopped, last started first, when the `with` block is left in whatever way."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def start(self, name: str, argv: Sequence[str], folder: Path) -> Child:
        """Start a `Child` and take charge of it; raises StorageError. Main thread only."""
        with _ctrl_c_held():
            child = Child(name, argv, folder)
            self._children.append(child)
        return child

    def stop(self) -> None:
        """Stop all, last started first; a second Ctrl-C meanwhile kills those that are left."""
        try:
            while self._children:
                self._children[-1].stop()
                self._children.pop()
        finally:
            for child in self._children:
                child.kill()
            self._children.clear()

    def check(self) -> None:
        """Raise PeerError if one has ended."""
        for child in self._children:
            if not child.running:
                raise child.ended()


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block: a child that is started and not yet written down would be nobody's."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _guarded(argv: Sequence[str]) -> list[str]:
    if not sys.platform.startswith("linux"):
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv]


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    killpg = getattr(os, "killpg", None)
    try:
        if killpg is None:
            process.kill()
        else:
            killpg(process.pid, number)  # it leads its own session
    except ProcessLookupError:
        return


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - _TAIL_BYTES, 0))
        return file.read().decode("utf-8", "replace")
