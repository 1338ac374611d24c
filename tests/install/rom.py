"""A chip's boot loader on a pty, with faults: silent, another chip, a worn flash, a pulled cable, a bad line.

Protocol: esptool's documentation, "Serial Protocol". ROM until a stub is uploaded, the stub's commands after that.
"""

import contextlib
import hashlib
import os
import struct
import termios
import threading
import time
import tty
import zlib
from pathlib import Path

SYNC, READ_REG, SECURITY, MEM_END, CHANGE_BAUD = 0x08, 0x0A, 0x14, 0x06, 0x0F
DEFL_BEGIN, DEFL_DATA, MD5, ERASE_ALL, ERASE_REGION, READ_FLASH = 0x10, 0x11, 0x13, 0xD0, 0xD1, 0xD2
MAGIC_REGISTER, ESP32_MAGIC = 0x40001000, 0x00F01D83
ESP32_MAC, SPI_DATA = 0x3FF5A004, 0x80
IMAGE_IDS = {"ESP32-C3": 5, "ESP32-S3": 9}
SPEEDS = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdigit()}


class Rom:
    """`path` is its port: a link, so that it is the same when the board is plugged in again."""

    def __init__(self, path: Path, *, chip: str = "ESP32", flash_mib: int = 4, number: int = 1) -> None:
        self.path, self.chip, self.number = path, chip, number
        self.flash = bytearray(b"\xff" * (flash_mib << 20))
        self.silent = self.worn = False
        self.pull_after_blocks: int | None = None
        self.max_baud = 10_000_000
        self.erased = self.blocks = 0
        self._fd: int | None = None
        self.plug()

    def plug(self) -> None:
        """Plug it in, anew after a pull."""
        self.pull()
        self._fd, slave = os.openpty()
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        os.close(slave)
        threading.Thread(target=self._serve, args=(self._fd,), daemon=True).start()

    def pull(self) -> None:
        """Pull the cable."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)
            self.path.unlink(missing_ok=True)

    def _serve(self, fd: int) -> None:
        held, self._stub = b"", False
        while self._fd == fd:
            try:
                held += os.read(fd, 65536)
            except OSError:  # nobody has it open: the next one finds the ROM
                held, self._stub = b"", False
                time.sleep(0.01)
                continue
            *packets, held = held.split(b"\xc0")
            for packet in packets:
                if len(packet) >= 8 and not self.silent and self._fd == fd:
                    self._take(packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))

    def _take(self, packet: bytes) -> None:
        _, command, size, _ = struct.unpack_from("<BBHI", packet)
        data = packet[8:]
        if len(data) != size:
            return
        if command == SYNC:
            for _ in range(8):
                self._answer(command, value=0x20120707)
        elif command == READ_REG:
            self._answer(command, value=self._register(struct.unpack("<I", data)[0]))
        elif command == SECURITY:
            if self.chip in IMAGE_IDS:
                self._answer(command, body=struct.pack("<IB7sII", 0, 0, bytes(7), IMAGE_IDS[self.chip], 0))
            else:
                self._answer(command, error=5)
        elif command == MEM_END:
            self._answer(command)
            self._stub = True
            self._send(b"OHAI")
        else:
            self._on_flash(command, data)

    def _on_flash(self, command: int, data: bytes) -> None:
        words = struct.unpack_from(f"<{min(len(data), 16) // 4}I", data)
        body = b""
        if command == DEFL_BEGIN:
            self._at, self._inflate = words[3], zlib.decompressobj()
        elif command == DEFL_DATA:
            self.blocks += 1
            if self.pull_after_blocks is not None and self.blocks > self.pull_after_blocks:
                self.pull()
                return
            plain = self._inflate.decompress(data[16:])
            self.flash[self._at : self._at + len(plain)] = plain
            if self.worn:
                self.flash[self._at] ^= 1
            self._at += len(plain)
        elif command == MD5:
            body = hashlib.md5(self.flash[words[0] : words[0] + words[1]]).digest()
        elif command == ERASE_ALL:
            self.erased += 1
            self.flash[:] = b"\xff" * len(self.flash)
        elif command == ERASE_REGION:
            self.flash[words[0] : words[0] + words[1]] = b"\xff" * words[1]
        self._answer(command, body=body)
        if command == READ_FLASH:
            content = bytes(self.flash[words[0] : words[0] + words[1]])
            for at in range(0, len(content), words[2]):
                self._send(content[at : at + words[2]])
            self._send(hashlib.md5(content).digest())

    def _register(self, address: int) -> int:
        if address == MAGIC_REGISTER:
            return ESP32_MAGIC if self.chip == "ESP32" else 0
        if address == ESP32_MAC:
            return self.number
        mib = len(self.flash) >> 20
        return 0x4020 | (19 + mib.bit_length()) << 16 if address & 0xFFF == SPI_DATA else 0

    def _answer(self, command: int, *, value: int = 0, body: bytes = b"", error: int = 0) -> None:
        status = struct.pack("<BB", error > 0, error) + (b"" if self._stub else b"\0\0")
        self._send(struct.pack("<BBHI", 1, command, len(body) + len(status), value) + body + status)

    def _send(self, packet: bytes) -> None:
        if self._fd is None:
            return
        if SPEEDS[termios.tcgetattr(self._fd)[5]] > self.max_baud:
            packet = bytes(byte ^ 0x5A for byte in packet)  # bits sampled at the wrong time
        packet = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        with contextlib.suppress(OSError):
            os.write(self._fd, b"\xc0" + packet + b"\xc0")
