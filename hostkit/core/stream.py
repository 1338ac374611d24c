"""Captures that arrive in pieces: `tcpdump -w -` on a pipe, or a probe's records. Keeps at most one packet waiting."""

import numpy as np
from numpy.typing import NDArray

from hostkit.core.dot11 import FRAME, CaptureCounts, CaptureReader, Classifier

HEAD_BYTES = 24  # the header of a pcap; any other container starts with more
MAX_WAITING_BYTES = 16 * 1024 * 1024  # the longest pcapng block that is read


class StreamReader:
    """Reads what CaptureReader reads, in pieces of any size, and gives the same rows.

    Never holds more than MAX_WAITING_BYTES besides the piece just fed. Refuses as CaptureReader does (InputError);
    what came whole before the damage has been given by then.
    """

    def __init__(self, key: bytes, *, name: str = "stream", volatile: Classifier | None = None) -> None:
        self._key, self._name, self._volatile = key, name, volatile
        self._reader: CaptureReader | None = None
        self._waiting = bytearray()
        self._needed = HEAD_BYTES

    def feed(self, data: bytes | bytearray | memoryview) -> NDArray[np.void]:
        """Take the next octets and give the rows (dtype FRAME) that are whole with them."""
        self._waiting += data
        if len(self._waiting) < self._needed:
            return np.empty(0, FRAME)
        return self._read(is_last=False)

    def finish(self) -> NDArray[np.void]:
        """Say that nothing follows; give the rows that only the end made whole. A packet cut short is counted."""
        return self._read(is_last=True)

    @property
    def counts(self) -> CaptureCounts | None:
        """What was read so far; None before the header came."""
        return self._reader.counts if self._reader else None

    @property
    def position(self) -> int:
        """Bytes done."""
        return self._reader.position if self._reader else 0

    def _read(self, *, is_last: bool) -> NDArray[np.void]:
        piece = bytes(self._waiting)
        if self._reader is None:
            self._reader = CaptureReader(piece, self._key, name=self._name, volatile=self._volatile, is_last=is_last)
        else:
            self._reader.go_on(piece, is_last=is_last)
        rows = self._reader.read(len(piece) + 1)  # all of them: no packet is shorter than an octet
        done, self._needed = self._reader.done
        del self._waiting[:done]
        return rows
