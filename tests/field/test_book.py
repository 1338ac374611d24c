"""Calibrations in the book: applied only if they help, taken back in any order, never over what a hand set since."""

from dataclasses import replace
from pathlib import Path

import pytest

from hostkit.config import load_site
from hostkit.config.dump import dump_site
from hostkit.errors import InputError, UsageError
from hostkit.field.book import save
from hostkit.field.trial import Held, Need, Trial
from hostkit.hub.adjust import changes_of, undo
from hostkit.hub.settings import versions
from hostkit.io.calibrations import encoded, in_force, read_field
from hostkit.model import Site
from tests.field.shop import SITE, START_S, site_file

EXPONENT, OFFSET = "path_loss.exponent", "probes.probe-2.offset_db"


def trial(site: Site, *, after: float = 2.0, **values: float) -> Trial:
    wanted = {EXPONENT if key == "exponent" else OFFSET: value for key, value in values.items()}
    need = Need(word="points", have=20, least=20)
    held = Held(before=3.0, after=after, naive=6.0)
    return Trial(kind="walk", unit="m", source="w.csv", needs=(need,), held=held, changes=changes_of(site, wanted))


def now(path: Path) -> tuple[float, float]:
    site = load_site(path)
    return site.path_loss.exponent, site.probes[1].offset_db


def test_what_helps_is_written_with_a_version_and_a_comment_stays(tmp_path: Path) -> None:
    path = site_file(tmp_path)
    saved = save(path, SITE, trial(SITE, exponent=3.12345, offset=-2.5), START_S)
    assert now(path) == (3.123, -2.5)
    assert path.read_text().startswith("# mine\n")
    assert versions(path)[-1].by == f"with {saved.record.id}"
    assert read_field(path) == (saved.record,)
    assert saved.record.id == "walk-20260314-0000"
    assert in_force(path) == saved.record.id
    undo(path, saved.record, START_S)
    assert in_force(path) is None
    encoded(path, saved.record)[0].write_text("{")
    assert in_force(path) is None


def test_what_does_not_help_is_kept_but_not_applied(tmp_path: Path) -> None:
    path = site_file(tmp_path)
    was = path.read_text()
    saved = save(path, SITE, trial(SITE, after=3.1, exponent=4.0), START_S)
    assert saved.record.changes == ()
    assert path.read_text() == was
    assert read_field(path) == (saved.record,)
    undo(path, saved.record, START_S)
    assert path.read_text() == was


def test_too_little_is_never_written(tmp_path: Path) -> None:
    path = site_file(tmp_path)
    few = replace(trial(SITE, exponent=3.0), needs=(Need(word="points", have=7, least=20),))
    with pytest.raises(InputError, match="have 7 of 20"):
        save(path, SITE, few, START_S)
    assert read_field(path) == ()


def test_calibrations_are_taken_back_in_any_order(tmp_path: Path) -> None:
    for order in ((0, 1), (1, 0)):
        folder = tmp_path / str(order[0])
        folder.mkdir()
        path = site_file(folder)
        first = save(path, SITE, trial(SITE, exponent=3.0, offset=1.0), START_S).record
        second = save(path, load_site(path), trial(load_site(path), exponent=3.5), START_S + 60).record
        assert now(path) == (3.5, 1.0)
        records = (first, second)
        undo(path, records[order[0]], START_S)
        assert now(path) == ((3.5, 0.0) if order[0] == 0 else (3.0, 1.0))
        undo(path, read_field(path)[order[1]], START_S)
        assert now(path) == (2.7, 0.0)
        assert all(record.undone for record in read_field(path))
        with pytest.raises(UsageError, match="taken back already"):
            undo(path, read_field(path)[0], START_S)


def test_what_a_hand_set_since_stays(tmp_path: Path) -> None:
    path = site_file(tmp_path)
    record = save(path, SITE, trial(SITE, exponent=3.0, offset=1.0), START_S).record
    site = load_site(path)
    path.write_text(dump_site(replace(site, path_loss=replace(site.path_loss, exponent=2.2))))
    assert undo(path, record, START_S).left == (EXPONENT,)
    assert now(path) == (2.2, 0.0)


def test_a_probe_that_is_gone_does_not_keep_the_rest_from_being_taken_back(tmp_path: Path) -> None:
    path = site_file(tmp_path)
    record = save(path, SITE, trial(SITE, exponent=3.0, offset=1.0), START_S).record
    path.write_text(dump_site(replace(load_site(path), probes=SITE.probes[:1])))
    assert undo(path, record, START_S).left == (OFFSET,)
    assert load_site(path).path_loss.exponent == 2.7


@pytest.mark.parametrize(
    ("of", "into", "what"),
    [
        ('"kind": "walk"', '"kind": "dance"', "Invalid enum"),
        ('"key": "path_loss.exponent"', '"key": "__class__"', "matching regex"),
        ('"walk-20260314-0000"', '"walk-other"', "holds walk-other; give the file its own name back"),
        ("}", "", "malformed"),
    ],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, of: str, into: str, what: str) -> None:
    path = site_file(tmp_path)
    record = save(path, SITE, trial(SITE, exponent=3.0), START_S).record
    file, body = encoded(path, record)
    assert of in body.decode()
    file.write_text(body.decode().replace(of, into))
    with pytest.raises(InputError) as refused:
        read_field(path)
    assert what in str(refused.value)
