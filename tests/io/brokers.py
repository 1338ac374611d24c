"""A real mosquitto for tests: on a free port, with its data in a folder, killed and started again at will."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    """Give a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker process. `lines` are added to its configuration."""

    def __init__(self, folder: Path, *, lines: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._config.write_text("\n".join([f"listener {self.port} 127.0.0.1", "allow_anonymous true", *lines, ""]))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Mosquitto":
        """Start and wait until it listens."""
        program = shutil.which("mosquitto")
        assert program
        self._process = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        self.stop()
        raise AssertionError("mosquitto does not listen")

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End it, politely or not."""
        if self._process is not None:
            self._process.send_signal(sig)
            self._process.wait(60)
            self._process = None
