"""A board that runs plain MicroPython: the real interpreter's console on a cable, its folder the flash."""

import os
import subprocess
import threading
from pathlib import Path

from tests.firmware.board import interpreter
from tests.firmware.cable import Cable


class Console:
    """`port` is where it hangs, `flash` its files. A soft reset, which comes in raw mode, ends the interpreter:
    it starts again and is put into raw mode again, as a board is.
    """

    def __init__(self, port: Path, flash: Path) -> None:
        self.port, self.flash = port, flash
        flash.mkdir(exist_ok=True)
        self.cable = Cable(port)
        self.starts = 0
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._power)
        self._thread.start()

    def _power(self) -> None:
        line = os.open(self.cable.board_path, os.O_RDWR | os.O_NOCTTY)
        while not self._over.is_set():
            self._process = subprocess.Popen(
                [interpreter(), "-i"], cwd=self.flash, stdin=line, stdout=line, stderr=line, start_new_session=True
            )
            self.starts += 1
            if self.starts > 1:
                os.write(self.cable._board_end, b"\x01")
            self._process.wait()
            os.write(line, b"MPY: soft reboot\r\n")
        os.close(line)

    def off(self) -> None:
        self._over.set()
        while self._thread.is_alive():
            if self._process:
                self._process.kill()
            self._thread.join(0.05)
        self.cable.close()
