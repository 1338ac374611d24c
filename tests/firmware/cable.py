"""A cable between a board and whoever has its port: two ptys; damaged and unplugged at will."""

import os
import random
import select
import threading
import time
import tty
from pathlib import Path


class Cable:
    """Two ptys and a thread between them. `spoil`: share of bytes lost, doubled or changed, each way."""

    def __init__(self, plug: Path) -> None:
        self._plug = plug
        self._random = random.Random(7)
        self.spoil = 0.0
        self._board_end, board = os.openpty()
        tty.setraw(board)
        self.board_path = os.ttyname(board)
        self._ends: list[int] = []
        self._over = threading.Event()
        self.plug_in()
        threading.Thread(target=self._carry, daemon=True).start()

    def plug_in(self) -> None:
        """Let the hub see a port."""
        hub_end, hub = os.openpty()
        tty.setraw(hub)
        self._ends = [hub_end]
        self._plug.symlink_to(os.ttyname(hub))
        os.close(hub)  # who holds a port is asked

    def unplug(self) -> None:
        """Take the port away under the hub's hands."""
        ends, self._ends = self._ends, []
        self._plug.unlink()
        time.sleep(0.1)
        for end in ends:
            os.close(end)

    def close(self) -> None:
        """End."""
        self._over.set()

    def _carry(self) -> None:
        while not self._over.is_set():
            ends = [self._board_end, *self._ends[:1]]
            for end in select.select(ends, [], [], 0.02)[0]:
                other = ends[-1] if end == self._board_end else self._board_end
                try:
                    data = self._spoilt(os.read(end, 4096))
                    if other != end:  # unplugged: what the board says goes nowhere
                        os.write(other, data)
                except OSError:
                    time.sleep(0.01)  # nobody has the port open

    def _spoilt(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if self._random.random() < self.spoil:
                out += (b"", bytes((byte, byte)), bytes((byte ^ 1 << self._random.randrange(8),)))[
                    self._random.randrange(3)
                ]
            else:
                out.append(byte)
        return bytes(out)
