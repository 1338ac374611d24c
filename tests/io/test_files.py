"""Result files: all or none, and nothing that is not a file is replaced."""

import os
from pathlib import Path

import pytest

from hostkit.errors import StorageError, UsageError
from hostkit.io.files import check_directory, write_files


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_files_are_written_and_replaced_with_their_directories(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(b"old")
    write_files({tmp_path / "old.csv": b"new", tmp_path / "a" / "b" / "c.csv": b"deep"})
    assert (tmp_path / "old.csv").read_bytes() == b"new"
    assert (tmp_path / "a" / "b" / "c.csv").read_bytes() == b"deep"
    assert names(tmp_path) == {"old.csv", "a", "a/b", "a/b/c.csv"}


def test_if_one_fails_none_is_replaced_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    contents = {tmp_path / "old.csv": b"new", tmp_path / "made" / "x.csv": b"x", tmp_path / "folder": b"no"}
    with pytest.raises(StorageError, match=r"folder: cannot be written .*; give the name of a file"):
        write_files(contents)
    assert (tmp_path / "old.csv").read_bytes() == b"old"
    assert names(tmp_path) == {"old.csv", "folder"}


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_bytes(b"old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write_files({tmp_path / "link.csv": b"new"})
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"new"


def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_files({tmp_path / "pipe": b"through"})
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_files_can_be_read_by_others_as_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_files({tmp_path / "a.csv": b""})
        (tmp_path / "b.csv").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "a.csv").stat().st_mode == (tmp_path / "b.csv").stat().st_mode


def test_a_directory_is_checked_before_the_work(tmp_path: Path) -> None:
    check_directory(tmp_path)
    check_directory(tmp_path / "not yet")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        check_directory(tmp_path / "file")
