"""One serial port as a stream of frames (pyserial). One thread reads and writes; what goes out waits, bounded."""

import errno
import glob
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, Full, Queue

import serial

from hostkit.core.framing import FrameKind, FrameReader, encode_frame
from hostkit.errors import PeerError

BAUD = 921_600
READ_S = 0.02
WRITE_S = 0.5
READ_BYTES = 4096
QUEUED_FRAMES = 64
RESET_S = 0.1  # how long the line holds a board's EN low

Took = Callable[["Line", FrameKind, bytes], None]


class Line:
    """An open port. Its thread calls `took(line, kind, payload)`; `gone` is set once the port is lost or closed.

    `heard` is called with every byte as it comes, frames or not.
    """

    def __init__(self, path: str, took: Took, heard: Callable[[bytes], None] = lambda data: None) -> None:
        """Open the port. Raises PeerError with what to do if it is busy, forbidden or no serial port."""
        self.path = path
        self.sent_too_much = 0  # frames dropped because the probe does not read
        self.gone = threading.Event()
        self._took, self._heard = took, heard
        self._reader = FrameReader()
        self._out: Queue[bytes] = Queue(QUEUED_FRAMES)
        try:
            self._port = serial.Serial(path, BAUD, timeout=READ_S, write_timeout=WRITE_S, exclusive=True)
        except (OSError, ValueError) as error:
            raise _refusal(path, error) from error
        self._thread = threading.Thread(target=self._run, name=f"serial {path}", daemon=True)
        self._thread.start()

    @property
    def damaged(self) -> int:
        """Frames that came damaged."""
        return self._reader.damaged

    def send(self, kind: FrameKind, payload: bytes | bytearray) -> bool:
        """Queue a frame; False, counted, if the probe has stopped reading."""
        return self.send_bytes(encode_frame(kind, bytes(payload)))

    def send_bytes(self, data: bytes) -> bool:
        """Queue bytes that are no frame; False, counted, as above."""
        try:
            self._out.put_nowait(data)
        except Full:
            self.sent_too_much += 1
            return False
        return True

    def reset(self) -> None:
        """Restart the board by the lines that its USB chip has for it; nothing happens where it has none."""
        with suppress(OSError):
            self._port.dtr, self._port.rts = False, True
            time.sleep(RESET_S)
            self._port.rts = False

    def close(self) -> None:
        """End the thread and free the port."""
        self.gone.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            self._port.write(b"\0")
            while not self.gone.is_set():
                data = self._port.read(READ_BYTES)
                self._heard(data)
                for kind, payload in self._reader.feed(data):
                    self._took(self, kind, payload)
                self._write_queued()
        except OSError:  # unplugged; serial.SerialException is one
            pass
        finally:
            self.gone.set()
            self._port.close()

    def _write_queued(self) -> None:
        try:
            while True:
                self._port.write(self._out.get_nowait())
        except Empty:
            return
        except serial.SerialTimeoutException:
            self.sent_too_much += 1


def matching(patterns: Iterable[str]) -> list[str]:
    """Give the ports that are there now: paths, globs (`/dev/ttyUSB*`) or names like `COM3`."""
    found: dict[str, None] = {}
    for pattern in patterns:
        is_glob = glob.has_magic(pattern) or "/" in pattern
        found |= dict.fromkeys(sorted(glob.glob(pattern)) if is_glob else [pattern])
    return list(found)


def _refusal(path: str, error: Exception) -> PeerError:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        step = "put the hub's user into the group that owns it: sudo usermod -aG dialout $USER, and log in again"
    elif number in {errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK}:
        step = "close the program that has it open"
    else:
        step = "plug the probe in again, or name another port"
    return PeerError(f"cannot be opened: {getattr(error, 'strerror', None) or error}", where=path, next_step=step)
