"""A board to test with: the firmware as a process of a real MicroPython, its flash a folder, its radio played."""

import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from hostkit.core.dot11 import device_keys, record_of
from tests.builders import probe_request

ROOT = Path(__file__).parents[2]
FAKES = Path(__file__).parent / "fakes"
FIRMWARE = ROOT / "firmware"
POWER_ON, WATCHDOG, SOFT = 1, 3, 5
RESET_EXIT = 3
RETRY = 4  # of a record's flags
PATIENCE_S = 90.0  # of a test on a busy machine
HEAP = "768k"  # here it holds the code and, in one piece of 40 KB, TLS's source of chance (Debian's HAVEGE)

Frame = tuple[
    str, int, int, int, int, int, int, int
]  # address, fingerprint, SSID key, sequence, RSSI, noise, channel, flags


def interpreter() -> str:
    """Give the path of the MicroPython of this environment."""
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    assert found, "MicroPython is not installed: pip install -e .[dev]"
    return found


class Board:
    """`flash` is its file system; `stock`: without the C module. Runs until `cut`, `stop` or its own reset.

    `program` is a MicroPython that has C module and package in it (tests/firmware/micropython.py); without it, PyPI's
    with a stand-in for the module. `firmware` is the folder its package is in.
    """

    def __init__(
        self,
        flash: Path,
        *,
        pty: str | None = None,
        stock: bool = False,
        program: Path | None = None,
        firmware: Path = FIRMWARE,
    ) -> None:
        self.flash = flash
        self.real = program is not None
        flash.mkdir(exist_ok=True)
        self._pty = pty
        self._program = program or interpreter()
        self.environment: dict[str, str] = {}  # of the process, beside what it needs
        self._path = f".frozen:{FAKES}" + ("" if stock or program else f":{FAKES}/ear") + f":{firmware}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._questions = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._reply, daemon=True).start()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._held = b""
        self.answer: Callable[[dict[str, Any]], object] | None = None  # of a question the board asks the test
        self.output = flash.parent / f"{flash.name}.log"

    def settings(self, **values: object) -> None:
        """Write the good set of settings."""
        (self.flash / "settings.json").write_text(json.dumps({"version": 1, **values}))

    def start(self, *, cause: int = POWER_ON) -> "Board":
        """Power on, or whatever `cause` says."""
        (self.flash / "reset_cause").write_text(str(cause))
        if cause == POWER_ON:
            (self.flash / "rtc.bin").unlink(missing_ok=True)
        port, questions = (str(one.getsockname()[1]) for one in (self._listener, self._questions))
        env = self.environment | {"MICROPYPATH": self._path, "CONTROL": port, "QUESTIONS": questions}
        env |= {"PTY": self._pty} if self._pty else {}
        with self.output.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-X", f"heapsize={HEAP}", str(FAKES / "run.py")], cwd=self.flash, env=env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._listener.settimeout(PATIENCE_S)
        self._line, self._held = self._listener.accept()[0], b""
        self._line.settimeout(PATIENCE_S)
        assert self._read() == {"booted": True}
        return self

    def cut(self) -> None:
        """Cut the power."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(60)
        self._close()

    def wait_reset(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it reset itself."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        assert code == RESET_EXIT, f"ended with {code}: {self.output.read_text()[-3000:]}"
        self._close()

    def stop(self) -> None:
        """End it for good."""
        self.cut()
        self._listener.close()
        self._questions.close()

    def eval(self, code: str) -> Any:
        """Evaluate an expression in the running firmware; `app` is the App."""
        return self._ask(verb="eval", code=code)

    def run(self, code: str) -> None:
        """Run statements there."""
        self._ask(verb="exec", code=code)

    def air(self, *frames: Frame) -> None:
        """Let it hear these frames now."""
        self._say(verb="air", frames=[on_air(frame) for frame in frames] if self.real else frames)

    def network(self, **state: object) -> None:
        """Plug and unplug: `lan`, `ap`."""
        self._say(verb="network", state=state)

    def until(self, code: str, timeout_s: float = PATIENCE_S) -> Any:
        """Wait until an expression is true there; give its value."""
        deadline = time.monotonic() + timeout_s
        while not (value := self.eval(code)):
            assert time.monotonic() < deadline, f"never: {code}\n{self.output.read_text()[-3000:]}"
            time.sleep(0.03)
        return value

    def _say(self, **message: object) -> None:
        assert self._line is not None
        self._line.sendall(json.dumps(message).encode() + b"\n")

    def _ask(self, **message: object) -> Any:
        self._say(**message)
        return self._read()["answer"]

    def _reply(self) -> None:
        """Answer what the board asks, a connection a question."""
        while True:
            try:
                line = self._questions.accept()[0]
            except OSError:
                return  # closed
            with line, line.makefile("rwb") as file:
                asked = json.loads(file.readline())
                told = self.answer(asked) if self.answer is not None else None  # nobody is asked before a test listens
                file.write(json.dumps(told).encode() + b"\n")

    def _read(self) -> dict[str, Any]:
        assert self._line is not None
        while b"\n" not in self._held:
            data = self._line.recv(65536)
            assert data, f"the firmware ended: {self.output.read_text()[-3000:]}"
            self._held += data
        line, self._held = self._held.split(b"\n", 1)
        return cast(dict[str, Any], json.loads(line))

    def _close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        self._process = None


def body_of(frame: Frame) -> bytes:
    """Give the probe request that a phone would send, without FCS: fingerprint and SSID key come of its elements."""
    address, fingerprint, ssid_key, sequence, _, _, _, flags = frame
    name, vendor = b"shop-%d" % ssid_key, struct.pack("<I", fingerprint)
    elements = bytes([0, len(name)]) + name + bytes([1, 4, 2, 4, 11, 22, 221, 8, 0, 80, 242, 9]) + vendor
    control = 0x0840 if flags & RETRY else 0x0040
    return probe_request(elements, address=bytes.fromhex(address), sequence=sequence, control=control)


def on_air(frame: Frame) -> tuple[str, int, int]:
    """Give it with its FCS, in hex, as inject() takes it: RSSI and channel with it."""
    return (body_of(frame) + bytes(4)).hex(), frame[4], frame[6]


def row_of(frame: Frame, key: bytes, *, real: bool) -> tuple[int, ...]:
    """Give the record that comes of it, without its offset."""
    if real:
        record = record_of(body_of(frame), key, offset_us=0, rssi_dbm=frame[4], noise_dbm=frame[5], channel=frame[6])
        return struct.unpack("<QIIHbbBB", record[4:])
    (device,) = device_keys([bytes.fromhex(frame[0])], key)
    return (int(device), *frame[1:])
