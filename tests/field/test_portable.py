"""A technician's laptop may run Windows: nothing on the way of `footfall calibrate` needs POSIX."""

import subprocess
import sys

MODULES = ("link", "anchors", "walk", "zones", "count", "list", "undo")
PROGRAM = """
import importlib, os, sys, types
names = {names!r}
for name in names:
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "hostkit" and "core._" not in name]:
    del sys.modules[name]
for name in ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource"):
    sys.modules[name] = None
locked = []
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *given: locked.append(given))
sys.platform, os.O_BINARY = "win32", 0
for name in names:
    importlib.import_module(name)
from pathlib import Path
from hostkit.io.filelock import locked as hold
with hold(Path({lock!r})):
    assert len(locked) == 1
"""


def test_no_posix_on_the_way(tmp_path: object) -> None:
    names = [f"hostkit.cli.calibrate_{name}" for name in MODULES]
    program = PROGRAM.format(names=names, lock=f"{tmp_path}/lock")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
