"""A whole board on one port: a chip's boot loader, and whatever the image in its flash makes of it when it is reset.

A pty has no reset lines. That somebody speaks to the boot loader puts the chip there, as BOOT and RESET do on a board;
that nobody has the port open any more resets it.
"""

import os
import select
import shutil
import subprocess
import termios
import threading
import time
import tty
from pathlib import Path

from tests.firmware.board import FIRMWARE, POWER_ON, RESET_EXIT, SOFT, Board, interpreter
from tests.install.rom import ERASE_ALL, Rom

HELLO = b"\x07\x07\x12\x20" + b"\x55" * 32  # esptool's SYNC
ESP32 = Path(__file__).parent / "esp32"
STEP_S = 0.02
COMPLAIN_S = 0.2


class Chip(Rom):
    """`ours` and `plain` are images, from the boot loader on: with Footfall in it, and MicroPython alone.

    MicroPython alone runs the files that were put on it, or its prompt. `board` is the firmware while it runs; erasing
    the flash takes its files. `prepare`: statements that every boot of the firmware runs first. `boots` says what it
    ran, in order.
    """

    def __init__(
        self, folder: Path, *, name: str = "ttyUSB0", ours: bytes = b"", plain: bytes = b"", prepare: str = ""
    ) -> None:
        self._prepare = prepare
        self.files = folder / f"files-{name}"
        self._images = {"footfall": ours, "micropython": plain}
        self._inner, board = os.openpty()
        tty.setraw(board)
        self._line = os.ttyname(board)
        self._board_end = board
        files = self.files if plain else FIRMWARE
        self.board = Board(self.files, pty=self._line, stock=bool(plain), firmware=files)
        self.boots: list[str] = []
        self._halted = True
        self._process: subprocess.Popen[bytes] | None = None
        self._loader, self._over, self._lock = threading.Event(), threading.Event(), threading.RLock()
        super().__init__(folder / name)
        self._power_thread = threading.Thread(target=self._power)
        self._power_thread.start()

    def off(self) -> None:
        """Cut the power for good."""
        self._over.set()
        self._halt()
        self._power_thread.join()
        self.pull()
        self.board.stop()
        os.close(self._board_end)
        os.close(self._inner)

    def pull(self) -> None:
        """Pull the cable: the board is powered by it."""
        super().pull()
        self._halt()

    # -- the line --

    def _serve(self, fd: int) -> None:
        held, tail, self._stub = b"", b"", False
        while self._fd == fd:
            try:
                ready = select.select([fd, self._inner], [], [], STEP_S)[0]
                said = os.read(self._inner, 65536) if self._inner in ready else b""
                data = os.read(fd, 65536) if fd in ready else b""
                if said and not self._loader.is_set():
                    os.write(fd, said)
            except OSError:  # nobody has the port open
                held, tail, self._stub = b"", b"", False
                self._loader.clear()
                time.sleep(STEP_S)
                continue
            if not self._loader.is_set():
                tail += data
                if HELLO not in tail:
                    tail = tail[-len(HELLO) :]
                    os.write(self._inner, data)
                    continue
                self._loader.set()
                self._halt()
            *packets, held = (held + data).split(b"\xc0")
            for packet in packets:
                if len(packet) >= 8 and not self.silent and self._fd == fd:
                    self._take(packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))

    def _on_flash(self, command: int, data: bytes) -> None:
        if command == ERASE_ALL:
            shutil.rmtree(self.files)
            self.files.mkdir()
        super()._on_flash(command, data)

    # -- what runs --

    def _halt(self) -> None:
        with self._lock:
            self._halted = True
            self.board.cut()
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            termios.tcflush(self._board_end, termios.TCIFLUSH)

    def _power(self) -> None:
        soft = False
        while not self._over.is_set():
            if self._loader.is_set() or self._fd is None:
                time.sleep(STEP_S)
                soft = False
                continue
            soft = self._run("micropython" if soft and self.boots[-1] == "micropython" else self._inside(), soft=soft)

    def _inside(self) -> str:
        """Say what the flash boots; "" where the ROM finds nothing."""
        found = [name for name, image in self._images.items() if image and self._holds(image)]
        if found == ["micropython"] and (self.files / "main.py").exists():
            return "main.py"
        return "".join(found)

    def _holds(self, image: bytes) -> bool:
        return self.flash[0x1000 : 0x1000 + len(image)] == image

    def _run(self, what: str, *, soft: bool) -> bool:
        """Run it to its end; tell whether it reset itself."""
        with self._lock:
            if self._loader.is_set() or self._over.is_set() or self._fd is None:
                return False
            if not what:
                os.write(self._board_end, b"invalid header: 0xffffffff\r\n")
                time.sleep(COMPLAIN_S)
                return False
            if not (soft and self.boots[-1:] == [what]):
                self.boots.append(what)
            self._halted = False
            process = self._process = self._started(what, soft=soft)
        code = process.wait()
        with self._lock:
            if what != "micropython" and not self._halted:
                assert code == RESET_EXIT, self.board.output.read_text()[-2000:]
                self.board._close()
            return not self._halted and (what != "micropython" or code != RESET_EXIT)

    def _started(self, what: str, *, soft: bool) -> "subprocess.Popen[bytes]":
        if what == "micropython":
            if soft:
                os.write(self._board_end, b"MPY: soft reboot\r\n")
                os.write(self._inner, b"\x01")  # a soft reset in raw mode stays in it
            return subprocess.Popen(
                [interpreter(), "-i", str(ESP32 / "boot.py")], cwd=self.files, stdin=self._board_end,
                stdout=self._board_end, stderr=self._board_end, start_new_session=True,
                env={"MICROPYPATH": f".frozen:{ESP32}"},
            )  # fmt: skip
        self.board.start(cause=SOFT if soft else POWER_ON)
        self.board.run(self._prepare)
        assert self.board._process
        return self.board._process
