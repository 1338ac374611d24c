"""Nights of links: what was written is read, in order, and what is none is named."""

from pathlib import Path

import pytest

from hostkit.errors import InputError
from hostkit.io import anchorlinks
from hostkit.io.anchorlinks import (
    Anchor,
    Link,
    LinksRecord,
    forget_old,
    night_file,
    read_links,
    read_reference,
    reference_file,
)
from hostkit.io.files import write_files


def night(day: str = "2026-03-14", median_dbm: float = -60.5) -> LinksRecord:
    probes = tuple(Anchor(id=id_, floor="ground", position_m=(x, 1.0, 2.5)) for id_, x in (("a", 0.0), ("b", 9.0)))
    links = (Link(sender="a", receiver="b", n=40, median_dbm=median_dbm, mad_db=1.5),)
    return LinksRecord(day=day, at_s=1_773_457_200.0, probes=probes, links=links)


def write_links(site: Path, record: LinksRecord) -> Path:
    path, data = night_file(site, record)
    write_files({path: data})
    return path


def test_nights_come_back_oldest_first(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    assert read_links(site) == ()
    for day in ("2026-03-15", "2026-03-14"):
        assert write_links(site, night(day)).name == f"links-{day}.json"
    again = night("2026-03-15", -70.0)
    write_links(site, again)
    assert read_links(site) == (night(), again)
    assert b'"from": "a"' in (tmp_path / "calibration" / "links-2026-03-14.json").read_bytes()


def test_the_reference_is_no_night(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    assert read_reference(site) is None
    write_links(site, night())
    write_files(dict([reference_file(site, night("2026-01-01"))]))
    assert read_reference(site) == night("2026-01-01")
    assert read_links(site) == (night(),)


def test_only_so_many_nights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchorlinks, "MAX_NIGHTS", 2)
    for number in range(1, 5):
        write_links(tmp_path / "site.toml", night(f"2026-03-0{number}"))
    forget_old(tmp_path / "site.toml")
    monkeypatch.undo()
    assert [record.day for record in read_links(tmp_path / "site.toml")] == ["2026-03-03", "2026-03-04"]


@pytest.mark.parametrize(
    ("of", "into", "what"),
    [
        ('"n":40', '"n":0', "Expected `int` >= 1"),
        ('"median_dbm":-60.5', '"median_dbm":5', "Expected `float` <= 0"),
        ('"from":"a"', '"from":"A b"', "matching regex"),
        ('"day"', '"tag"', "unknown field `tag`"),
        ("}]}", "", "truncated"),
    ],
)
def test_what_is_no_night_is_named(tmp_path: Path, of: str, into: str, what: str) -> None:
    path = write_links(tmp_path / "site.toml", night())
    text = path.read_text().replace(": ", ":").replace("\n", "").replace("  ", "")
    assert of in text
    path.write_text(text.replace(of, into))
    with pytest.raises(InputError, match=what) as refused:
        read_links(tmp_path / "site.toml")
    assert refused.value.where == str(path)
