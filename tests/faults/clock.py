"""A clock for a process that is not the machine's: clock.c beside this file, preloaded."""

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path


def library(folder: Path) -> Path:
    """Build it; gcc is needed."""
    built = folder / "clock.so"
    command = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(built), str(Path(__file__).with_name("clock.c"))]
    subprocess.run(command, check=True)
    return built


@dataclass(frozen=True, slots=True)
class FastClock:
    """Runs `speed` times as fast as the machine's from when it is made on."""

    speed: int
    began_s: int = field(default_factory=lambda: int(time.time()))

    def now_s(self) -> float:
        """Give the seconds since 1970 that it shows."""
        return self.began_s + (time.time() - self.began_s) * self.speed

    def environment(self, preloaded: Path) -> dict[str, str]:
        """Give what a process is started with to live by it."""
        return {"LD_PRELOAD": str(preloaded), "CLOCK_SPEED": str(self.speed), "CLOCK_SINCE": str(self.began_s)}
