"""A shop under installation: authority, mosquitto with TLS and its ACL, `footfall hub run`, blank boards on cables."""

import re
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

from hostkit.hub.fleet import probe_hash
from hostkit.identity.access import Role
from hostkit.identity.broker import reload_broker
from hostkit.identity.realms import SiteRealm
from hostkit.model import Probe
from hostkit.sim.plan import default_site
from tests.cli.command import COMMAND, ONE_LINE, ROOT
from tests.firmware.board import RESET_EXIT, SOFT, Board
from tests.firmware.cable import Cable
from tests.hub.service import HubProcess
from tests.identity import place
from tests.identity.place import until

PROBES = ("window-left", "till", "door")
SITE = replace(
    default_site(),
    probes=tuple(
        Probe(id=name, floor="ground", position_m=(1.0 + 3 * at, 1.0, 2.5), dwell_ms=100)
        for at, name in enumerate(PROBES)
    ),
)


QUICK = "if hasattr(app, 'capture'): app.capture.batch_us = 1_000_000\n"  # a probe sends after ten seconds


class Shop:
    """`hub` is started by `open`; `said` is what it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = place.Shop(folder, realm=SiteRealm(SITE))
        files = self.authority.identities.issue("installer", Role.OPERATOR, time.time()).url_options
        self.authority.start()  # it reads the list of rights once
        self.broker = f"mqtts://{place.HOST}:{self.authority.port}?{files}"
        url = f"mqtts://{place.HOST}:{self.authority.port}?{self.authority.service.url_options}"
        self.hub = HubProcess(folder, url, site=SITE, clock="wall", data=folder)
        self.site = folder / "site.toml"  # HubProcess wrote it

    def open(self) -> "Shop":
        """Start the hub."""
        self.hub.start()
        self.hub.said("site broker: connected")
        return self

    def settings(self, probe: str, **values: object) -> dict[str, object]:
        """Give what a board is told that was provisioned as `probe`, with a credential of its own."""
        handed = self.authority.identities.issue(probe, Role.PROBE, time.time())
        reload_broker(self.authority.identities.broker_files.pid)
        entry = next(one for one in SITE.probes if one.id == probe)
        return {
            "probe": probe, "tenant": SITE.tenant, "site": SITE.site, "uplink": "lan", "board": "wt32-eth01",
            "host": place.HOST, "port": self.authority.port, "batch_s": 1, "dwell_ms": entry.dwell_ms,
            "channels": list(entry.channels), "config_hash": probe_hash(entry), "ca": handed.authority.read_text(),
            "cert": handed.certificate.read_text(), "key": handed.key.read_text(), **values,
        }  # fmt: skip

    def codes(self, *probes: str, valid_s: float = 3600.0) -> Path:
        """Give a file of fresh codes, as `footfall hub enrol` prints them."""
        rows = {
            name: self.authority.enrolment.invite(name, Role.PROBE, time.time(), valid_s=valid_s) for name in probes
        }
        path = self.folder / f"codes-{'-'.join(probes)}.txt"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}  {code}\n" for name, code in rows.items()))
        until(lambda: place.accepts(self.authority.enrol_port), "enrolment is not open")
        return path

    def close(self) -> None:
        """End everything."""
        if self.hub.process is not None and self.hub.process.poll() is None:
            self.hub.stop()
        self.authority.stop()


class Desk:
    """A board on a cable under `port`, powered: whenever it resets itself it starts again."""

    def __init__(self, folder: Path, name: str = "ttyUSB0") -> None:
        self.port = folder / name
        self.cable = Cable(self.port)
        self.board = Board(folder / f"flash-{name}", pty=self.cable.board_path)
        self._over = threading.Event()
        self._started, self._starting = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._power, daemon=True)
        self.starts = 0
        self.prepare = ""  # statements that every boot runs first

    def on(self) -> "Desk":
        """Power on."""
        self._thread.start()
        assert self._started.wait(30)
        return self

    def off(self) -> None:
        """Cut the power for good."""
        self._over.set()
        with self._starting:
            self.board.stop()
        self._thread.join(10)
        self.cable.close()

    def _power(self) -> None:
        while not self._over.is_set():
            with self._starting:
                if self._over.is_set():
                    return
                self.board.start(cause=SOFT if self.starts else 1)
                self.board.run(QUICK + self.prepare)
            self.starts += 1
            self._started.set()
            process = self.board._process
            if process is None or process.wait() != RESET_EXIT:
                return
            self.board._close()


def ended(done: "subprocess.CompletedProcess[str]", exit_code: int, pattern: str) -> None:
    """Assert that it ended with one line `where: what; next step` that matches, and no result."""
    assert done.returncode == exit_code, done.stderr
    last = done.stderr.splitlines(keepends=True)[-1]
    assert ONE_LINE.fullmatch(last), done.stderr
    assert re.search(pattern, last), last
    assert not done.stdout


def footfall_at(*arguments: str | Path) -> "subprocess.Popen[str]":
    """Start the command beside the test."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
