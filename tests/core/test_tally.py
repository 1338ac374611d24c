"""What a person at the door types."""

import pytest

from hostkit.core.reference import read_tap


@pytest.mark.parametrize(
    ("line", "tap"),
    [
        ("\n", ("in", 1)),
        ("3\n", ("in", 3)),
        ("p\n", ("by", 1)),
        (" P 4 \n", ("by", 4)),
        ("o", ("out", 1)),
        ("O 2", ("out", 2)),
        ("999", ("in", 999)),
    ],
)
def test_enter_numbers_out_and_by(line: str, tap: object) -> None:
    assert read_tap(line) == tap


@pytest.mark.parametrize("line", ["-1", "nan", "1e3", "4 5x", "x", "p x", "1000", "²", "\x1b[31m", "9" * 500, "u", "q"])
def test_anything_else_counts_nothing(line: str) -> None:
    assert read_tap(line) is None
