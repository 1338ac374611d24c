"""A new board takes over an old one's place: id, position, calibration; the old one is let in no more."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hostkit.config import dump_site, load_site
from hostkit.errors import InputError, UsageError
from hostkit.install.backup import differences, read_backup, restore, take_backup, write_backups
from hostkit.io.calibrations import Change, FieldRecord, encoded
from hostkit.io.files import write_files
from tests.cli.command import footfall, refused
from tests.install.place import SITE, Desk, Shop
from tests.install.test_install import phones

TILL = next(probe for probe in SITE.probes if probe.id == "till")
NOW_S = 1_800_000_000.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("shop")).open()
    yield shop
    shop.close()


@pytest.fixture
def site_path(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(dump_site(SITE))
    return path


def calibrated(site_path: Path, *keys: str, undone: bool = False) -> None:
    changes = tuple(Change(key=key, before=0.0, after=2.5) for key in keys)
    record = FieldRecord(
        id=f"link-{len(keys)}-{int(undone)}", kind="link", at_s=NOW_S, source="a.csv", unit="dB", before=5.0, after=3.0,
        naive=None, passed=True, changes=changes, undone=undone,
    )  # fmt: skip
    write_files(dict([encoded(site_path, record)]))


def test_a_backup_holds_the_place_and_what_calibrated_it(site_path: Path, tmp_path: Path) -> None:
    calibrated(site_path, "probes.till.offset_db")
    calibrated(site_path, "probes.door.offset_db", "probes.till.offset_db", "path_loss.exponent")
    calibrated(site_path, "probes.till.offset_db", undone=True)
    (path,) = write_backups(tmp_path / "backup", [take_backup(site_path, SITE, TILL, None, NOW_S)])
    read = read_backup(path, SITE, "till")
    assert read.probe == TILL
    assert [[one.key for one in record.changes] for record in read.calibrations] == [["probes.till.offset_db"]] * 2
    with pytest.raises(UsageError, match=r"is of \S+/till, not \S+/door; give that probe's file"):
        read_backup(path, SITE, "door")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match="is no backup"):
        read_backup(path, SITE, "till")


def test_a_place_goes_back_into_the_site(site_path: Path) -> None:
    kept = take_backup(site_path, SITE, TILL, None, NOW_S)
    assert differences(SITE, kept) == []
    moved = replace(TILL, position_m=(2.0, 2.0, 2.0), offset_db=1.0)
    others = tuple(probe for probe in SITE.probes if probe.id != "till")
    site_path.write_text("# written by hand\n" + dump_site(replace(SITE, probes=(moved, *others))))
    assert differences(load_site(site_path), kept) == ["position_m", "offset_db"]
    assert set(restore(site_path, kept, NOW_S).probes) == set(SITE.probes)
    assert site_path.read_text().startswith("# written by hand")
    site_path.write_text(dump_site(replace(SITE, probes=others)))
    assert differences(load_site(site_path), kept) == ["all of it"]
    restore(site_path, kept, NOW_S)
    assert set(load_site(site_path).probes) == set(SITE.probes)


@pytest.mark.needs("mosquitto")
def test_a_new_board_takes_over_and_the_old_one_is_out(shop: Shop, tmp_path: Path) -> None:
    old, new = Desk(tmp_path, "tty1"), Desk(tmp_path, "tty2").on()
    old.board.settings(**shop.settings("till"))
    old.on()
    journal = tmp_path / "journal"
    asked = ("--site", shop.site, "--probe", "till", "--port", new.port, "--broker", shop.broker, "--no-flash")
    before = shop.site.read_bytes()
    try:
        old.board.until("app.capture.key_id")
        with phones(old):
            time.sleep(6)  # the hub tells of it
        saved = footfall("probe", "backup", "--site", shop.site, "--broker", shop.broker, "--out", tmp_path / "backup")
        assert saved.returncode == 0, saved.stderr
        kept = json.loads((tmp_path / "backup" / "till.json").read_text())
        assert (kept["status"]["uplink"], kept["probe"]["id"]) == ("lan", "till")
        text = "".join(path.read_text() for path in (tmp_path / "backup").iterdir())
        assert "PRIVATE" not in text
        assert "BEGIN" not in text

        codes = shop.codes("till")
        options = ("--journal", journal, "--from", tmp_path / "backup" / "till.json", "--wait", "12", "--json")
        done = footfall("probe", "replace", *asked, *options, "--codes", codes)  # it hears nothing yet
        assert done.returncode == 6, done.stdout + done.stderr
        states = {step["step"]: step["state"] for step in json.loads(done.stdout)["boards"][0]["steps"]}
        assert states == {"backup": "done", "provision": "done", "verify": "failed", "label": "waiting"}
        with phones(new):
            done = footfall("probe", "replace", *asked, *options)  # needs no code any more
        assert done.returncode == 0, done.stdout + done.stderr
        (board,) = json.loads(done.stdout)["boards"]
        assert [step["now"] for step in board["steps"]] == [False, False, True, True]
        assert "hears differently by some dB; see footfall calibrate anchors" in done.stderr

        assert new.board.eval("app.settings.get('probe')") == "till"
        assert new.board.eval("app.state.boot") > 1000  # no boot of the old one: the hub would take ours for doubles
        assert shop.site.read_bytes() == before
        issued = [
            one for one in shop.authority.identities.register.read().authority.issued if one.identity.endswith("/till")
        ]
        assert [one.revoked_s is None for one in issued] == [False] * (len(issued) - 1) + [True]
        old.board.cut()
        old.board.start()
        old.board.until("app.uplink.trouble")
        assert not (journal / "replacing" / "till.json").exists()  # the next replacement begins anew
        assert json.loads((journal / "till.json").read_text())["steps"][-1]["state"] == "done"
    finally:
        old.off()
        new.off()


def test_what_is_asked_wrongly(site_path: Path, tmp_path: Path) -> None:
    asked = ("probe", "replace", "--site", site_path, "--port", "COM3", "--no-flash", "--uplink", "serial")
    refused(footfall(*asked, "--probe", "tlil"), 2, "site.toml has no probe 'tlil'")
    refused(footfall(*asked, "--probe", "till", "--from", tmp_path / "x.json"), 3, "is no backup .* probe backup")
