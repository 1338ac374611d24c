"""Made images: a boot loader with a true checksum and hash, a partition table, an application. ESP-IDF's layout."""

import functools
import hashlib
import operator
import random
import struct
from dataclasses import dataclass

TABLE = (("nvs", 1, 2, 0x9000, 0x4000), ("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x20000),
         ("ota_1", 0, 0x11, 0x30000, 0x20000), ("vfs", 1, 0x81, 0x50000, 0x20000))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Made:
    image_id: int = 0
    boot_offset: int = 0x1000
    seed: int = 1
    table: tuple[tuple[str, int, int, int, int], ...] = TABLE
    app_bytes: int = 0x18000


def made_image(made: Made) -> bytes:
    """Give what `firmware.bin` of a build is: everything from the boot loader to the end of the application."""
    content = random.Random(made.seed)
    table = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in made.table
    )
    image = program(made.image_id, content.randbytes(6000)).ljust(0x8000 - made.boot_offset, b"\xff")
    image = (image + table).ljust(0x10000 - made.boot_offset, b"\xff")
    return image + program(made.image_id, content.randbytes(made.app_bytes))


def program(image_id: int, segment: bytes) -> bytes:
    """Give one image with one segment."""
    segment = segment.ljust(-(-len(segment) // 4) * 4, b"\0")
    head = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080400) + b"\xee\0\0\0" + struct.pack("<H", image_id)
    head = head.ljust(23, b"\0") + b"\x01"
    image = head + struct.pack("<II", 0x40080000, len(segment)) + segment
    image += bytes(15 - len(image) % 16) + bytes([functools.reduce(operator.xor, segment, 0xEF)])
    return image + hashlib.sha256(image).digest()
