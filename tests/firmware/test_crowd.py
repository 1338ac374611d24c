"""1,500 sightings a second by serial: the real C module and the frozen package on a line as narrow as 921,600 baud.

The line's clock is the air's: it carries so many bytes each way for each frame that was heard. A slow machine hears
slower, and its line is slower with it; a probe that needs more bytes than the line has is left behind.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.core.dot11 import device_keys
from hostkit.core.wire import Batch, decode_batch
from tests.firmware.board import Board
from tests.firmware.micropython import UNIX_NEEDS
from tests.firmware.shop import wait
from tests.firmware.test_links import Line, keyed

BYTES_PER_S = 92_160  # of 921,600 baud, 10 bits a byte
RATE_HZ = 1500
FRAMES, STEP = 15_000, 30
AHEAD = 4096  # bytes of start-up, and of what is on its way when the last frame is heard
# `hear` lets so many frames be heard, each of a device of its own; False where the probe is behind.
HEAR = """
heard_frame = bytearray(b"\x40" + bytes(9) + b"\x02" + bytes(13) + b"\0\4shop\1\4\2\4\x0b\x16\3\1\6" + bytes(4))
def hear(first, count):
    if app.radio.any() > 256 or len(app.spool) > 6:
        return False
    for number in range(first, first + count):
        heard_frame[13], heard_frame[14], heard_frame[15] = number >> 16, number >> 8 & 255, number & 255
        app.radio.inject(heard_frame, -60, 6, app.radio.now_us())
    return True
"""


class Narrow(Line):
    """A line that has time for so many bytes each way as it takes for the frames that were heard."""

    def __init__(self) -> None:
        self.heard = self.went = 0
        super().__init__()

    def room(self) -> int:
        """Give what the line had time for and did not carry yet."""
        return max(0, min(4096, self._time_for() - len(self.raw)))

    def write(self, data: bytes) -> None:
        """Send what the line has time for; what it has not is not sent."""
        if self.went + len(data) <= self._time_for():
            self.went += len(data)
            super().write(data)

    def _time_for(self) -> int:
        return AHEAD + self.heard * BYTES_PER_S // RATE_HZ


@pytest.fixture
def narrow() -> Iterator[Narrow]:
    line = Narrow()
    yield line
    line.close()


@pytest.mark.parametrize("program", ["dot11cap"], indirect=True)
@pytest.mark.needs(*UNIX_NEEDS)
def test_a_crowd_fits_the_line(tmp_path: Path, narrow: Narrow, program: Path) -> None:
    board = Board(tmp_path / "flash", pty=narrow.path, program=program)
    try:
        keyed(board, narrow)
        key = bytes.fromhex(board.eval("app.keys.messages()")[0]["key"])
        board.run(HEAR)
        before = len(narrow.raw)
        began = time.monotonic()
        for first in range(0, FRAMES, STEP):
            board.until(f"hear({first}, {STEP})")
            narrow.heard += STEP
            time.sleep(max(0.0, began + narrow.heard / RATE_HZ - time.monotonic()))
        board.until(f"not app.radio.any() and app.capture.kept == {FRAMES}")
        batches = wait(lambda: whole(narrow))
        drops = board.eval("app.health.data()['drops']")
    finally:
        board.stop()
    share = (len(narrow.raw) - before) / (FRAMES / RATE_HZ * BYTES_PER_S)
    found = [int(record["device_key"]) for batch in batches for record in batch.records]
    assert len(found) == FRAMES
    addresses = [bytes(3) + number.to_bytes(3, "big") for number in range(FRAMES)]
    assert set(found) == {int(one) for one in device_keys([b"\2" + one[1:] for one in addresses], key)}
    assert set(drops) <= {"no_key_s"}
    assert 0.2 < share < 0.5  # 47 %


def whole(line: Line) -> list[Batch]:
    """Give all batches once they hold all frames; nothing before."""
    batches = [decode_batch(data) for data in dict(line.batches).values()]
    return batches if sum(len(batch.records) for batch in batches) >= FRAMES else []
