"""The chips a probe may have and the USB bridges they hang on: names and numbers, nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """`family` is ESP Web Tools' and esptool's name; `image_id` is byte 12 of its images (esptool, "Firmware Image
    Format"); `boot_offset` is where its boot loader begins.
    """

    family: str
    image_id: int
    boot_offset: int

    @property
    def argument(self) -> str:
        """Name it to esptool."""
        return self.family.lower().replace("-", "")


CHIPS = {
    chip.family: chip
    for chip in (
        Chip(family="ESP32", image_id=0, boot_offset=0x1000),
        Chip(family="ESP32-S2", image_id=2, boot_offset=0x1000),
        Chip(family="ESP32-C3", image_id=5, boot_offset=0),
        Chip(family="ESP32-S3", image_id=9, boot_offset=0),
        Chip(family="ESP32-C2", image_id=12, boot_offset=0),
        Chip(family="ESP32-C6", image_id=13, boot_offset=0),
        Chip(family="ESP32-C5", image_id=23, boot_offset=0x2000),
    )
}
BY_IMAGE = {chip.image_id: chip for chip in CHIPS.values()}

ESPRESSIF = 0x303A
BRIDGES = {
    (0x10C4, 0xEA60): "CP2102 (Silicon Labs)",
    (0x10C4, 0xEA70): "CP2105 (Silicon Labs)",
    (0x1A86, 0x7523): "CH340 (WCH)",
    (0x1A86, 0x55D2): "CH342 (WCH)",
    (0x1A86, 0x55D3): "CH343 (WCH)",
    (0x1A86, 0x55D4): "CH9102 (WCH)",
    (0x0403, 0x6001): "FT232R (FTDI)",
    (0x0403, 0x6010): "FT2232 (FTDI)",
    (0x0403, 0x6014): "FT232H (FTDI)",
    (0x0403, 0x6015): "FT231X (FTDI)",
    (0x067B, 0x2303): "PL2303 (Prolific)",
    (ESPRESSIF, 0x1001): "the chip's own USB (ESP32-S3, -C3, -C5, -C6)",
    (ESPRESSIF, 0x0002): "the chip's own USB (ESP32-S2, boot loader)",
    (ESPRESSIF, 0x4001): "the chip's own USB (MicroPython on ESP32-S2, -S3)",
}
