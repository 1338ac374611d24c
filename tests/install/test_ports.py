"""A port that cannot be used: each command says why and what to do, in one line, and does nothing."""

import os
import re
import subprocess
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.config import dump_site
from tests.cli.command import footfall
from tests.install.place import SITE
from tests.install.usb import plugged

COMMANDS = {
    "provision": ("--uplink", "serial"),
    "verify": ("--wait", "5"),
    "install": ("--uplink", "serial", "--no-flash"),
    "put-app": (),
}
ROOT_IS_NOBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Path]:
    """Give a port that nobody has open; on its other end nobody speaks."""
    master, slave = os.openpty()
    tty.setraw(slave)
    link = tmp_path / "ttyUSB0"
    link.symlink_to(os.ttyname(slave))
    os.close(slave)
    yield link
    os.close(master)


def said(command: str, port: str | Path, folder: Path, prefix: tuple[str, ...] = (), **environment: str) -> str:
    """Give the one line that says what is wrong, where the command put it."""
    (folder / "site.toml").write_text(dump_site(SITE))
    place = () if command == "put-app" else ("--site", folder / "site.toml")
    more = ("--journal", folder / "journal") if command in {"install", "put-app"} else ()
    asked = ("probe", command, *place, "--probe", "till", "--port", port, *COMMANDS[command], *more)
    done = footfall(*asked, prefix=prefix, **environment)
    assert done.returncode == 6, done.stderr
    if command in {"install", "put-app"}:
        line = done.stdout.splitlines()[0]
        assert re.match(r"till: (provision|put-app): ", line)
        return line
    assert not done.stdout
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_busy_port(command: str, port: Path, tmp_path: Path) -> None:
    with subprocess.Popen(["sh", "-c", f"exec sleep 60 < {port}"]) as other:
        try:
            line = said(command, port, tmp_path)
        finally:
            other.kill()
    assert line.endswith(f"{port}: sleep ({other.pid}) has it open; close that program")


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_forbidden_port_names_the_udev_rule(command: str, port: Path, tmp_path: Path) -> None:
    port.resolve().chmod(0)
    line = said(command, port, tmp_path, prefix=ROOT_IS_NOBODY if os.geteuid() == 0 else ())
    assert "ttyUSB0: you may not open it; install the udev rule: footfall probe ports --udev-rule | sudo tee" in line


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    board = tmp_path / "ttyUSB3"
    with plugged(tmp_path, board) as environment:
        line = said("provision", tmp_path / "ttyUSB0", tmp_path, **environment)
    assert line.endswith(f"ttyUSB0: no such port (there: {board}); plug the board in, or see footfall probe ports")


def test_auto_with_no_board_and_with_several(tmp_path: Path) -> None:
    with plugged(tmp_path, others=(Path("/dev/ttyS0"),)) as environment:
        line = said("install", "auto", tmp_path, **environment)
    assert "--port auto: no board is plugged in (no board's: /dev/ttyS0); plug it in with a cable that carries" in line
    one, two = tmp_path / "ttyUSB0", tmp_path / "ttyACM1"
    with plugged(tmp_path, one, two) as environment:
        line = said("provision", "auto", tmp_path, **environment)
    assert f"--port auto: 2 boards are plugged in: {two} (CP2102 (Silicon Labs)), {one} (CP2102" in line
    assert f"; name yours, as --port {two}, or unplug the others; many at once: --csv" in line
