from pathlib import Path

import numpy as np
import pytest

from hostkit.errors import InputError
from hostkit.io.csvtable import MAYBE, read_table

COLUMNS = {"time_s": float, "anchor": str}


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "readings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_come_in_any_order_and_case_and_others_are_ignored(tmp_path: Path) -> None:
    path = written(tmp_path, '\ufeffAnchor, note ,Time_s\r\n a1 ,x,1.5\r\n\r\n"a,2",y,-2e3\r\n')
    table = read_table(path, COLUMNS, {"z_m": float})
    assert len(table) == 2
    assert "z_m" not in table
    np.testing.assert_array_equal(table.floats("time_s"), [1.5, -2000.0])
    assert table.names("anchor").tolist() == ["a1", "a,2"]
    assert table.where(1).endswith("readings.csv: line 4")


def test_a_gap_is_nan_where_there_may_be_one_and_nothing_else_is(tmp_path: Path) -> None:
    path = written(tmp_path, "time_s,people\n1,3\n2,\n3,NaN\n4,n/a\n5, - \n")
    people = read_table(path, {"time_s": float, "people": MAYBE}).floats("people")
    np.testing.assert_array_equal(people, [3.0, np.nan, np.nan, np.nan, np.nan])
    for wrong in ("inf", "x", "-inf", "1e999"):
        with pytest.raises(InputError, match=f"people is '{wrong}'"):
            read_table(written(tmp_path, f"time_s,people\n1,\n2,{wrong}\n"), {"people": MAYBE})
    with pytest.raises(InputError, match="people is ''"):
        read_table(path, {"people": float})


def test_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "time_s,anchor\n"), COLUMNS)
    assert len(table) == 0
    assert table.floats("time_s").shape == (0,)
    assert table.names("anchor").shape == (0,)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "line 1", "no column time_s, anchor (found: nothing)"),
        ("time_s,who\n1,a\n", "line 1", "no column anchor"),
        ("time_s,anchor\n1,a\nnan,a\n", "line 3", "time_s is 'nan'"),
        ("time_s,anchor\n1,a\ninf,a\n", "line 3", "time_s is 'inf'"),
        ("time_s,anchor\n1,a\nx\x1b[31m,a\n", "line 3", "time_s is 'x?[31m'"),
        ("time_s,anchor\n1,\n", "line 2", "anchor is ''"),
        ("time_s,anchor\n1\n", "line 2", "1 cells, the header has 2"),
        ('time_s,anchor\n1,"a\nb"\nx,a\n', "line 4", "time_s is 'x'"),
        (b"time_s,anchor\n\xff,a\n", "readings.csv", "is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str | bytes, where: str, what: str) -> None:
    with pytest.raises(InputError) as refused:
        read_table(written(tmp_path, text), COLUMNS)
    assert where in refused.value.where
    assert what in refused.value.what
    assert refused.value.next_step


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_table(tmp_path / "none.csv", COLUMNS)
