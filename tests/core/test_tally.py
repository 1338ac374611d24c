"""What a person at the door types."""

import pytest

from hostkit.core.reference import DoorTally


def test_enter_numbers_and_passers_by_add_up_and_undo_takes_the_last_back() -> None:
    it = DoorTally()
    for line in ("\n", "3\n", "p\n", " P 4 \n"):
        it.take(line)
    assert (it.entered, it.passed) == (4, 5)
    it.take("u")
    it.take("U")
    assert (it.entered, it.passed) == (4, 0)
    it.take("u")
    assert it.take("u") == "undone: 0 in, 0 by"
    assert "0 in" in it.take("u")


@pytest.mark.parametrize("line", ["-1", "nan", "1e3", "4 5x", "x", "p x", "1000", "²", "\x1b[31m", "9" * 500])
def test_anything_else_counts_nothing_and_says_what_to_type(line: str) -> None:
    it = DoorTally()
    said = it.take(line)
    assert (it.entered, it.passed) == (0, 0)
    assert said.isprintable()
    assert "u undo, q end" in said
